"""Sealing and opening, without anything around it."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from actors.payload_keys.envelope import (
    LARGEST,
    BadKeyError,
    Channel,
    NotDecipherableError,
    is_sealed,
    new_private_key,
    public_key,
    read_envelope,
    read_key,
    show_key,
)
from actors.topics import SERIAL

TOPIC = "devices/pi-7/readings"


def pair(serial="pi-7", device=None, server=None):
    """Both sides of a channel."""
    device, server = device or new_private_key(), server or new_private_key()
    return (
        Channel(device, public_key(server), serial, to="server"),
        Channel(server, public_key(device), serial, to="device"),
    )


def opened(channel, topic, sealed):
    return channel.open(topic, read_envelope(sealed))


DEVICE, SERVER = pair()


@given(st.binary(max_size=2000), st.text(min_size=1, max_size=60), st.from_regex(SERIAL, fullmatch=True))
def test_what_one_side_seals_the_other_opens(payload, topic, serial):
    device, server = pair(serial)
    assert opened(server, topic, device.seal(topic, payload)) == payload
    assert opened(device, topic, server.seal(topic, payload)) == payload
    assert device.key_id == server.key_id


@given(st.binary(max_size=200), st.data())
def test_a_byte_that_was_changed_is_noticed(payload, data):
    envelope = json.loads(DEVICE.seal(TOPIC, payload))
    field = data.draw(st.sampled_from(["nonce", "ct"]))
    raw = bytearray(base64.b64decode(envelope[field]))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    envelope[field] = base64.b64encode(raw).decode()
    with pytest.raises(NotDecipherableError, match="changed"):
        opened(SERVER, TOPIC, json.dumps(envelope).encode())


@given(st.binary(max_size=300))
def test_no_bytes_crash_who_opens_them(noise):
    for payload in (noise, b'{"muster_sealed":1' + noise, DEVICE.seal(TOPIC, b"x")[: len(noise)] + noise):
        with pytest.raises(NotDecipherableError):
            opened(SERVER, TOPIC, payload)


def test_the_topic_is_sealed_with_the_payload():
    with pytest.raises(NotDecipherableError, match="another topic or device"):
        opened(SERVER, "devices/pi-7/scans", DEVICE.seal(TOPIC, b"{}"))


def test_a_device_cannot_speak_for_another_with_the_same_key():
    private, own = new_private_key(), new_private_key()
    device, _ = pair("pi-7", private, own)
    _, server = pair("pi-8", private, own)
    with pytest.raises(NotDecipherableError, match="another topic or device"):
        opened(server, TOPIC, device.seal(TOPIC, b"{}"))


def test_what_a_side_has_sealed_cannot_be_sent_back_to_it():
    sealed = SERVER.seal("devices/pi-7/commands", b"{}")
    with pytest.raises(NotDecipherableError, match="other side"):
        opened(SERVER, "devices/pi-7/commands", sealed)
    reversed_ = sealed.replace(b'"to":"device"', b'"to":"server"')
    with pytest.raises(NotDecipherableError, match="changed"):
        opened(SERVER, "devices/pi-7/commands", reversed_)


def test_an_old_key_is_named_and_refused():
    own = new_private_key()
    before, _ = pair(server=own)
    _, server = pair(server=own)
    with pytest.raises(NotDecipherableError, match=f"the key '{before.key_id}'"):
        opened(server, TOPIC, before.seal(TOPIC, b"{}"))
    claimed = before.seal(TOPIC, b"{}").replace(before.key_id.encode(), server.key_id.encode())
    with pytest.raises(NotDecipherableError, match="changed"):
        opened(server, TOPIC, claimed)


def test_the_same_payload_never_looks_the_same():
    sealed = {DEVICE.seal(TOPIC, b"{}") for _ in range(1000)}
    assert len({json.loads(one)["nonce"] for one in sealed}) == 1000


def test_a_sealed_payload_is_json_that_begins_with_its_mark():
    sealed = DEVICE.seal(TOPIC, b'{"Moisture": 11.5}')
    assert is_sealed(sealed)
    assert list(json.loads(sealed)) == ["muster_sealed", "to", "device", "key", "nonce", "ct"]
    assert b"Moisture" not in sealed
    assert not is_sealed(b'{"Moisture": 11.5, "muster_sealed": 1}')


def test_what_was_opened_can_be_sealed_again_as_its_device_did():
    assert opened(SERVER, TOPIC, SERVER.seal_as_peer(TOPIC, b"again")) == b"again"


def test_what_is_too_large_or_of_another_format_is_refused():
    with pytest.raises(NotDecipherableError, match="at most"):
        read_envelope(b'{"muster_sealed":1' + b" " * LARGEST)
    with pytest.raises(NotDecipherableError, match="format 2"):
        read_envelope(DEVICE.seal(TOPIC, b"").replace(b'sealed":1', b'sealed":2'))


@pytest.mark.parametrize("text", ["", "AAAA", "no base64!", "A" * 43, show_key(b"x" * 31), "Ä" * 44])
def test_what_is_no_key_is_refused(text):
    with pytest.raises(BadKeyError, match="32 bytes"):
        read_key(text)


def test_a_point_that_makes_every_secret_the_same_is_refused():
    with pytest.raises(BadKeyError, match="no secret"):
        Channel(new_private_key(), bytes(32), "pi-7", to="device")


def test_nothing_is_loaded_before_the_first_key_is_used():
    code = (
        "import sys; import actors.payload_keys.book, edge.payload_keys.keys, actors.link.publisher;"
        "sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_message_is_opened_by_what_the_documentation_tells():
    private, own = new_private_key(), new_private_key()
    device, server = public_key(private), public_key(own)
    told = json.loads(pair("pi-7", private, own)[0].seal(TOPIC, b"secret"))
    assert told["key"] == hashlib.sha256(b"muster payload 1" + device + server).hexdigest()[:16]
    secret = X25519PrivateKey.from_private_bytes(own).exchange(X25519PublicKey.from_public_bytes(device))
    info = device + server + b"pi-7"
    keys = HKDF(algorithm=SHA256(), length=64, salt=b"muster payload 1", info=info).derive(secret)
    nonce, sealed = (base64.b64decode(told[name]) for name in ("nonce", "ct"))
    bound_to = b"muster payload 1\0pi-7\0devices/pi-7/readings"
    assert ChaCha20Poly1305(keys[:32]).decrypt(nonce, sealed, bound_to) == b"secret"


@pytest.mark.parametrize("nest", [b"[", b'{"a":'])
def test_an_envelope_nested_deeper_than_can_be_read_is_none(nest):
    with pytest.raises(NotDecipherableError, match="nested"):
        read_envelope(b'{"muster_sealed":1,"x":' + nest * 100_000)


def test_a_machine_that_draws_the_same_random_bytes_again_uses_no_nonce_twice(monkeypatch):
    """As after a snapshot of a virtual machine: two payloads under one nonce would tell both."""
    monkeypatch.setattr("actors.payload_keys.envelope.os.urandom", bytes)
    payloads = (b"11.5", b"11.6")
    sealed = [side.seal(topic, payload) for side in (DEVICE, SERVER) for topic in ("a", "b") for payload in payloads]
    assert len({read_envelope(one).nonce for one in sealed}) == len(sealed)
