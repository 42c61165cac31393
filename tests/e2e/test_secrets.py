"""Secrets stay where they belong: in no log, in no process list, in no file that others may read."""

from __future__ import annotations

import json
import signal
import stat

import psutil
import pytest

from tests.support.edge import Edge
from tests.support.mosquitto import Mosquitto
from tests.support.muster import TOKEN, Muster, MusterUp
from tests.support.ports import free_port
from tests.support.wait import eventually

BROKER, DATABASE, FLEET = "broker-Needle-0123456789", "database-Needle-0123456789", "fleet-Needle-0123456789"
SENT = "sent-Needle-0123456789"


def secrets_of(server, edge, *configured):
    """Everything that opens something, as it is in use now."""
    run = server.directory / "run"
    enrolment = json.loads((edge.home / "enrolment.json").read_text())
    found = {
        *configured,
        (run / "token").read_text(),
        (run / "enrolment-key").read_text(),
        (server.data / "instance").read_text().strip(),
        (server.data / "sealing.key").read_text().split()[2],
        enrolment["token"],
        enrolment["mqtt"].get("password") or "",
    }
    return {secret for secret in found if len(secret) > 8}


def assert_kept(secrets, server, edge):
    for log in (server.log, edge.log, *(path.read_text() for path in server.directory.rglob("*.log"))):
        # What `muster up` prints for the one who has started it is no log; the key in it opens the page.
        lines = [line for line in log.splitlines() if not line.startswith("Muster: http")]
        assert [line for line in lines if any(secret in line for secret in secrets)] == []
    for process in (server.process, edge.process):
        for one in [psutil.Process(process.pid), *process.descendants()]:
            assert [secret for secret in secrets if secret in " ".join(one.cmdline())] == []
    assert open_files(secrets, server.directory) == []
    assert open_files(secrets, edge.directory) == []
    for private in (server.data, server.directory / "run"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o700


def open_files(secrets, directory):
    """Files with a secret that others than their owner may read, or write."""
    found = []
    for path in directory.rglob("*"):
        if not path.is_file() or path.is_symlink():
            continue
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # gone meanwhile
            continue
        if path.stat().st_mode & 0o077 and any(secret.encode() in content for secret in secrets):
            found.append(path)
    return found


@pytest.mark.timeout(180)
def test_a_server_with_secrets_everywhere_tells_none_whatever_goes_wrong(postgres):
    database = postgres.fresh_database().replace("postgres@", f"postgres:{DATABASE}@")
    with Mosquitto(users={"muster": BROKER}) as broker:
        url = broker.url.replace("mqtt://", f"mqtt://muster:{BROKER}@")
        env = {"MUSTER_ENROLMENT_KEY": FLEET}
        with (
            Muster(url, database_url=database, env=env) as server,
            Edge("edge-1", env={**env, "MUSTER_SERVER_URL": f"http://{server.address}"}) as edge,
        ):
            eventually((edge.home / "enrolment.json").exists, 40, "the edge has enrolled")
            secrets = secrets_of(server, edge, BROKER, DATABASE, FLEET, TOKEN)
            assert len(secrets) >= 7
            # Everything that complains, complains.
            server.call("POST", "/api/register_device", {"device_id": "x", "enrolment_key": FLEET + "wrong"})
            server.call("GET", "/api/devices", token=TOKEN)
            server.process.send(signal.SIGUSR1)
            postgres.stop()
            broker.stop()
            server.wait_health(lambda health: not health["database"]["ok"], 40, "sees that the database is away")
            eventually(lambda: not server.health()["broker"]["connected"], 40, "the broker is away")
            assert_kept(secrets, server, edge)
            postgres.start()
            broker.start()


@pytest.mark.timeout(180)
def test_a_server_for_the_network_with_a_broker_of_its_own_keeps_them_too(needs):
    needs("mosquitto")
    server = MusterUp("--lan", "--http", f"0.0.0.0:{(port := free_port())}")
    server.address, server.env["MUSTER_HTTP"] = f"127.0.0.1:{port}", ""
    with server, Edge("edge-1", runtime_dir=server.directory / "run") as edge:
        server.wait_presence("edge-1", "online")
        users = json.loads((server.data / "broker" / "users.json").read_text())
        secrets = secrets_of(server, edge, *(text for text in users.values() if isinstance(text, str)))
        server.process.send(signal.SIGUSR1)
        assert server.run("command", "edge-1", "no_such", "--wait", "0")[0] != 0
        server.post("/api/devices/edge-1/commands", {"name": "wifi", "args": {"psk": SENT}})
        server.post("/api/notifications", {"device": "edge-1", "title": "t", "body": SENT})
        assert_kept(secrets, server, edge)
        database = b"".join(path.read_bytes() for path in sorted(server.data.glob("muster.db*")))
        assert b"edge-1" in database
        assert [secret for secret in {*secrets, SENT} if secret.encode() in database] == []


def test_the_database_is_for_nobody_else(tmp_path):
    """Also in a directory that somebody has made for all to read."""
    from actors.storage.database import open_database
    from actors.storage.store import Store

    tmp_path.chmod(0o755)
    store = Store(open_database(f"sqlite:///{tmp_path}/muster.db"))
    store.open()
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    store.close()
    assert names == dict.fromkeys(("muster.db", "muster.db-wal", "muster.db-shm"), 0o600)
