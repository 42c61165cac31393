"""`muster install server --root DIR`: every file of it, and that server and Mosquitto work with them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import ssl
import stat
import threading
import tomllib
from pathlib import Path

import pytest

from supervisor.cli import install as command
from supervisor.installer import Plan
from supervisor.pki.authority import Authority
from supervisor.pki.certificates import Pair, issue, make_request
from supervisor.server.access.dynsec_file import find_plugin
from supervisor.server.config import load_config
from tests.support.installation import ALONE, build_wheel, everything_below, lend_packages, run
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Device
from tests.support.muster import Api
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.wait import eventually

EXPECTED = {
    "/etc/mosquitto/conf.d/muster.conf": 0o644,
    "/etc/mosquitto/muster/access/acl": 0o640,
    "/etc/mosquitto/muster/access/passwords": 0o640,
    "/etc/muster/admin-token": 0o600,
    "/etc/muster/enrolment-key": 0o640,
    "/etc/muster/muster.toml": 0o640,
    "/etc/sysusers.d/muster.conf": 0o644,
    "/etc/systemd/system/muster-broker.path": 0o644,
    "/etc/systemd/system/muster-broker.service": 0o644,
    "/etc/systemd/system/muster.service": 0o644,
    "/etc/tmpfiles.d/muster.conf": 0o644,
    "/opt/muster/manifest.json": 0o600,
}
EXPECTED_WITH_TLS = {
    "/etc/mosquitto/muster/access/devices-ca.pem": 0o640,
    "/etc/mosquitto/muster/access/devices-crl.pem": 0o640,
    "/etc/mosquitto/muster/ca.pem": 0o640,
    "/etc/mosquitto/muster/server.key": 0o640,
    "/etc/mosquitto/muster/server.pem": 0o640,
    "/etc/muster/ca.pem": 0o644,
    "/etc/muster/http.pem": 0o640,
    "/etc/muster/tls/ca.key": 0o600,
    "/etc/muster/tls/ca.pem": 0o644,
    "/var/lib/muster/pki/ca.key": 0o600,
    "/var/lib/muster/pki/ca.pem": 0o600,
    "/var/lib/muster/pki/crl.pem": 0o600,
}
UNIT = "etc/systemd/system/muster.service"


@pytest.fixture
def server_install(muster, tmp_path, monkeypatch):
    """`server_install(...)`: installs into `tmp_path/root`, but for the environment, which takes its time."""
    plan_server = command.plan_server

    def plan(*arguments):
        whole = plan_server(*arguments)
        return Plan([step for step in whole.steps if step.kind != "venv"], whole.remembered)

    monkeypatch.setattr(command, "plan_server", plan)
    return lambda *flags: muster("install", "server", "--root", tmp_path / "root", *flags)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


def modes(root):
    files = {path: (root / path[1:]).lstat().st_mode for path in everything_below(root)}
    return {path: stat.S_IMODE(mode) for path, mode in files.items() if stat.S_ISREG(mode)}


def configuration(root):
    return tomllib.loads((root / "etc/muster/muster.toml").read_text())


class Installed(Mosquitto):
    """Mosquitto as Debian starts it, with the files of an installation in a directory."""

    def __init__(self, root):
        super().__init__()
        self.root = root
        self.tls_port, self.certificate_port = free_port(), free_port()

    def prepare(self):
        main = Path("/etc/mosquitto/mosquitto.conf")
        lines = main.read_text() if main.exists() else f"persistence true\npersistence_location {self.directory}/\n"
        shutil.copytree(self.root / "etc/mosquitto", self.directory / "etc")
        for path in [self.directory, *self.directory.rglob("*")]:
            if os.geteuid() == 0:
                shutil.chown(path, "mosquitto", "mosquitto")
        lines = lines.replace("/etc/mosquitto/conf.d", f"{self.directory}/etc/conf.d")
        lines = lines.replace("/var/lib/mosquitto/", f"{self.directory}/")
        lines = re.sub(r"(?m)^(pid_file|log_dest) .*$", "", lines)
        (self.directory / "mosquitto.conf").write_text(lines)
        drop_in = self.directory / "etc/conf.d/muster.conf"
        text = drop_in.read_text().replace("/etc/mosquitto/", f"{self.directory}/etc/")
        text = text.replace("listener 1883", f"listener {self.port}").replace("8883", f"{self.tls_port}")
        drop_in.write_text(text.replace("8884", f"{self.certificate_port}"))

    @contextlib.contextmanager
    def reloaded_as_installed(self):
        """In place of systemd: has it read its files again when one changes that the installed unit names."""
        unit = (self.root / "etc/systemd/system/muster-broker.path").read_text()
        watched = [self.directory / "etc" / name for name in re.findall(r"PathChanged=/etc/mosquitto/(\S+)", unit)]
        stop = threading.Event()

        def stamps():
            return [path.stat().st_mtime_ns if path.exists() else 0 for path in watched]

        def watch():
            before = stamps()
            while not stop.wait(0.05):
                now = stamps()
                if now != before and self.process is not None and self.process.running:
                    self.process.send(signal.SIGHUP)
                before = now

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            yield
        finally:
            stop.set()
            watching.join(10)


@pytest.fixture
def start_broker(needs):
    """`start_broker(root)`: a running Mosquitto with the files of the installation."""
    needs("mosquitto")
    with contextlib.ExitStack() as stack:

        def start(root):
            broker = stack.enter_context(Installed(root))
            stack.enter_context(broker.reloaded_as_installed())
            return broker

        yield start


def with_plugin(root):
    """Let the installation find Mosquitto's plugin for dynamic security, where this machine has it."""
    path = root / find_plugin()[1:]
    path.parent.mkdir(parents=True)
    path.touch()


def is_kept_out(broker, ca, pem):
    try:
        Device(f"mqtts://127.0.0.1:{broker.certificate_port}", ca_file=ca, cert_file=pem).connect().disconnect()
    except (OSError, AssertionError):
        return True
    return False


def address(url, port):
    return re.sub(r":\d+$", f":{port}", url)


# -- what is there ----------------------------------------------------------------------------------------------------


def test_every_file_has_its_mode_and_the_removal_leaves_nothing(server_install, muster, root):
    assert server_install().code == 0
    assert modes(root) == EXPECTED
    result = muster("uninstall", "server", "--root", root)
    assert (result.code, everything_below(root)) == (0, set()), result


def test_with_tls_there_are_an_authority_and_a_certificate_too(server_install, muster, root):
    assert server_install("--tls").code == 0
    assert modes(root) == EXPECTED | EXPECTED_WITH_TLS
    assert stat.S_IMODE((root / "etc/muster/tls").stat().st_mode) == 0o700
    muster("uninstall", "server", "--root", root)
    assert everything_below(root) == set()


def test_systemd_finds_nothing_wrong_with_the_unit(server_install, root, tmp_path, needs):
    analyze = needs("systemd-analyze")
    for flags in ((), ("--log-file",)):
        server_install(*flags)
        unit = tmp_path / "muster.service"
        unit.write_text(re.sub("/opt/muster/venv/bin/python", "/bin/true", (root / UNIT).read_text()))
        done = run(analyze, "verify", "--man=no", unit)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_log_file_is_turned_over_daily_and_kept_for_a_week(server_install, root):
    server_install("--log-file")
    assert "StandardError=append:/var/log/muster/muster.log" in (root / UNIT).read_text()
    lines = [line.strip() for line in (root / "etc/logrotate.d/muster").read_text().splitlines()]
    assert {"daily", "rotate 7", "copytruncate"} <= set(lines)


def test_the_server_accepts_its_configuration(server_install, root):
    server_install("--tls", "--domain", "muster.example", "--port", "5050")
    text = (root / "etc/muster/muster.toml").read_text().replace("/etc/muster/", f"{root}/etc/muster/")
    (root / "etc/muster/muster.toml").write_text(text)
    config = load_config({"config": str(root / "etc/muster/muster.toml")}, {}, cwd=root)
    assert (config.http.host, config.http.port, config.data_dir) == ("0.0.0.0", 5050, "/var/lib/muster")
    assert config.enrolment.broker_url == "mqtts://muster.example:8883"
    assert config.pki.broker_url == "mqtts://muster.example:8884"
    assert (config.brokers[0].username, config.enrolment.username) == ("muster", "devices")
    assert config.api_token == (root / "etc/muster/admin-token").read_text().strip()
    assert len(config.enrolment_key) >= 32


# -- again ------------------------------------------------------------------------------------------------------------


def test_a_run_without_flags_changes_nothing(server_install, root):
    server_install("--tls", "--domain", "muster.example", "--port", "5050", "--log-file")
    before = {path: (root / path[1:]).read_bytes() for path in modes(root) if "manifest" not in path}
    result = server_install()
    assert {path: (root / path[1:]).read_bytes() for path in before} == before
    assert "made" not in result.out


def test_another_domain_gets_another_certificate_of_the_same_authority(server_install, root):
    server_install("--tls", "--domain", "one.example")
    authority, first = (
        (root / "etc/muster/ca.pem").read_bytes(),
        (root / "etc/mosquitto/muster/server.pem").read_bytes(),
    )
    server_install("--domain", "two.example")
    assert (root / "etc/muster/ca.pem").read_bytes() == authority
    assert (root / "etc/mosquitto/muster/server.pem").read_bytes() != first
    assert configuration(root)["enrolment"]["broker_url"] == "mqtts://two.example:8883"


def test_with_tls_the_page_is_encrypted_by_the_same_authority(server_install, muster, root):
    said = server_install("--tls", "--domain", "muster.example").out
    assert "https://HOST:5000/" in said
    assert configuration(root)["http"]["tls"] == {"cert": "/etc/muster/http.pem", "ca": "/etc/muster/ca.pem"}
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(root / "etc/muster/http.pem")
    shown = muster("pki", "show", "--dir", root / "etc/muster/tls", "--json").json
    assert shown["name"] == "CN=Muster of muster.example"


def test_an_installation_of_the_release_before_keeps_its_authority_and_its_page(server_install, root):
    server_install("--tls")
    manifest = root / "opt/muster/manifest.json"
    before = json.loads(manifest.read_text())
    del before["remembered"]["https"]  # which it did not know
    manifest.write_text(json.dumps(before))
    authority = (root / "etc/muster/ca.pem").read_bytes()
    server_install()
    assert (root / "etc/muster/ca.pem").read_bytes() == authority
    assert "tls" not in configuration(root)["http"]
    server_install("--tls")
    assert configuration(root)["http"]["tls"]["cert"] == "/etc/muster/http.pem"
    assert (root / "etc/muster/ca.pem").read_bytes() == authority


def test_what_the_authority_of_devices_has_issued_outlives_the_installation(server_install, muster, root):
    server_install("--tls")
    directory = root / "var/lib/muster/pki"
    Authority.open(directory).issue_device("pi-1")
    before = (directory / "ca.pem").read_bytes()
    assert muster("uninstall", "server", "--root", root).code == 0
    server_install("--tls")
    assert (directory / "ca.pem").read_bytes() == before
    assert (root / "etc/mosquitto/muster/access/devices-ca.pem").read_bytes() == before
    assert muster("uninstall", "server", "--root", root, "--purge").code == 0
    assert not directory.parent.exists()


def test_the_broker_is_told_anew_who_was_revoked_since(server_install, root):
    server_install("--tls")
    authority = Authority.open(root / "var/lib/muster/pki")
    authority.issue_device("pi-1")
    authority.revoke("pi-1")
    assert server_install().code == 0
    assert (root / "etc/mosquitto/muster/access/devices-crl.pem").read_bytes() == authority.revocations()


def test_a_damaged_authority_of_devices_is_told_before_anything_is_done(server_install, root):
    server_install("--tls")
    (root / "var/lib/muster/pki/ca.pem").unlink()
    result = server_install("--domain", "another.example")
    assert (result.code, "put back its ca.pem" in result.err) == (1, True)
    assert "another.example" not in (root / "etc/muster/muster.toml").read_text()


def test_devices_get_another_password_and_the_server_keeps_its_own(server_install, root):
    server_install()
    before = configuration(root)
    server_install("--new-password")
    after = configuration(root)
    assert after["enrolment"]["password"] != before["enrolment"]["password"]
    assert after["brokers"] == before["brokers"]
    assert after["api_token"] == before["api_token"]


def test_sensors_of_a_prefix_that_was_added_by_hand_are_let_in_by_the_next_run(server_install, root):
    server_install()
    path = root / "etc/muster/muster.toml"
    path.write_text('prefixes = ["farm"]\n' + path.read_text())
    server_install()
    acl = (root / "etc/mosquitto/muster/access/acl").read_text()
    assert "topic write farm/sensor/data" in acl
    assert "harit-samarth" not in acl
    assert path.read_text().startswith("prefixes")


def change_by_hand(root):
    path = root / "etc/muster/muster.toml"
    path.write_text('prefixes = ["farm"]\n' + path.read_text())
    return path


@pytest.mark.parametrize("flag", ["--new-password", "--tls", "--domain=plant.example.org"])
def test_a_changed_configuration_is_not_left_behind_by_what_the_broker_is_told(server_install, root, flag):
    server_install()
    before = change_by_hand(root).read_text()
    broker = {path: path.read_bytes() for path in (root / "etc/mosquitto").rglob("*") if path.is_file()}
    result = server_install(flag)
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "was changed by hand" in result.err
    assert "`enrolment." in result.err
    assert (root / "etc/muster/muster.toml").read_text() == before
    assert {path: path.read_bytes() for path in (root / "etc/mosquitto").rglob("*") if path.is_file()} == broker


def test_a_broker_that_was_chosen_by_hand_is_no_reason_to_refuse(server_install, root):
    server_install()
    path = root / "etc/muster/muster.toml"
    path.write_text(re.sub(r"^url = .*$", 'url = "mqtt://me:pw@elsewhere"', path.read_text(), flags=re.MULTILINE))
    assert server_install().code == 0
    assert configuration(root)["brokers"] == [{"url": "mqtt://me:pw@elsewhere"}]


def test_a_configuration_that_outlived_its_installation_goes_on_with_its_secrets(server_install, muster, root):
    server_install()
    change_by_hand(root)
    before = configuration(root)
    assert muster("uninstall", "server", "--root", root).code == 0
    server_install()
    assert configuration(root) == before
    assert (root / "etc/muster/admin-token").read_text().strip() == before["api_token"]


def test_half_an_authority_is_not_replaced_by_another(server_install, root):
    server_install("--tls")
    key = root / "etc/muster/tls/ca.key"
    whole = key.read_bytes()
    key.unlink()
    result = server_install()
    assert (result.code, "put the other half back" in result.err) == (1, True)
    key.write_bytes(b"garbage")
    (root / "etc/mosquitto/muster/server.pem").write_bytes(b"garbage")
    result = server_install()
    assert (result.code, "cannot be used" in result.err) == (1, True)
    key.write_bytes(whole)
    assert server_install().code == 0


# -- with a real broker -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["dynsec", "files"])
def test_mosquitto_starts_with_the_files_and_lets_in_whom_they_name(server_install, root, start_broker, mechanism):
    if mechanism == "dynsec":
        with_plugin(root)
    server_install()
    assert configuration(root)["broker_access"]["mechanism"] == mechanism
    broker = start_broker(root)
    given = configuration(root)
    port = broker.port
    with pytest.raises(AssertionError, match="Not authorized"):
        Device(f"mqtt://127.0.0.1:{port}").connect()
    devices = f"mqtt://devices:{given['enrolment']['password']}@127.0.0.1:{port}"
    with Device(address(given["brokers"][0]["url"], port)) as server, Device(devices, client_id="pi-1") as pi:
        server.subscribe("devices/#")
        assert pi.publish("server/requests", "forged").is_failure
        pi.publish("devices/pi-1/scans", "mine")
        assert server.next("devices/#").payload == b"mine"


def test_mosquitto_keeps_what_is_queued_over_a_restart(server_install, root, start_broker):
    server_install()
    broker = start_broker(root)
    url = address(configuration(root)["brokers"][0]["url"], broker.port)
    options = {"client_id": "keeper", "protocol": 4}
    keeper = Device(url, **options)
    keeper.client._clean_session = False
    with keeper:
        keeper.subscribe("stream")
    with Device(url) as sender:
        for number in range(2000):
            sender.client.publish("stream", str(number), 1)
        sender.publish("stream", "last")
    broker.restart()
    again = Device(url, **options)
    again.client._clean_session = False
    with again:
        eventually(lambda: len(again.received) > 2000, 20, "everything that was queued")
    assert again.received[-1].payload == b"last"


def test_with_tls_devices_are_encrypted_and_only_the_server_is_not(server_install, root, start_broker):
    server_install("--tls", "--domain", "127.0.0.1")
    broker = start_broker(root)
    given = configuration(root)
    assert given["enrolment"]["broker_url"] == "mqtts://127.0.0.1:8883"
    url = f"mqtts://devices:{given['enrolment']['password']}@127.0.0.1:{broker.tls_port}"
    with Device(url, client_id="pi-1", ca_file=root / "etc/muster/ca.pem") as pi:
        assert not pi.publish("devices/pi-1/announce", "{}").is_failure
    assert "listener 1883 127.0.0.1" in (root / "etc/mosquitto/conf.d/muster.conf").read_text()


@pytest.mark.parametrize("mechanism", ["dynsec", "files"])
def test_a_device_is_known_by_its_certificate_alone(server_install, root, start_broker, tmp_path, mechanism):
    if mechanism == "dynsec":
        with_plugin(root)
    server_install("--tls", "--domain", "127.0.0.1")
    broker = start_broker(root)
    url = f"mqtts://127.0.0.1:{broker.certificate_port}"
    pem = tmp_path / "pi-1.pem"
    pem.write_bytes(Authority.open(root / "var/lib/muster/pki").issue_device("pi-1").combined)
    trust = {"client_id": "whatever", "ca_file": root / "etc/muster/ca.pem"}
    with Device(url, **trust, cert_file=pem) as pi:
        assert not pi.publish("devices/pi-1/scans", "mine").is_failure
        for forged in ("devices/pi-2/scans", "devices/announce", "server/requests"):
            assert pi.publish(forged, "forged").is_failure, forged
    with pytest.raises((OSError, AssertionError)):
        Device(url, **trust).connect()
    # What signs for broker and page signs for no device.
    issued = issue(Pair(*((root / f"etc/muster/tls/ca.{end}").read_bytes() for end in ("pem", "key"))), ["pi-1"])
    pem.write_bytes(issued.key + issued.cert)
    with pytest.raises((OSError, AssertionError)):
        Device(url, **trust, cert_file=pem).connect()


def test_an_installed_server_certifies_devices_and_ends_them(server_install, root, start_broker, tmp_path):
    with_plugin(root)
    server_install("--tls", "--domain", "127.0.0.1")
    broker, http = start_broker(root), f"127.0.0.1:{free_port()}"
    text = (root / "etc/muster/muster.toml").read_text()
    for path in ("/etc/muster/", "/var/lib/muster/pki"):
        text = text.replace(path, f"{root}{path}")
    text = text.replace("/etc/mosquitto/muster/", f"{broker.directory}/etc/muster/").replace(":1883", f":{broker.port}")
    text = text.replace(":8884", f":{broker.certificate_port}").replace(":8883", f":{broker.tls_port}")
    (tmp_path / "muster.toml").write_text(text)
    flags = ("--config", tmp_path / "muster.toml", "--data-dir", tmp_path / "data", "--http", http)
    env = {"MUSTER_RUNTIME_DIR": str(tmp_path / "run"), "MUSTER_CONFIG": ""}
    with Process.module("supervisor.cli", "server", *flags, env=env) as process:
        process.wait_for_line(r"^Muster: (https://\S+)$", 60)
        api = Api(http, (root / "etc/muster/admin-token").read_text().strip())
        api.ca_file = root / "etc/muster/ca.pem"
        eventually(lambda: api.health()["broker"]["connected"], 30, "the server is connected")
        request = make_request("pi-1")
        body = {"device_id": "pi-1", "enrolment_key": (root / "etc/muster/enrolment-key").read_text().strip()}
        given = api.post("/api/register_device", {**body, "csr": request.cert.decode()}, expect=201)
        assert given["mqtt"]["port"] == broker.certificate_port
        assert given["ca"] == (root / "etc/muster/ca.pem").read_text()
        pem, ca = tmp_path / "pi-1.pem", tmp_path / "ca.pem"
        pem.write_bytes(request.key + given["certificate"].encode())
        ca.write_text(given["ca"])
        pi = Device(f"mqtts://127.0.0.1:{broker.certificate_port}", client_id="x", ca_file=ca, cert_file=pem).connect()
        gone = threading.Event()
        pi.client.on_disconnect = lambda *_: gone.set()
        assert not pi.publish("devices/pi-1/announce", "{}").is_failure
        assert api.call("DELETE", "/api/enrolments/pi-1").status == 204
        assert gone.wait(20), "still connected"
        pi.disconnect()
        eventually(lambda: is_kept_out(broker, ca, pem), 20, "the revoked certificate is refused")


# -- as a whole -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_installed_serves_from_the_directory(muster, root, tmp_path, start_broker, monkeypatch):
    for name, value in ALONE.items():
        monkeypatch.setenv(name, value)
    with_plugin(root)
    wheel = build_wheel(tmp_path)
    result = muster("install", "server", "--root", root, "--wheel-dir", wheel.parent)
    assert result.code == 0, result
    lend_packages(root / "opt/muster/venv")
    program = root / "usr/local/bin/muster"
    assert re.fullmatch(r"muster \d+\.\d+\.\d+\n", run(program, "--version").stdout)
    broker, http = start_broker(root), f"127.0.0.1:{free_port()}"
    text = (root / "etc/muster/muster.toml").read_text().replace("/etc/muster/", f"{root}/etc/muster/")
    text = text.replace("/etc/mosquitto/muster/", f"{broker.directory}/etc/muster/")
    (tmp_path / "muster.toml").write_text(text.replace(":1883", f":{broker.port}"))
    env = {"MUSTER_RUNTIME_DIR": str(tmp_path / "run"), "MUSTER_CONFIG": ""}
    flags = ("--config", tmp_path / "muster.toml", "--data-dir", tmp_path / "data", "--http", http)
    with Process(program, "server", *flags, env=env, cwd="/") as process:
        process.wait_for_line(r"^Muster: (http://\S+)$", 30)
        api = Api(http, (root / "etc/muster/admin-token").read_text().strip())
        eventually(lambda: api.health()["broker"]["connected"], 30, "the server is connected")
        key = (root / "etc/muster/enrolment-key").read_text().strip()
        given = api.post("/api/register_device", {"device_id": "pi-1", "enrolment_key": key}, expect=201)
        with Device(given["connection_string"], client_id="pi-1") as pi:
            assert given["mqtt"]["username"] == "pi-1"
            pi.publish("devices/pi-1/announce", {"device_id": "pi-1"})
            api.wait_presence("pi-1", "online")
            assert pi.publish("devices/pi-2/announce", {"device_id": "pi-2"}).is_failure
    assert muster("uninstall", "server", "--root", root).code == 0
    shutil.rmtree(root / "usr/lib")  # which is not of our making
    (root / "usr").rmdir()
    assert everything_below(root) == set()


# -- what is refused --------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_it_would_do_and_does_nothing(muster, root):
    result = muster("install", "server", "--dry-run", "--tls", "--root", root)
    assert (result.code, root.exists()) == (0, False)
    seed = {path for path in EXPECTED_WITH_TLS if path.startswith("/var")}
    for path in {*EXPECTED, *EXPECTED_WITH_TLS, "/var/lib/muster/pki"} - seed - {"/opt/muster/manifest.json"}:
        assert path in result.out


@pytest.mark.parametrize("domain", ["a/b", "user@host", "-x", "a b", "a..b", "1.2.3", "a." + "b" * 64])
def test_a_domain_that_is_no_name_is_refused(server_install, root, domain):
    result = server_install(f"--domain={domain}")
    assert result.code == 1
    assert "neither a name nor an address" in result.err
    assert not root.exists()


def test_without_mosquitto_one_is_told_what_to_install(muster, monkeypatch):
    monkeypatch.setattr(command, "find_mosquitto", lambda: None)
    result = muster("install", "server", "--dry-run")
    assert (result.code, "apt install mosquitto" in result.err) == (1, True)


def test_a_machine_is_changed_by_root_alone(muster, monkeypatch):
    monkeypatch.setattr(command, "find_mosquitto", lambda: "/usr/sbin/mosquitto")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = muster("install", "server")
    assert (result.code, "`sudo`" in result.err) == (1, True)


def test_removing_what_is_not_installed_is_one_sentence(muster, root):
    root.mkdir()
    result = muster("uninstall", "server", "--root", root)
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "Nothing is installed here" in result.err


def test_secrets_are_shown_nowhere(server_install, root):
    result = server_install("--tls")
    given = configuration(root)
    for secret in (given["api_token"], given["enrolment"]["password"], "PRIVATE"):
        assert secret not in result.out + result.err
