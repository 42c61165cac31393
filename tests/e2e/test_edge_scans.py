"""Five hundred scans while broker, server and edge are stopped, killed and started at random: each once, in order."""

from __future__ import annotations

import os
import random
import threading
import time

import pytest

from edge.client import queue_scan
from edge.scans import new_scan
from edge.settings import EdgeSettings
from tests.support.edge import Edge
from tests.support.muster import TOKEN
from tests.support.wait import eventually

SCANS = int(os.environ.get("TEST_SCANS", "500"))
SEED = int(os.environ.get("TEST_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
KEY = "a-fleet-key-for-the-tests"


class Handheld(threading.Thread):
    """Somebody who scans one article after the other, whatever runs and whatever does not."""

    def __init__(self, edge, codes, pauses):
        super().__init__(daemon=True)
        self._edge, self._codes, self._pauses = edge, codes, pauses
        self.ids = []
        self.failures = []
        self.stopped = threading.Event()

    def run(self):
        settings = EdgeSettings(device_id="pi-7", data_dir=str(self._edge.directory / "data"))
        for code in self._codes:
            scan = new_scan(code, now_us=time.time_ns() // 1000)
            try:
                queue_scan(settings, scan)
            except Exception as error:  # noqa: BLE001 - the test looks at what it was
                self.failures.append(repr(error))
                return
            self.ids.append(scan.scan_id)
            if self.stopped.wait(self._pauses.random() * 0.08):
                return


def shake(rng, mosquitto, server, edge):
    """Stop or kill one of the three, leave it away for a moment, start it again."""
    away = threading.Event()
    match rng.randrange(6):
        case 0:
            mosquitto.stop()
            away.wait(rng.random() * 2)
            mosquitto.start()
        case 1:
            mosquitto.kill()
            away.wait(rng.random() * 2)
            mosquitto.start()
        case 2:
            server.wait_connected(60)  # a Ctrl-C before it has begun is no orderly stop
            server.stop()
            away.wait(rng.random() * 2)
            server.launch()
        case 3:
            server.kill()
            server.process.close()
            away.wait(rng.random() * 2)
            server.launch()
        case 4:
            eventually(lambda: edge.run("status")[0] == 0, 30, "the edge has begun")
            edge.stop()
            away.wait(rng.random() * 2)
            edge.start()
        case 5:
            edge.kill()
            away.wait(rng.random() * 2)
            edge.start()
    away.wait(rng.random())


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_scans_survive_every_outage_once_and_in_order(mosquitto, muster):
    print(f"TEST_SEED={SEED}")
    rng = random.Random(SEED)
    server = muster(env={"MUSTER_ENROLMENT_KEY": KEY})
    env = {
        "MUSTER_BROKER_URL": mosquitto.url,
        "MUSTER_SERVER_URL": f"http://{server.address}",
        "MUSTER_ENROLMENT_KEY": KEY,
    }
    codes = [f"{number:013d}" for number in range(SCANS)]
    with Edge("pi-7", env=env) as edge:
        server.wait_presence("pi-7", "online")
        handheld = Handheld(edge, codes, random.Random(SEED + 1))
        handheld.start()
        try:
            while handheld.is_alive():
                shake(rng, mosquitto, server, edge)
        finally:
            handheld.stopped.set()
            handheld.join(30)
        assert not handheld.failures
        assert len(handheld.ids) == SCANS
        server.wait_connected(60)

        def stored():
            return [scan["code"] for scan in reversed(server.items("/api/scans"))]

        eventually(lambda: len(stored()) >= SCANS, 120, "every scan is stored")
        eventually(lambda: edge.status["outbox"]["items"] == 0, 60, "every receipt has come")
        assert stored() == codes
        assert not server.dead_letters()
        assert server.token == TOKEN
