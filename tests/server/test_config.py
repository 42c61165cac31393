"""The configuration: layers, defaults, refusals in one sentence, and secrets that stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.release.keys import PrivateKey
from supervisor.server import config as config_module
from supervisor.server.config import Broker, Config, ConfigError, load_config
from supervisor.server.config import default_data_dir as data_dir_of


@pytest.fixture(autouse=True)
def _no_system_file(monkeypatch, tmp_path):
    monkeypatch.setattr(config_module, "SYSTEM_FILE", tmp_path / "etc" / "muster.toml")


@pytest.fixture
def load(tmp_path):
    def call(environ=None, flags=None, toml=None) -> Config:
        if toml is not None:
            (tmp_path / "muster.toml").write_text(toml, encoding="utf-8")
        return load_config(flags or {}, {"HOME": "/home/ada", **(environ or {})}, cwd=tmp_path)

    return call


def refusal(load, **layers) -> str:
    with pytest.raises(ConfigError) as caught:
        load(**layers)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence[-1] in ".?"
    return sentence


# -- defaults ---------------------------------------------------------------------------------------------------------


def test_without_any_configuration_everything_is_local(load):
    config = load()
    assert [broker.name for broker in config.brokers] == ["local"]
    assert config.brokers[0].url == "mqtt://127.0.0.1:1883"
    assert not config.broker_given
    assert (config.http.host, config.http.port, config.http.is_loopback) == ("127.0.0.1", 5000, True)
    assert config.http.url == "http://127.0.0.1:5000"
    assert config.offline_after is None
    assert config.sites == "all"
    assert config.primary
    assert config.shared_topics
    assert config.timezone == "UTC"
    assert config.log == "text"


def test_the_database_is_sqlite_in_the_data_directory(load):
    config = load({"MUSTER_DATA_DIR": "/srv/muster"})
    assert config.database.url == "sqlite:////srv/muster/muster.db"


def test_a_relative_data_directory_is_made_absolute(load, tmp_path):
    assert load({"MUSTER_DATA_DIR": "data"}).data_path == tmp_path / "data"


def test_the_data_directory_follows_the_xdg_rules():
    assert data_dir_of({"HOME": "/home/ada"}, root=False) == Path("/home/ada/.local/share/muster")
    assert data_dir_of({"HOME": "/home/ada", "XDG_DATA_HOME": "/xdg"}, root=False) == Path("/xdg/muster")
    assert data_dir_of({"HOME": "/home/ada", "XDG_DATA_HOME": "x"}, root=False) == Path("/home/ada/.local/share/muster")
    assert data_dir_of({"HOME": "/root"}, root=True) == Path("/var/lib/muster")


# -- layers -----------------------------------------------------------------------------------------------------------


def test_flags_win_over_variables_and_variables_over_the_file(load):
    toml = 'offline_after = 10\nlog = "json"\n[http]\nhost = "10.0.0.1"\nport = 8000\n'
    environ = {"MUSTER_HTTP": ":8001", "MUSTER_OFFLINE_AFTER": "20"}
    config = load(environ, {"offline_after": "30.5"}, toml)
    assert config.offline_after == 30.5
    assert (config.http.host, config.http.port) == ("10.0.0.1", 8001)
    assert config.log == "json"


def test_a_flag_that_is_not_given_changes_nothing(load):
    assert load({"MUSTER_HTTP": "127.0.0.1:7"}, {"http": None, "log": None}).http.port == 7


def test_an_empty_variable_counts_as_absent(load):
    assert load({"MUSTER_HTTP": "", "MUSTER_OFFLINE_AFTER": "", "MUSTER_BROKER_URL": ""}) == load()


def test_the_file_given_by_flag_is_read_instead_of_the_local_one(load, tmp_path):
    (tmp_path / "other.toml").write_text("offline_after = 99\n", encoding="utf-8")
    assert load(None, {"config": "other.toml"}, "offline_after = 1\n").offline_after == 99
    assert load({"MUSTER_CONFIG": "other.toml"}).offline_after == 99


def test_the_system_file_is_read_when_there_is_no_local_one(load, tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "muster.toml").write_text("offline_after = 77\n", encoding="utf-8")
    assert load().offline_after == 77
    assert load(toml="").offline_after is None


def test_every_key_can_stand_in_the_file(load):
    config = load(
        toml="""
        data_dir = "/srv/m"
        offline_after = 45
        sites = ["plant-1", "greenhouse"]
        primary = false
        shared_topics = false
        prefixes = ["harit-samarth", "farm/west"]
        timezone = "Europe/Berlin"
        api_token = "t"
        enrolment_key = "a key of the fleet"
        log = "json"

        [[brokers]]
        name = "plant"
        url = "mqtts://u:p%40ss@broker.example"
        tls = { ca = "/ca.pem", cert = "/c.pem", key = "/k.pem" }
        keepalive = 60
        timeout = 3.5

        [[brokers]]
        name = "yard"
        url = "mqtt://10.0.0.2:1884"

        [http]
        host = "::1"
        port = 0

        [database]
        url = "postgresql://muster:pw@db/muster"

        [offline_after_for]
        kind = { raspberry_pi = 60 }
        type = { monstro = 40.5 }
        site = { greenhouse = 90 }
        device = { TEST123 = 10 }

        [publishing]
        qos = 0
        retain = true

        [embedded_broker]
        port = 1899
        implementation = "mosquitto"

        [limits]
        unresolved_bytes = 1000000
        """
    )
    plant, yard = config.brokers
    assert (plant.host, plant.port, plant.uses_tls) == ("broker.example", 8883, True)
    assert (plant.username, plant.password, plant.tls.ca) == ("u", "p@ss", "/ca.pem")
    assert (yard.host, yard.port, yard.uses_tls, yard.username) == ("10.0.0.2", 1884, False, "")
    assert config.broker_given
    assert config.http.url == "http://[::1]:0"
    assert config.database.url == "postgresql://muster:pw@db/muster"
    assert config.sites == ("plant-1", "greenhouse")
    assert config.offline_after_for.kind == {"raspberry_pi": 60}
    assert config.offline_after_for.device == {"TEST123": 10}
    assert (config.publishing.qos, config.publishing.retain) == (0, True)
    assert (config.embedded_broker.port, config.embedded_broker.implementation) == (1899, "mosquitto")
    assert config.limits.unresolved_bytes == 1_000_000
    assert not config.primary


def test_every_variable_is_understood(load):
    config = load(
        {
            "MUSTER_BROKER_URL": "mqtt://u:pw@broker:1884",
            "MUSTER_DATABASE_URL": "mysql://u:pw@db/muster",
            "MUSTER_HTTP": "[::]:80",
            "MUSTER_DATA_DIR": "/d",
            "MUSTER_OFFLINE_AFTER": "5",
            "MUSTER_SITES": "plant-1, greenhouse",
            "MUSTER_PRIMARY": "no",
            "MUSTER_SHARED_TOPICS": "off",
            "MUSTER_PREFIXES": "a,b/c",
            "MUSTER_TIMEZONE": "Asia/Kolkata",
            "MUSTER_API_TOKEN": "t",
            "MUSTER_ENROLMENT_KEY": "a key of the fleet",
            "MUSTER_LOG": "json",
            "MUSTER_BROKER_PORT": "1999",
            "MUSTER_BROKER": "amqtt",
        }
    )
    assert (config.brokers[0].host, config.brokers[0].port) == ("broker", 1884)
    assert config.database.url == "mysql://u:pw@db/muster"
    assert (config.http.host, config.http.port) == ("::", 80)
    assert config.sites == ("plant-1", "greenhouse")
    assert (config.primary, config.shared_topics) == (False, False)
    assert config.prefixes == ("a", "b/c")
    assert config.timezone == "Asia/Kolkata"
    assert (config.api_token, config.enrolment_key, config.log) == ("t", "a key of the fleet", "json")
    assert (config.embedded_broker.port, config.embedded_broker.implementation) == (1999, "amqtt")


def test_sites_can_be_all_by_variable(load):
    assert load({"MUSTER_SITES": "all"}, toml='sites = ["one"]\n').sites == "all"


def test_the_common_mqtt_names_are_honoured(load):
    config = load(
        {
            "MQTT_BROKER_HOST": "broker",
            "MQTT_BROKER_PORT": "8884",
            "MQTT_USERNAME": "ada",
            "MQTT_PASSWORD": "p:/@ss",
            "MQTT_USE_TLS": "true",
            "MQTT_CLIENT_ID": "mine",
            "MQTT_QOS": "0",
            "MQTT_RETAIN": "1",
            "MQTT_KEEPALIVE": "45",
            "MQTT_TIMEOUT": "7",
        }
    )
    (broker,) = config.brokers
    assert (broker.host, broker.port, broker.uses_tls) == ("broker", 8884, True)
    assert (broker.username, broker.password) == ("ada", "p:/@ss")
    assert (broker.client_id, broker.keepalive, broker.timeout) == ("mine", 45, 7)
    assert (config.publishing.qos, config.publishing.retain) == (0, True)
    assert config.broker_given


def test_the_port_of_a_common_broker_follows_from_tls(load):
    assert load({"MQTT_BROKER_HOST": "b"}).brokers[0].port == 1883
    assert load({"MQTT_BROKER_HOST": "b", "MQTT_USE_TLS": "on"}).brokers[0].port == 8883
    assert load({"MQTT_BROKER_HOST": "fe80::1"}).brokers[0].host == "fe80::1"


def test_our_broker_url_wins_and_takes_only_missing_credentials_from_the_common_names(load):
    common = {"MQTT_BROKER_HOST": "other", "MQTT_USERNAME": "ada", "MQTT_PASSWORD": "pw"}
    (broker,) = load({**common, "MUSTER_BROKER_URL": "mqtt://mine:1900"}).brokers
    assert (broker.host, broker.port, broker.username, broker.password) == ("mine", 1900, "ada", "pw")
    (broker,) = load({**common, "MUSTER_BROKER_URL": "mqtt://bob@mine"}).brokers
    assert (broker.username, broker.password) == ("bob", "")


def test_a_broker_variable_changes_the_first_broker_of_the_file_and_keeps_the_rest(load):
    toml = """
        [[brokers]]
        name = "a"
        url = "mqtt://a"
        tls = { ca = "/ca.pem" }
        [[brokers]]
        name = "b"
        url = "mqtt://b"
    """
    first, second = load({"MUSTER_BROKER_URL": "mqtts://new"}, toml=toml).brokers
    assert (first.name, first.host, first.tls.ca) == ("a", "new", "/ca.pem")
    assert (second.name, second.host) == ("b", "b")


def test_settings_of_a_broker_alone_do_not_count_as_a_broker(load):
    config = load({"MQTT_KEEPALIVE": "45"})
    assert config.brokers[0].keepalive == 45
    assert not config.broker_given


def test_the_embedded_brokers_url_replaces_the_default(load):
    config = load().with_broker_url("mqtt://127.0.0.1:1899")
    assert config.brokers[0].port == 1899
    assert config.brokers[0].name == "local"


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "key"),
    [
        ("offlin_after = 3\n", "offlin_after"),
        ("[http]\nhots = 'x'\n", "http.hots"),
        ("[[brokers]]\nurl = 'mqtt://a'\nqos = 1\n", "brokers[0].qos"),
        ("[limits]\nbytes = 1\n", "limits.bytes"),
        ("[offline_after_for]\nkind = { toaster = 3 }\n", "offline_after_for"),
    ],
)
def test_an_unknown_key_is_refused_with_file_and_key(load, tmp_path, toml, key):
    sentence = refusal(load, toml=toml)
    assert str(tmp_path / "muster.toml") in sentence
    assert key in sentence


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("offline_after = 0\n", ["offline_after", "> 0"]),
        ("offline_after = 'long'\n", ["offline_after", "float"]),
        ("sites = 'some'\n", ["sites"]),
        ("sites = ['a/b']\n", ["sites"]),
        ("timezone = 'Mars/Olympus'\n", ["timezone", "Mars/Olympus"]),
        ("timezone = '../../etc/passwd'\n", ["timezone"]),
        ("log = 'xml'\n", ["log"]),
        ("prefixes = ['a/#']\n", ["prefixes"]),
        ("brokers = []\n", ["brokers", "empty"]),
        ("[http]\nport = 70000\n", ["http.port", "65535"]),
        ("[database]\nurl = 'mongodb://x/y'\n", ["database", "sqlite:///"]),
        ("[database]\nurl = 'sqlite://'\n", ["database", "file"]),
        ("[database]\nurl = 'postgresql:///x'\n", ["database", "host"]),
        ("[[brokers]]\nurl = 'http://x'\n", ["brokers[0]", "mqtt://"]),
        ("[[brokers]]\nurl = 'mqtt://'\n", ["brokers[0]", "host"]),
        ("[[brokers]]\nurl = 'mqtt://x:99999'\n", ["brokers[0]", "port"]),
        ("[[brokers]]\nurl = 'mqtt://u:p/w@x'\n", ["brokers[0]"]),
        ("[[brokers]]\nurl = 'mqtt://x/path'\n", ["brokers[0]", "after the port"]),
        ("[[brokers]]\nname = 'a b'\n", ["brokers[0].name"]),
        ("[[brokers]]\n[[brokers]]\n", ["same name"]),
        ("[[brokers]]\ntls = { cert = '/c.pem' }\n", ["brokers[0].tls", "key"]),
        ("[publishing]\nqos = 3\n", ["publishing.qos"]),
        ("[home_assistant]\nbroker = 'hall'\n", ["home_assistant.broker", "'hall'"]),
        ("[home_assistant]\nprefix = 'home/#'\n", ["home_assistant.prefix"]),
        ("[home_assistant]\nrate = 0\n", ["home_assistant.rate"]),
        ("[updates.windows.x]\nbegin = '25:00'\nend = '1:00'\n", ["updates.windows", "begin"]),
        ("[[updates.windows.x]]\nbegin = '22:00'\nend = '01:00'\ntimezone = 'Mars/Olympus'\n", ["Mars/Olympus"]),
    ],
)
def test_a_bad_value_in_the_file_is_refused_with_key_and_reason(load, tmp_path, toml, words):
    sentence = refusal(load, toml=toml)
    for word in [str(tmp_path / "muster.toml"), *words]:
        assert word in sentence


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("MUSTER_HTTP", "localhost", "host:port"),
        ("MUSTER_HTTP", "localhost:http", "host:port"),
        ("MUSTER_HTTP", "localhost:99999", "65535"),
        ("MUSTER_HTTP", "::1:80", "brackets"),
        ("MUSTER_HTTP", "host:-1", "host:port"),
        ("MUSTER_HTTP", "host:٣", "host:port"),
        ("MUSTER_OFFLINE_AFTER", "soon", "number"),
        ("MUSTER_OFFLINE_AFTER", "-1", "offline_after"),
        ("MUSTER_OFFLINE_AFTER", "nan", "offline_after"),
        ("MUSTER_OFFLINE_AFTER", "inf", "offline_after"),
        ("MUSTER_PRIMARY", "maybe", "true nor false"),
        ("MUSTER_BROKER_URL", "tcp://x", "mqtt://"),
        ("MUSTER_BROKER_URL", "mqtt://x:port", "port"),
        ("MUSTER_DATABASE_URL", "oracle://x/y", "sqlite:///"),
        ("MUSTER_LOG", "yaml", "log"),
        ("MUSTER_SITES", "a,b/c", "sites"),
        ("MUSTER_TIMEZONE", "Nowhere", "Nowhere"),
        ("MUSTER_BROKER", "emqx", "embedded_broker.implementation"),
        ("MQTT_QOS", "7", "publishing.qos"),
        ("MQTT_KEEPALIVE", "1.5", "whole number"),
        ("MQTT_TIMEOUT", "0", "timeout"),
    ],
)
def test_a_bad_value_in_a_variable_is_refused_with_its_name(load, name, value, word):
    sentence = refusal(load, environ={name: value})
    assert f"variable {name}" in sentence
    assert word in sentence


def test_a_bad_port_or_tls_among_the_common_names_is_refused_with_its_name(load):
    common = {"MQTT_BROKER_HOST": "b"}
    assert "MQTT_BROKER_PORT" in refusal(load, environ={**common, "MQTT_BROKER_PORT": "0"})
    assert "MQTT_USE_TLS" in refusal(load, environ={**common, "MQTT_USE_TLS": "tls"})


def test_a_bad_flag_is_refused_with_its_name(load):
    assert "flag --http" in refusal(load, flags={"http": "nowhere"})
    assert "flag --offline-after" in refusal(load, flags={"offline_after": "0"})


def test_a_misspelt_variable_is_refused_and_a_foreign_one_is_left_alone(load):
    sentence = refusal(load, environ={"MUSTER_BROKR_URL": "mqtt://x"})
    assert "MUSTER_BROKR_URL" in sentence
    assert "MUSTER_BROKER_URL" in sentence
    # What Kubernetes sets for a service called `muster`, and what the edge reads.
    load({"MUSTER_PORT": "tcp://10.0.0.1:80", "MUSTER_SERVICE_HOST": "10.0.0.1", "MUSTER_SERVER_URL": "http://x"})


def test_a_file_that_is_missing_or_broken_is_refused(load, tmp_path):
    assert "cannot be read" in refusal(load, flags={"config": "absent.toml"})
    assert "not valid TOML" in refusal(load, toml="= 3")
    (tmp_path / "muster.toml").write_bytes(b"log = '\xff'")
    assert "not valid TOML" in refusal(load)


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_secrets_appear_in_no_representation(load):
    config = load(
        {
            "MUSTER_BROKER_URL": "mqtt://ada:s3cret@broker",
            "MUSTER_DATABASE_URL": "postgresql://ada:s3cret@db/muster",
            "MUSTER_API_TOKEN": "s3cret",
            "MUSTER_ENROLMENT_KEY": "s3cret-s3cret-s3cret",
        }
    )
    assert "s3cret" not in repr(config)
    assert "s3cret" not in f"{config} {config.brokers} {config.database}"
    assert "ada" in repr(config)
    assert config.brokers[0].password == "s3cret"


@pytest.mark.parametrize("url", ["http://ada:s3cret@x", "mqtt://ada:s3cret@x/path", "mqtt://ada:s3cret@"])
def test_a_refused_url_does_not_show_its_password(load, url):
    assert "s3cret" not in refusal(load, environ={"MUSTER_BROKER_URL": url})


def test_a_refused_database_url_does_not_show_its_password(load):
    assert "s3cret" not in refusal(load, environ={"MUSTER_DATABASE_URL": "oracle://ada:s3cret@x/y"})
    assert "s3cret" not in refusal(load, environ={"MUSTER_DATABASE_URL": "mysql://ada:s3cret@x/"})


def test_credentials_are_unquoted():
    broker = Broker(configured_url="mqtt://a%40b:c%2Fd@x")
    assert (broker.username, broker.password) == ("a@b", "c/d")


# -- files with a secret each -----------------------------------------------------------------------------------------


def test_secrets_are_read_from_the_files_that_are_named(load, tmp_path):
    for name in ("key", "password"):
        (tmp_path / name).write_text(f"  the {name} of the whole fleet\n", encoding="utf-8")
    hub = "HostName=h.example;SharedAccessKeyName=registry;SharedAccessKey=c2VjcmV0"
    (tmp_path / "hub").write_text(f"{hub}\n", encoding="utf-8")
    config = load(
        toml="""
        enrolment_key_file = "key"
        enrolment = { username = "fleet", password_file = "password" }
        hub = { service_connection_string_file = "hub" }
        """
    )
    assert config.enrolment_key == "the key of the whole fleet"
    assert config.enrolment.password == "the password of the whole fleet"
    assert config.hub.service_connection_string == hub
    assert "of the whole fleet" not in repr(config)
    assert "c2VjcmV0" not in repr(config)


def test_a_secret_of_the_environment_takes_the_place_of_a_file_and_the_other_way_round(load, tmp_path):
    (tmp_path / "key").write_text("the key of the file", encoding="utf-8")
    from_file = 'enrolment_key_file = "key"'
    assert load({"MUSTER_ENROLMENT_KEY": "the key of the variable"}, toml=from_file).enrolment_key[-8:] == "variable"
    from_text = 'enrolment_key = "the key of the text"'
    assert load({"MUSTER_ENROLMENT_KEY_FILE": "key"}, toml=from_text).enrolment_key == "the key of the file"


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ('enrolment_key = "too short"', "`enrolment_key` is too short"),
        ('enrolment_key_file = "short"', "key enrolment_key_file: the file"),
        ('enrolment_key_file = "empty"', "is empty"),
        ('enrolment_key_file = "nowhere"', "cannot be read: No such file"),
        ('enrolment_key_file = "key"\nenrolment_key = "given here as well"', "leave one of them out"),
        ('[enrolment]\npassword = "p"', "`password` belongs to a `username`"),
        ('[enrolment]\nbroker_url = "http://x"', "does not begin with mqtt://"),
        ('[enrolment]\napprove = "never"', "key enrolment.approve"),
        ('[enrolment]\nhosts = ["muster.example:5000"]', "`muster.example:5000` is neither a name nor an address"),
        ('[enrolment]\nhosts = ["http://muster.example"]', "leave scheme and port out"),
        ('[mdns]\ninterfaces = [""]', "key mdns.interfaces"),
        ('[hub]\nservice_connection_string = "HostName=h;SharedAccessKey=k3y"', "key hub: connection string"),
        ('[hub]\nservice_connection_string = "HostName=h;DeviceId=d;SharedAccessKey=azN5"', "none of a service"),
    ],
)
def test_what_is_wrong_with_enrolment_is_one_sentence(load, tmp_path, toml, sentence):
    for name, text in (("short", "k3y"), ("empty", " \n"), ("key", "the key of the file")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    told = refusal(load, toml=toml)
    assert sentence in told
    assert "k3y" not in told


def test_maintenance_windows_are_one_for_a_site_or_several(load):
    one = "[updates.windows.'plant-1']\nbegin = '22:00'\nend = '04:30'\ntimezone = 'Europe/Rome'\n"
    several = "[[updates.windows.'plant-2']]\nbegin = '12:00'\nend = '13:00'\ndays = ['sat', 'sun']\n"
    windows = load(toml=one + several).updates.windows_by_site()
    assert [(site, each[0].begin, each[0].timezone, len(each[0].days)) for site, each in windows.items()] == [
        ("plant-1", "22:00", "Europe/Rome", 7),
        ("plant-2", "12:00", "UTC", 2),
    ]


# -- updates ----------------------------------------------------------------------------------------------------------


def test_keys_of_releases_are_read_and_one_that_is_none_is_named(load):
    line = PrivateKey.generate("ops").public.line.strip()
    assert load(toml=f'[updates]\nkeys = ["{line}"]\n').updates.keys == (line,)
    assert "`updates.keys`: 'nonsense' is no release key" in refusal(load, toml='[updates]\nkeys = ["nonsense"]\n')
    assert "updates.download_rate" in refusal(load, toml="[updates]\ndownload_rate = 1\n")


# -- reverse proxies --------------------------------------------------------------------------------------------------


def test_proxies_are_addresses_and_networks(load):
    http = load(toml='[http]\nproxies = ["10.0.0.1", "127.0.0.0/8", "fd00::/8"]\nforwarded = "forwarded"\n').http
    assert (http.proxies, http.forwarded) == (("10.0.0.1", "127.0.0.0/8", "fd00::/8"), "forwarded")
    assert (load(toml="").http.proxies, load(toml="").http.forwarded) == ((), "x-forwarded")


@pytest.mark.parametrize("network", ["proxy.example", "10.0.0.0/40", "0.0.0.0/0", "::/0"])
def test_a_proxy_that_is_no_address_or_everybody_is_refused(load, network):
    sentence = refusal(load, toml=f'[http]\nproxies = ["{network}"]\n')
    assert "`proxies`" in sentence
    assert network in sentence
