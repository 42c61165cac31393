"""Whom the server believes, and what it seals for whom."""

from __future__ import annotations

import pytest

from actors.payload_keys.book import PayloadKeys
from actors.payload_keys.envelope import BadKeyError, Channel, is_sealed, new_private_key, public_key, read_envelope
from actors.payloads import RefusedError

READINGS = "devices/pi-7/readings"
SENSORS = "harit-samarth/sensor/data"


class Pi:
    """A device that has given its key."""

    def __init__(self, keys, serial):
        private = new_private_key()
        keys.put(serial, public_key(private))
        self.channel = Channel(private, public_key(keys.private()), serial, to="server")

    def seal(self, topic, payload=b"{}"):
        return self.channel.seal(topic, payload)

    def open(self, topic, sealed):
        return self.channel.open(topic, read_envelope(sealed))


@pytest.fixture
def keys():
    book, own = PayloadKeys(), new_private_key()
    book.load(lambda: own, {})
    return book


def refusal(ask):
    with pytest.raises(RefusedError) as caught:
        ask()
    return caught.value.reason


def test_only_what_is_for_a_device_with_a_key_is_sealed(keys):
    pi = Pi(keys, "pi-7")
    sealed = keys.seal("devices/pi-7/commands", b"do it")
    assert pi.open("devices/pi-7/commands", sealed) == b"do it"
    assert pi.open("hall/alerts", keys.seal("hall/alerts", b"fire", "pi-7")) == b"fire"
    for topic in ("devices/pi-8/commands", "server/discovery", "hall/alerts", "devices/announce"):
        assert keys.seal(topic, b"plain") == b"plain"


def test_an_empty_payload_takes_back_what_is_retained_and_stays_empty(keys):
    Pi(keys, "pi-7")
    assert keys.seal("devices/pi-7/twin/desired", b"") == b""


def test_a_device_with_a_key_is_believed_only_sealed_but_for_its_last_will(keys):
    Pi(keys, "pi-7")
    keys.check("pi-7", "pi-7", bound_id="pi-7", is_farewell=False)
    keys.check("pi-7", "", bound_id="pi-7", is_farewell=True)
    for bound_id in ("pi-7", ""):
        plain = lambda bound_id=bound_id: keys.check("pi-7", "", bound_id=bound_id, is_farewell=False)  # noqa: E731
        assert refusal(plain) == "not_encrypted"
    keys.check("pi-8", "", bound_id="pi-8", is_farewell=False)
    assert keys.counts["not_encrypted"] == 2


def test_a_device_cannot_seal_in_the_name_of_another(keys):
    Pi(keys, "pi-7")
    Pi(keys, "pi-8")
    assert refusal(lambda: keys.check("pi-8", "pi-7", bound_id="", is_farewell=False)) == "unbound"
    assert refusal(lambda: keys.check("pi-9", "pi-7", bound_id="pi-9", is_farewell=False)) == "unbound"


def test_what_a_device_has_sealed_for_a_station_behind_it_is_told_to_nobody_else(keys):
    Pi(keys, "pi-7")
    keys.check("pi-7-soil", "pi-7", bound_id="", is_farewell=False)
    assert keys.is_private("pi-7-soil")
    assert keys.is_private("pi-7")
    assert not keys.is_private("pi-8")


def test_what_cannot_be_opened_is_refused_and_counted(keys):
    pi = Pi(keys, "pi-7")
    assert keys.open(READINGS, pi.seal(READINGS, b"11.5")).payload == b"11.5"
    unknown = pi.seal(READINGS).replace(b'"device":"pi-7"', b'"device":"pi-8"')
    for payload in (pi.seal(SENSORS), unknown, b'{"muster_sealed":1}', b'{"muster_sealed'):
        assert refusal(lambda payload=payload: keys.open(READINGS, payload)) == "not_decipherable"
    assert keys.counts == {"opened": 1, "not_decipherable": 4}


def test_what_we_have_sealed_and_hear_again_is_nobodys_fault(keys):
    Pi(keys, "pi-7")
    assert keys.open("devices/pi-7/receipts", keys.seal("devices/pi-7/receipts", b"{}")) is None
    elsewhere = keys.seal("devices/pi-7/readings", b"{}")
    assert refusal(lambda: keys.open(READINGS, elsewhere)) == "not_decipherable", "nothing vanishes"


def test_a_new_key_ends_the_old_one(keys):
    before, now = Pi(keys, "pi-7"), Pi(keys, "pi-7")
    assert refusal(lambda: keys.open(READINGS, before.seal(READINGS))) == "not_decipherable"
    assert keys.open(READINGS, now.seal(READINGS)).sealer == "pi-7"


def test_a_key_that_has_ended_leaves_nothing_to_be_believed_or_said(keys):
    pi = Pi(keys, "pi-7")
    keys.end("pi-7")
    assert refusal(lambda: keys.open(READINGS, pi.seal(READINGS))) == "not_decipherable"
    assert refusal(lambda: keys.check("pi-7", "", bound_id="pi-7", is_farewell=False)) == "not_encrypted"
    with pytest.raises(BadKeyError, match="has ended"):
        keys.seal("devices/pi-7/commands", b"do it")
    keys.drop(["pi-7"])
    assert keys.seal("devices/pi-7/commands", b"do it") == b"do it"


def test_keys_that_are_not_kept_derived_are_derived_anew(keys, monkeypatch):
    monkeypatch.setattr("actors.payload_keys.book.MOST_CHANNELS", 2)
    fleet = {f"pi-{number}": Pi(keys, f"pi-{number}") for number in range(5)}
    for _ in range(2):
        for serial, pi in fleet.items():
            topic = f"devices/{serial}/readings"
            assert keys.open(topic, pi.seal(topic)).sealer == serial


def test_what_was_opened_and_kept_can_be_handled_again(keys):
    Pi(keys, "pi-7")
    again = keys.seal_again(READINGS, b"11.5", "pi-7")
    assert keys.open(READINGS, again).payload == b"11.5"
    assert not is_sealed(keys.seal_again(READINGS, b"11.5", "pi-8"))


def test_nothing_is_opened_or_sealed_before_the_servers_key_is_there():
    keys = PayloadKeys()
    keys.end("pi-7")
    with pytest.raises(BadKeyError):
        keys.seal("devices/pi-7/commands", b"do it")


def test_a_key_that_comes_while_the_old_one_is_derived_is_the_one_that_counts(keys, monkeypatch):
    before, now = Pi(keys, "pi-7"), new_private_key()

    def derive(*arguments, **options):
        monkeypatch.undo()
        keys.put("pi-7", public_key(now))  # on another thread
        return Channel(*arguments, **options)

    monkeypatch.setattr("actors.payload_keys.book.Channel", derive)
    keys.seal("devices/pi-7/commands", b"{}")
    channel = Channel(now, public_key(keys.private()), "pi-7", to="server")
    assert keys.open(READINGS, channel.seal(READINGS, b"{}")).payload == b"{}"
    assert refusal(lambda: keys.open(READINGS, before.seal(READINGS))) == "not_decipherable"
