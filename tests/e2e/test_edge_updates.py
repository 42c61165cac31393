"""A real edge, a real server and a real rollout: the new version runs, a bad one goes back and halts the rollout."""

from __future__ import annotations

import hashlib
import http.client

import pytest

from tests.support.installation import build_wheel
from tests.support.muster import MusterUp
from tests.support.wait import eventually
from tests.update.pi import PATIENCE, SERIAL, Pi, make_factory
from tests.update.releases import Shop, make_version

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PIECE = 800_000
DIES = 'raise RuntimeError("this version is no good")\n'


def upload(server, path):
    """Put a release on the server, in pieces."""
    raw = path.read_bytes()
    body = {"size": len(raw), "sha256": hashlib.sha256(raw).hexdigest(), "name": path.name}
    made = server.post("/api/releases/uploads", body, expect=201)
    for offset in range(0, len(raw), PIECE):
        connection = http.client.HTTPConnection(server.address, timeout=30)
        headers = {"Authorization": f"Bearer {server.token}", "Upload-Offset": str(offset)}
        connection.request("PATCH", f"/api/releases/uploads/{made['id']}", raw[offset : offset + PIECE], headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        connection.close()


def roll_out(server, version):
    wave = {"share": 1.0, "success": 1.0, "wait": 0.0}
    return server.post("/api/rollouts", {"release": version, "device": SERIAL, "waves": [wave]}, expect=201)["id"]


def wait_for(server, rollout, status):
    def is_so():
        return server.get(f"/api/rollouts/{rollout}")["status"] == status

    eventually(is_so, PATIENCE, f"the rollout is {status}")


def test_a_rollout_reaches_a_real_device_and_a_bad_one_is_halted_by_it(tmp_path):
    shop = Shop(tmp_path, build_wheel(tmp_path))
    factory = make_factory(tmp_path / "venv", make_version(shop.wheel, tmp_path, "1.0.0"))
    found = {"MUSTER_SERVER_URL": "", "MUSTER_ENROLMENT_KEY": ""}
    with MusterUp() as server:
        (server.data / "release-keys").mkdir(exist_ok=True)
        (server.data / "release-keys" / "tests.pub").write_text(shop.key.public.line)
        upload(server, shop.make("2.0.0"))
        upload(server, shop.make("3.0.0", {"edge/__main__.py": DIES}))
        with Pi(factory, "", shop.key, MUSTER_RUNTIME_DIR=str(server.directory / "run"), **found) as pi:
            server.wait_presence(SERIAL, "online")
            wait_for(server, roll_out(server, "2.0.0"), "completed")
            pi.wait_running("2.0.0")
            wanted = {"update": "succeeded", "slot": "b"}
            device = f"/api/devices/{SERIAL}"
            eventually(lambda: wanted.items() <= server.get(device)["services"].items(), what="the server shows it")
            bad = roll_out(server, "3.0.0")
            wait_for(server, bad, "halted")
            pi.wait_running("2.0.0")
            (told,) = server.items(f"/api/rollouts/{bad}/devices")
            assert (told["state"], told["reason"].partition(":")[0]) == ("rolled_back", "starts")
