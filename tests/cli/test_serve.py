"""`muster up` and `muster server`: what they refuse before anything starts."""

from __future__ import annotations

import sys
import types

import pytest

from supervisor.cli import serve
from supervisor.cli.serve import check_exposure, open_to_lan, refuse_open_brokers
from supervisor.server.config import Broker, Config, ConfigError, Http, Tls
from tests.support.mosquitto import Mosquitto

OPEN = Http(host="0.0.0.0", port=5000)


@pytest.fixture
def boot(monkeypatch):
    """A stand-in for the server that remembers how it was started."""
    fake = types.ModuleType("supervisor.server.boot")
    fake.started = []
    fake.run_up = lambda config, *, demo, lan, tls: (
        fake.started.append(("up", config, demo, "tls" if tls else lan)) or 0
    )
    fake.run_server = lambda config: fake.started.append(("server", config)) or 7
    monkeypatch.setitem(sys.modules, "supervisor.server.boot", fake)
    return fake


def test_up_starts_with_what_the_flags_say(muster, boot, tmp_path):
    arguments = ["--http", "127.0.0.1:6000", "--data-dir", "here", "--broker-port", "1900", "--offline-after", "9"]
    assert muster("up", "--demo", *arguments).code == 0
    ((_, config, demo, lan),) = boot.started
    assert (demo, lan) == (True, False)
    assert (config.http.port, config.data_path, config.embedded_broker.port) == (6000, tmp_path / "here", 1900)
    assert config.offline_after == 9


def test_the_exit_code_is_the_servers(muster, boot):
    assert muster("server").code == 7


def test_a_bad_configuration_is_wrong_usage_in_one_sentence(muster, boot, tmp_path):
    (tmp_path / "muster.toml").write_text("colour = 'blue'\n")
    result = muster("up")
    assert result.code == 2
    assert result.err == f"muster: file {tmp_path}/muster.toml: key colour: is not known.\n"
    assert not boot.started


@pytest.mark.parametrize("arguments", [["up", "--http", "0.0.0.0:5000"], ["server", "--http", "[::]:80"]])
def test_wider_than_loopback_without_credentials_is_refused_with_the_command_that_makes_them(muster, boot, arguments):
    result = muster(*arguments)
    assert result.code == 2
    assert "mosquitto_passwd" in result.err
    assert "MUSTER_BROKER_URL" in result.err
    assert not boot.started


def test_the_broker_that_up_brings_along_makes_its_own_credentials_for_the_lan(muster, boot):
    assert muster("up", "--lan").code == 0
    ((_, config, _, lan),) = boot.started
    assert lan
    assert not config.broker_given
    assert config.http.host == "0.0.0.0"


def test_who_opens_up_in_another_way_is_told_of_lan(muster, boot):
    assert "start it with `--lan`" in muster("up", "--http", "0.0.0.0:5000").err
    assert "--lan" not in muster("server", "--http", "0.0.0.0:5000").err


def test_a_configured_broker_without_credentials_is_no_broker_for_the_lan(muster, boot, monkeypatch):
    monkeypatch.setenv("MUSTER_BROKER_URL", "mqtt://broker.lan")
    result = muster("up", "--lan")
    assert (result.code, "`local`" in result.err, "--lan" in result.err) == (2, True, False)
    assert not boot.started


def test_with_credentials_the_lan_is_let_in(muster, boot, monkeypatch):
    monkeypatch.setenv("MUSTER_BROKER_URL", "mqtt://muster:pw@broker.lan")
    assert muster("up", "--lan").code == 0
    ((_, config, _, lan),) = boot.started
    assert lan
    assert (config.http.host, config.http.port) == ("0.0.0.0", 5000)


def test_a_chosen_address_is_kept():
    config = Config(http=Http(host="10.0.0.5", port=80))
    assert open_to_lan(config) is config


@pytest.mark.parametrize(
    "broker",
    [
        Broker(configured_url="mqtt://muster:pw@b"),
        Broker(configured_url="mqtts://b", tls=Tls(cert="/c.pem", key="/k.pem")),
    ],
)
def test_a_password_or_a_certificate_are_credentials(broker):
    check_exposure(Config(brokers=(broker,), http=OPEN))


@pytest.mark.parametrize("url", ["", "mqtt://b", "mqtt://muster@b"])
def test_a_broker_for_everybody_is_refused_by_name(url):
    brokers = (Broker(configured_url="mqtt://u:p@b"), Broker(name="yard", configured_url=url))
    with pytest.raises(ConfigError, match="`yard`"):
        check_exposure(Config(brokers=brokers, http=OPEN))


def test_on_loopback_no_credentials_are_needed():
    check_exposure(Config())


def test_tls_is_for_other_machines(muster, boot):
    result = muster("up", "--tls")
    assert (result.code, "--tls belongs to --lan" in result.err) == (2, True)
    assert muster("up", "--lan", "--tls").code == 0
    assert boot.started[0][3] == "tls"


def test_a_broker_that_lets_in_whoever_comes_from_outside_is_refused_with_what_mends_it(needs, monkeypatch):
    needs("mosquitto")
    with Mosquitto() as broker:
        config = Config(brokers=(Broker(configured_url=f"mqtt://muster:pw@127.0.0.1:{broker.port}"),), http=OPEN)
        refuse_open_brokers(config)  # it listens on loopback alone, as far as anybody else can tell
        monkeypatch.setattr(serve, "_own_addresses", lambda: ["127.0.0.1"])
        with pytest.raises(ConfigError, match=r"lets in whoever comes to 127\.0\.0\.1.*muster install server"):
            refuse_open_brokers(config)
        refuse_open_brokers(config.with_http(Http()))


def test_a_broker_that_wants_a_password_or_is_away_is_no_reason_to_refuse(needs, monkeypatch):
    needs("mosquitto")
    monkeypatch.setattr(serve, "_own_addresses", lambda: ["127.0.0.1"])
    with Mosquitto(users={"muster": "pw"}) as broker:
        config = Config(brokers=(Broker(configured_url=f"mqtt://muster:pw@127.0.0.1:{broker.port}"),), http=OPEN)
        refuse_open_brokers(config)
    refuse_open_brokers(config)
