"""What an edge keeps of its enrolment, and what it tells its links."""

import stat

import msgspec
import pytest

from actors.uplink.poster import ServerAddress
from edge.bearings import Bearings, Credentials, MqttAccess
from edge.home import Places
from edge.settings import BrokerSettings, EdgeSettings

CREDENTIALS = Credentials(
    device_id="pi-1",
    server_id="srv-1",
    connection_string="mqtt://u:secret-1@10.0.0.5:1883",
    mqtt=MqttAccess("10.0.0.5", 1883, "u", "secret-1"),
    token="secret-2",
    server_url="http://10.0.0.5:5000",
    enrolled_at=1.0,
)


@pytest.fixture
def places(tmp_path):
    return Places(tmp_path)


def bearings_of(places, device_id="pi-1", **settings):
    return Bearings(places, EdgeSettings(**settings), device_id)


def test_a_new_device_knows_nothing(places):
    bearings = bearings_of(places)
    assert (bearings.broker(), bearings.server(), bearings.hub()) == (None, None, "")
    assert bearings.state == "searching"


def test_credentials_are_there_again_after_a_restart_for_their_owner_only(places):
    bearings_of(places).adopt(CREDENTIALS)

    assert bearings_of(places).credentials == CREDENTIALS
    assert stat.S_IMODE(places.enrolment.stat().st_mode) == 0o600


def test_the_broker_of_the_last_run_is_used_at_once_and_the_server_only_when_verified(places):
    bearings_of(places).adopt(CREDENTIALS)
    bearings = bearings_of(places)

    broker = bearings.broker()
    assert (broker.address, broker.username, broker.password) == ("10.0.0.5:1883", "u", "secret-1")
    assert bearings.server() is None

    bearings.verified("http://10.0.0.9:5000")
    bearings.show("found", "Here.")
    assert bearings.server() == ServerAddress("http://10.0.0.9:5000", "secret-2", "")

    bearings.lost()
    assert bearings.server() is None


def test_a_token_that_the_server_does_not_take_is_not_sent(places):
    bearings = bearings_of(places)
    bearings.adopt(CREDENTIALS)
    bearings.verified("http://10.0.0.9:5000")
    bearings.show("waiting_for_approval", "An operator has to approve.")
    assert bearings.server() is None


def test_what_is_configured_wins(places):
    bearings = bearings_of(
        places,
        api_token="mine",
        hub_connection_string="HostName=a;DeviceId=b;SharedAccessKey=c",
        broker=BrokerSettings(url="mqtt://me:pw@10.1.1.1", keepalive=33),
    )
    bearings.adopt(CREDENTIALS)
    bearings.verified("http://10.0.0.5:5000")

    assert (bearings.broker().address, bearings.broker().keepalive) == ("10.1.1.1:1883", 33)
    assert bearings.server().token == "mine"
    assert bearings.hub().startswith("HostName=a")
    assert bearings.is_broker_configured


def test_the_hub_of_the_enrolment_is_used(places):
    bearings = bearings_of(places)
    bearings.adopt(CREDENTIALS)
    assert bearings.hub() == ""
    bearings.adopt(msgspec.structs.replace(CREDENTIALS, connection_string="HostName=h;DeviceId=d;SharedAccessKey=k"))
    assert bearings.hub() == "HostName=h;DeviceId=d;SharedAccessKey=k"


def test_tls_of_the_broker_takes_the_ca_file(places):
    bearings = bearings_of(places, ca_file="/ca.pem")
    bearings.adopt(msgspec.structs.replace(CREDENTIALS, mqtt=MqttAccess("h", 8883, tls=True)))
    assert (bearings.broker().tls, bearings.broker().ca_file) == (True, "/ca.pem")


@pytest.mark.parametrize(
    ("url", "own", "used"),
    [("mqtts://h", "", "/ca.pem"), ("mqtts://h", "/own.pem", "/own.pem"), ("mqtt://h", "", "")],
)
def test_tls_of_a_broker_that_is_configured_takes_the_ca_file_too(places, url, own, used):
    bearings = bearings_of(places, ca_file="/ca.pem", broker=BrokerSettings(url=url, ca_file=own))
    assert bearings.broker().ca_file == used


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b'{"device_id": "pi-1"}', b'{"mqtt": {"host": "h", "port": 0}}']
)
def test_a_broken_file_is_set_aside_and_the_device_enrols_anew(places, content, caplog):
    places.enrolment.write_bytes(content)

    bearings = bearings_of(places)

    assert bearings.credentials is None
    assert places.enrolment.with_name("enrolment.json.aside").read_bytes() == content
    assert "set aside" in caplog.text
    bearings.adopt(CREDENTIALS)
    assert bearings_of(places).credentials == CREDENTIALS


def test_the_enrolment_of_another_device_on_a_copied_card_is_not_used(places):
    bearings_of(places).adopt(CREDENTIALS)

    assert bearings_of(places, "pi-2").credentials is None


def test_a_disk_that_refuses_the_credentials_is_asked_again(places, tmp_path, caplog):
    bearings = bearings_of(places)
    blocked = tmp_path / ".enrolment.json.new"
    blocked.mkdir()

    bearings.adopt(CREDENTIALS)
    assert bearings.credentials == CREDENTIALS
    assert not places.enrolment.exists()
    assert "cannot be kept" in caplog.text

    blocked.rmdir()
    bearings.keep()
    assert bearings_of(places).credentials == CREDENTIALS


def test_a_claim_stays_the_same_until_credentials_are_kept(places):
    claim = bearings_of(places).claim()
    bearings = bearings_of(places)
    assert bearings.claim() == claim
    assert len(claim) == 32

    bearings.adopt(CREDENTIALS)
    assert bearings.claim() != claim


def test_a_claim_that_was_cut_off_by_a_power_cut_is_replaced(places):
    (places.path / "enrolment-claim").write_bytes(b"\xff")
    assert len(bearings_of(places).claim()) == 32


def test_no_secret_is_shown(places, caplog):
    bearings = bearings_of(places)
    bearings.adopt(CREDENTIALS)
    shown = f"{CREDENTIALS!r} {CREDENTIALS.mqtt!r} {bearings!r} {bearings.broker()!r} {caplog.text}"
    assert "secret" not in shown
