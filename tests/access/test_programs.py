"""Users of the broker for programs that are no devices: what they may do is configured."""

from __future__ import annotations

import msgspec
import pytest

from supervisor.server.access.accounts import Account
from supervisor.server.access.settings import AccessSettings, ProgramUser
from supervisor.server.config import ConfigError, load_config
from supervisor.server.mosquitto import BrokerUser
from tests.access.broker import MECHANISMS, Guarded

HOME = ProgramUser(
    name="~home-assistant",
    password="of the home",
    read=("homeassistant/#", "devices/+/status"),
    write=("homeassistant/status",),
)


@pytest.fixture(params=MECHANISMS)
def broker(request, needs):
    needs("mosquitto")
    with Guarded(request.param, programs=[HOME]) as running:
        running.put(Account("pi-1", "first"))
        yield running


def test_a_program_reads_and_writes_what_it_is_configured_for_and_nothing_else(broker):
    with broker.server() as server, broker.client(HOME.name, HOME.password, client_id="home") as home:
        assert not home.publish("homeassistant/status", "online").is_failure
        for topic in ("homeassistant/other", "devices/pi-1/status", "server/requests", "$CONTROL/dynamic-security/v1"):
            assert home.publish(topic, "forged").is_failure
        home.subscribe("#")
        home.subscribe("devices/#")
        server.publish("devices/pi-1/notifications", "for pi-1 alone")
        server.publish("devices/pi-1/status", "online")
        server.publish("homeassistant/sensor/pi-1/config", "{}")
        home.next("homeassistant/sensor/pi-1/config")
        assert {message.topic for message in home.received} <= {
            "devices/pi-1/status",
            "homeassistant/sensor/pi-1/config",
        }


def test_it_stays_when_devices_come_and_go_and_the_broker_starts_anew(broker):
    broker.put(Account("pi-2", "second"))
    broker.kill()
    broker.start()
    assert broker.lets_in(BrokerUser(HOME.name, HOME.password)) is True
    assert broker.lets_in(BrokerUser(HOME.name, "guessed")) is False
    assert broker.mechanism.known() == {"pi-1", "pi-2"}


@pytest.mark.parametrize("topic", ["", "$SYS/#", "a\nuser x", "a/#/b", "a#", "a+/b", " a", "a" * 513])
def test_what_is_no_topic_filter_is_refused_with_its_field(topic):
    with pytest.raises(ValueError, match="`write` has"):
        ProgramUser(name="~x", password="p", write=(topic,))


@pytest.mark.parametrize("topic", ["#", "+", "+/+/#", "a/b", "/a", "a//b", "a/+/b/#", "a b/c"])
def test_topic_filters_are_taken(topic):
    assert ProgramUser(name="~x", password="p", read=(topic,)).read == (topic,)


@pytest.mark.parametrize("name", ["x", "~", "muster~2", "~a:b", "~a\nb", "~" + "a" * 64])
def test_a_name_that_could_be_somebody_elses_is_refused(name):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"users": [{"name": name, "password": "p"}]}, AccessSettings)


def test_a_name_may_stand_there_once():
    with pytest.raises(msgspec.ValidationError, match="a name twice"):
        msgspec.convert({"users": [{"name": "~x"}, {"name": "~x"}]}, AccessSettings)


def test_its_password_is_read_from_a_file_and_is_never_missing(tmp_path):
    path = tmp_path / "muster.toml"
    path.write_text('[[broker_access.users]]\nname = "~x"\npassword_file = "x.key"\nread = ["#"]\n')
    (tmp_path / "x.key").write_text("of the file\n")
    (user,) = load_config({}, {"HOME": str(tmp_path)}, cwd=tmp_path).broker_access.users
    assert (user.password, "of the file" in repr(user)) == ("of the file", False)
    path.write_text('[[broker_access.users]]\nname = "~x"\n')
    with pytest.raises(ConfigError, match=r"key broker_access.users\[0\].password_file: is missing: ~x needs"):
        load_config({}, {"HOME": str(tmp_path)}, cwd=tmp_path)
