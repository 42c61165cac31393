"""Connection strings of an IoT Hub."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.hub.connection_string import (
    ConnectionStringError,
    device_connection_string,
    parse_connection_string,
)

KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


def test_a_device_is_read():
    found = parse_connection_string(f"HostName=contoso.azure-devices.net;DeviceId=MyDevice01;SharedAccessKey={KEY}")
    assert (found.host, found.device_id, found.key) == (
        "contoso.azure-devices.net",
        "MyDevice01",
        b"0123456789abcdef0123456789abcdef",
    )
    assert found.resource == "contoso.azure-devices.net/devices/MyDevice01"
    assert found.endpoint == "contoso.azure-devices.net"


def test_a_module_and_a_gateway_are_read():
    found = parse_connection_string(f"HostName=h;DeviceId=d;ModuleId=m;GatewayHostName=g.local;SharedAccessKey={KEY}")
    assert (found.resource, found.endpoint) == ("h/devices/d/modules/m", "g.local")


def test_a_service_is_read():
    found = parse_connection_string(f"HostName=h;SharedAccessKeyName=registry;SharedAccessKey={KEY};")
    assert (found.policy, found.resource, found.device_id) == ("registry", "h", "")


def test_a_device_with_a_certificate_is_read():
    assert parse_connection_string("HostName=h;DeviceId=d;x509=True").x509 is True


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "part 1 must be KEY=VALUE"),
        ("mqtt://user:password@host:1883", "part 1 must be KEY=VALUE"),
        (f"DeviceId=d;SharedAccessKey={KEY}", "HostName is missing"),
        ("HostName=h;DeviceId=d", "SharedAccessKey is missing"),
        (f"HostName=h;SharedAccessKey={KEY}", "it needs a DeviceId"),
        (f"HostName=h;DeviceId=d;DeviceId=e;SharedAccessKey={KEY}", "DeviceId appears twice"),
        (f"HostName=h;DeviceId=d;hostname=h;SharedAccessKey={KEY}", "the key of part 3 is unknown"),
        (f"HostName=h;DeviceId=d;x509=true;SharedAccessKey={KEY}", "exclude each other"),
        (f"HostName=h;ModuleId=m;SharedAccessKeyName=n;SharedAccessKey={KEY}", "ModuleId needs a DeviceId"),
        ("HostName=h;DeviceId=d;SharedAccessKey=%%%", "SharedAccessKey must be base64"),
        (f"HostName=h/x;DeviceId=d;SharedAccessKey={KEY}", "HostName must be a host name"),
        (f"HostName=h;DeviceId=a/b;SharedAccessKey={KEY}", "is no id of a hub"),
    ],
)
def test_what_is_wrong_is_named(text, why):
    with pytest.raises(ConnectionStringError, match=why):
        parse_connection_string(text)


@pytest.mark.parametrize("text", [f"SharedAccessKey{KEY}", f"HostName=h;DeviceId=d;SharedAccesKey={KEY}"])
def test_a_sentence_never_shows_a_key(text):
    with pytest.raises(ConnectionStringError) as failure:
        parse_connection_string(text)
    assert KEY[:8] not in str(failure.value)


def test_a_repr_never_shows_a_key():
    assert "0123" not in repr(parse_connection_string(f"HostName=h;DeviceId=d;SharedAccessKey={KEY}"))


@given(st.binary(min_size=1, max_size=64), st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True))
def test_what_is_written_is_read_back(key, serial):
    found = parse_connection_string(device_connection_string("hub.example", serial, key))
    assert (found.host, found.device_id, found.key) == ("hub.example", serial, key)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(ConnectionStringError):
        parse_connection_string(text)
