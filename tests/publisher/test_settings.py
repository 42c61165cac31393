"""What a publisher is told, and where it finds broker and server."""

from __future__ import annotations

import pytest

from supervisor.process.rundir import RuntimeDirectory, ServerFiles
from supervisor.publisher.home import Home, PublisherRunsError, read_states
from supervisor.publisher.settings import default_id, load_settings
from supervisor.server.config import ConfigError

HERE = ServerFiles(
    url="http://127.0.0.1:5000", token="left-here", enrolment_key="k", broker_url="mqtt://u:pw@127.0.0.1:1999", pid=1
)


@pytest.fixture
def load(tmp_path):
    def call(environ=None, **flags):
        given = {"MUSTER_RUNTIME_DIR": str(tmp_path / "run"), "MUSTER_DATA_DIR": str(tmp_path / "data")}
        return load_settings(flags, {**given, **(environ or {})}, cwd=tmp_path, hostname="pi.local")

    return call


@pytest.fixture
def running(tmp_path):
    """A server of this user."""
    directory = RuntimeDirectory(tmp_path / "run")
    directory.publish(HERE)
    yield HERE
    directory.withdraw()


def test_nothing_has_to_be_told(load, tmp_path):
    settings = load()
    own = settings.publisher
    assert (own.id, own.prefix, own.interval, own.mode, own.driver) == (
        "soil-pi",
        "harit-samarth",
        60,
        "auto",
        "simulator",
    )
    assert own.stations() == ["soil-pi"]
    assert settings.home == tmp_path / "data" / "publisher"
    assert settings.station("soil-pi").topic == "harit-samarth/sensor/data"


@pytest.mark.parametrize(
    ("hostname", "expected"),
    [("pi", "soil-pi"), ("my_pi.lan", "soil-my_pi"), ("bü ro", "soil-b--ro"), ("", "soil-station")],
)
def test_the_default_id_is_a_serial_number_made_of_the_hosts_name(hostname, expected):
    assert default_id(hostname) == expected


def test_several_stations_are_numbered(load):
    assert load(id="S", count=3).publisher.stations() == ["S-1", "S-2", "S-3"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"id": "a b"}, "not a serial number"),
        ({"id": ".."}, "not a serial number"),
        ({"id": "x" * 64, "count": 2}, "too long"),
        ({"count": 0}, "flag --count"),
        ({"interval": 0.0}, "interval"),
        ({"prefix": "a/#"}, "prefix"),
        ({"server": "ftp://x"}, "server"),
        ({"broker": "http://x"}, "flag --broker"),
        ({"token_file": "nothing"}, "cannot be read"),
    ],
)
def test_nonsense_is_refused_with_its_source(load, flags, said):
    with pytest.raises(ConfigError, match=said):
        load(**flags)


def test_broker_and_server_are_those_of_the_server_of_this_user(load, running):
    places = load().places
    assert (places.broker().address, places.broker().username) == ("127.0.0.1:1999", "u")
    assert places.server()[:2] == (running.url, running.token)


def test_without_any_server_the_usual_broker_is_tried(load):
    places = load().places
    assert places.broker().address == "127.0.0.1:1883"
    assert places.server() is None


def test_a_broker_elsewhere_does_not_go_with_the_server_next_door(load, running):
    places = load({"MUSTER_BROKER_URL": "mqtt://farm:1883"}).places
    assert places.broker().address == "farm:1883"
    assert places.server() is None


def test_the_servers_own_broker_goes_with_it_however_it_is_named(load, running):
    assert load({"MQTT_BROKER_HOST": "127.0.0.1", "MQTT_BROKER_PORT": "1999"}).places.server().url == running.url


def test_a_server_elsewhere_does_not_go_with_the_broker_next_door(load, running):
    places = load({"MUSTER_SERVER_URL": "https://farm:5000/", "MUSTER_API_TOKEN": "mine"}).places
    assert places.broker() is None
    assert places.server()[:2] == ("https://farm:5000", "mine")


def test_the_flag_wins_over_the_environment(load):
    places = load(
        {"MUSTER_SERVER_URL": "http://a:1", "MUSTER_BROKER_URL": "mqtt://a"}, server="http://b:2", broker="mqtt://b"
    ).places
    assert (places.server().url, places.broker().host) == ("http://b:2", "b")


def test_the_token_that_a_server_left_is_only_for_that_server(load, running):
    assert load(server=running.url).places.server().token == "left-here"
    assert load(server="http://127.0.0.1:6000").places.server().token == ""


def test_a_token_comes_from_a_file(load, tmp_path):
    (tmp_path / "token").write_text("secret\n")
    assert load(server="http://a", token_file="token").places.server().token == "secret"
    (tmp_path / "token").write_text("\n")
    with pytest.raises(ConfigError, match="holds no token"):
        load(token_file="token")


def test_the_mode_decides_who_is_asked_at_all(load, running):
    assert load(mode="api").places.broker() is None
    assert load(mode="mqtt").places.server() is None


def test_no_secret_is_shown(load):
    assert "hunter2" not in repr(load({"MUSTER_API_TOKEN": "hunter2", "MUSTER_BROKER_URL": "mqtt://u:hunter2@b"}))


# The data directory


def test_a_second_process_on_the_same_directory_is_refused(tmp_path):
    with Home(tmp_path / "S"):
        with pytest.raises(PublisherRunsError, match="`S` runs already"):
            Home(tmp_path / "S")
        with Home(tmp_path / "T"):
            pass
    with Home(tmp_path / "S"):
        pass


def test_a_directory_that_cannot_be_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PublisherRunsError, match="cannot be used"):
        Home(tmp_path / "file" / "S")


def test_the_state_is_read_back_and_says_whether_its_process_lives(tmp_path):
    with Home(tmp_path / "S") as home:
        home.state.write_text('{"id": "S", "mode": "api"}')
        (tmp_path / "T").mkdir()
        (tmp_path / "T" / "state.json").write_text("{")
        assert list(read_states(tmp_path)) == [{"id": "S", "mode": "api", "running": True}]
    assert [state["running"] for state in read_states(tmp_path)] == [False]
