"""What runs out while everything works, as `/metrics` tells it."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from supervisor.server.supplies import supply_metrics
from tests.support.certificates import Authority

DAY = 86_400


def shown(data_path, http="", brokers=None, pki=None):
    """Metric and label -> value."""
    links = [SimpleNamespace(name=name, tls=SimpleNamespace(cert=cert)) for name, cert in (brokers or {}).items()]
    tls = SimpleNamespace(tls=SimpleNamespace(cert=str(http)))
    config = SimpleNamespace(data_path=data_path, http=tls, brokers=links)
    families = supply_metrics(SimpleNamespace(config=config, pki=pki))
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def test_the_disk_of_the_data_directory_is_measured(tmp_path):
    told = shown(tmp_path)
    assert 0 < told["muster_disk_free_bytes",] < told["muster_disk_size_bytes",]


def test_each_certificate_that_is_configured_tells_its_end(tmp_path, authority):
    page, ours = (str(authority.issue(name).cert_file) for name in ("page", "ours"))
    told = shown(tmp_path, page, {"local": ours, "other": ""}, SimpleNamespace(authority=authority))
    name = "muster_certificate_expiry_timestamp_seconds"
    ends = {key[1]: end for key, end in told.items() if key[0] == name}
    assert set(ends) == {"http", "broker.local", "authority"}
    assert all(29 * DAY < end - time.time() < 31 * DAY for end in ends.values())


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_certificate_that_cannot_be_read_is_logged_and_left_out(tmp_path, caplog, content):
    path = tmp_path / "page.pem"
    if content is not None:
        path.write_bytes(content)
    assert ("muster_certificate_expiry_timestamp_seconds", "http") not in shown(tmp_path, path)
    assert "page.pem cannot be read" in caplog.text


def test_a_data_directory_that_is_gone_is_logged_and_left_out(tmp_path, caplog):
    assert shown(tmp_path / "gone") == {}
    assert "cannot be looked at" in caplog.text
