"""What an edge is told, and how what is wrong with it is said."""

from __future__ import annotations

import pytest

from edge.config import load_settings
from edge.settings import EdgeConfigError, EdgeSettings


@pytest.fixture
def load(tmp_path):
    def load(text="", flags=None, *, strict=True, **environ):
        if text:
            (tmp_path / "muster.toml").write_text(text)
        return load_settings(flags or {}, {"HOME": str(tmp_path), **environ}, cwd=tmp_path, strict=strict)

    return load


def test_nothing_is_enough(load):
    settings = load()
    assert settings.device_type == "raspberry_pi"
    assert settings.heartbeat == 30.0
    assert settings.broker_options() is None
    assert settings.find.mdns
    assert settings.find.scan
    assert settings.home.name == "edge"


def test_the_file_of_the_server_serves_the_edge_too(load):
    settings = load('timezone = "UTC"\n[http]\nport = 1\n[edge]\ndevice_id = "pi-1"\n')
    assert settings.device_id == "pi-1"


def test_flags_win_over_variables_and_variables_over_the_file(load):
    text = '[edge]\ndevice_id = "file"\nserver_url = "http://file"\nheartbeat = 5\n'
    settings = load(text, {"device_id": "flag"}, MUSTER_DEVICE_ID="variable", MUSTER_SERVER_URL="http://variable/")
    assert (settings.device_id, settings.server_url, settings.heartbeat) == ("flag", "http://variable", 5)


def test_an_empty_variable_counts_as_not_given(load):
    assert load("[edge]\nheartbeat = 5\n", MUSTER_HEARTBEAT="").heartbeat == 5


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"MUSTER_BROKER_URL": "mqtt://u:p@h:1884"}, "mqtt://u:p@h:1884"),
        ({"MUSTER_BROKER_URL": "mqtt://h", "MQTT_USERNAME": "u", "MQTT_PASSWORD": "p@"}, "mqtt://u:p%40@h"),
        ({"MQTT_BROKER_HOST": "h"}, "mqtt://h"),
        ({"MQTT_BROKER_HOST": "::1", "MQTT_BROKER_PORT": "1885", "MQTT_USE_TLS": "true"}, "mqtts://[::1]:1885"),
        ({"MQTT_BROKER_HOST": "h", "MQTT_USERNAME": "u"}, "mqtt://u@h"),
    ],
)
def test_the_broker_by_its_url_or_by_the_common_names(load, environ, url):
    assert load(**environ).broker.url == url


def test_the_common_names_of_the_connection(load):
    settings = load(MQTT_BROKER_HOST="h", MQTT_CLIENT_ID="c", MQTT_KEEPALIVE="60")
    assert settings.client_id == "c"
    options = settings.broker.complete(settings.broker_options())
    assert (options.host, options.keepalive) == ("h", 60)


def test_tls_files_go_to_the_broker_that_needs_them(load):
    text = '[edge]\nca_file = "ca.pem"\n[edge.broker]\ncert_file = "c.pem"\nkey_file = "k.pem"\n'
    encrypted = load(text, MUSTER_BROKER_URL="mqtts://h")
    options = encrypted.broker.complete(encrypted.broker_options())
    assert options.ca_file.endswith("/ca.pem")
    assert (options.cert_file, options.key_file) == ("c.pem", "k.pem")
    plain = load(text, MUSTER_BROKER_URL="mqtt://h")
    assert plain.broker.complete(plain.broker_options()).cert_file == ""


def test_the_key_stands_in_a_file_or_in_the_configuration_and_the_higher_layer_wins(load, tmp_path):
    (tmp_path / "key").write_text("from-the-file\n")
    assert load(MUSTER_ENROLMENT_KEY_FILE="key").enrolment_key == "from-the-file"
    text = '[edge]\nenrolment_key_file = "key"\n'
    assert load(text, MUSTER_ENROLMENT_KEY="from-the-variable").enrolment_key == "from-the-variable"
    text = '[edge]\nenrolment_key = "in-the-configuration"\n'
    assert load(text, {"enrolment_key_file": "key"}).enrolment_key == "from-the-file"


def test_secrets_are_not_shown(load):
    settings = load(
        MUSTER_ENROLMENT_KEY="geheim-1",
        MUSTER_API_TOKEN="geheim-2",
        MUSTER_HUB_CONNECTION_STRING="geheim-3",
        MUSTER_BROKER_URL="mqtt://u:geheim-4@h",
    )
    assert "geheim" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "environ", "said"),
    [
        ("[edge]\nhartbeat = 3\n", {}, "key hartbeat: is not known"),
        ("[edge]\nheartbeat = 0\n", {}, "key heartbeat"),
        ("[edge.find]\nmdns = 3\n", {}, "key find.mdns"),
        ("[edge]\ndevice_id = 'a b'\n", {}, "`device_id` `a b` is not a serial number"),
        ("[edge]\ncandidates = ['a b']\n", {}, "`candidates` has `a b`"),
        ("[[edge.sensors]]\nid = '..'\n", {}, "`id`"),
        ("[edge.broker]\ncert_file = 'x'\n", {}, "belong together"),
        ("edge = 3\n", {}, "key edge: is not a section"),
        ("[edge\n", {}, "is not valid TOML"),
        ("", {"MUSTER_HEARTBEAT": "soon"}, "variable MUSTER_HEARTBEAT: `soon` is not a number"),
        ("", {"MUSTER_SERVER_URL": "ftp://x"}, "variable MUSTER_SERVER_URL"),
        ("", {"MUSTER_BROKER_URL": "http://x"}, "variable MUSTER_BROKER_URL"),
        ("", {"MQTT_BROKER_HOST": "h", "MQTT_USE_TLS": "perhaps"}, "MQTT_USE_TLS: `perhaps` is neither true nor false"),
        ("", {"MQTT_KEEPALIVE": "x"}, "variable MQTT_KEEPALIVE: `x` is not a whole number"),
        ("", {"MUSTER_ENROLMENT_KEY_FILE": "nowhere"}, "cannot be read"),
        ("", {"MUSTER_CONFIG": "nowhere.toml"}, "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_that_names_it(load, text, environ, said):
    with pytest.raises(EdgeConfigError) as refusal:
        load(text, **environ)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_edge_that_went_back_to_the_version_before_starts_with_the_file_of_the_one_after(load, caplog):
    text = "[edge]\nheartbeat = 7\nlater = 1\n[edge.future]\nx = 1\n[edge.find]\nmdns = false\nsonar = true\n"
    text += "[[edge.sensors]]\nid = 'soil-1'\ncolour = 'red'\n"
    settings = load(text, strict=False)
    assert (settings.heartbeat, settings.find.mdns, settings.sensors[0].id) == (7.0, False, "soil-1")
    told = " ".join(record.getMessage() for record in caplog.records)
    for key in ("later", "future", "find.sonar", "sensors[0].colour"):
        assert f"key {key}: is not known to version" in told


def test_a_wrong_value_is_refused_all_the_same(load):
    with pytest.raises(EdgeConfigError, match="key heartbeat"):
        load("[edge]\nlater = 1\nheartbeat = 0\n", strict=False)


def test_a_file_without_a_key_is_named(load, tmp_path):
    (tmp_path / "key").write_text("\n")
    with pytest.raises(EdgeConfigError, match="holds no key"):
        load(MUSTER_ENROLMENT_KEY_FILE="key")


def test_the_defaults_are_valid():
    assert EdgeSettings().sensors == ()


@pytest.mark.parametrize(
    ("text", "environ", "key"),
    [
        ("", {"MUSTER_SERVER_URL": "http://user:PW@host"}, "server_url"),
        ("", {"MUSTER_CANDIDATES": "10.0.0.1,https://user:PW@host:5000/x"}, "candidates"),
        ('[edge]\nserver_url = "https://PW@host"\n', {}, "server_url"),
    ],
)
def test_a_password_in_the_url_of_a_server_is_refused_and_not_shown(load, text, environ, key):
    with pytest.raises(EdgeConfigError, match=rf"`{key}` has an `@`") as told:
        load(text, **environ)
    assert "PW" not in str(told.value)


def test_an_at_sign_in_a_path_is_no_password(load):
    assert load(MUSTER_SERVER_URL="http://host/@x").server_url == "http://host/@x"
