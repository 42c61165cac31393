"""The twin of a real edge: what is desired of it holds, also when it was away, and it says so."""

from __future__ import annotations

from tests.support.edge import Edge
from tests.support.wait import eventually


def twin(server, serial):
    return server.get(f"/api/devices/{serial}/twin")


def test_an_edge_applies_what_is_desired_of_it_at_once_and_when_it_comes_back(muster, mosquitto):
    server = muster()
    with Edge("pi-1", env={"MUSTER_BROKER_URL": mosquitto.url, "MUSTER_HEARTBEAT": "30"}) as edge:
        server.wait_presence("pi-1", "online")
        code, told = server.run("twin", "set", "pi-1", "heartbeat=20", "--wait", "20", timeout=40)
        assert code == 0, told
        assert twin(server, "pi-1")["reported"]["heartbeat"] == 20
        edge.stop()
        code, told = server.run("twin", "set", "pi-1", "heartbeat=15", "tune=7")
        assert code == 0, told
        edge.start()
        state = eventually(lambda: (t := twin(server, "pi-1"))["reported_version"] == 2 and t, 30, "it is applied")
        assert state["difference"] == {"tune": 7}
        assert state["reported"]["heartbeat"] == 15
        assert "tune" in state["reported"]["errors"]
        edge.stop()
    server.stop()


def test_an_edge_whose_device_was_deleted_follows_the_new_twin(muster, mosquitto):
    server = muster()
    with Edge("pi-2", env={"MUSTER_BROKER_URL": mosquitto.url, "MUSTER_HEARTBEAT": "1"}) as edge:
        server.wait_presence("pi-2", "online")
        assert server.run("twin", "set", "pi-2", "heartbeat=5", "--wait", "20", timeout=40)[0] == 0
        assert server.call("DELETE", "/api/devices/pi-2").status == 204
        server.wait_presence("pi-2", "online", timeout=40)
        code, told = server.run("twin", "set", "pi-2", "heartbeat=6", "--wait", "20", timeout=40)
        assert code == 0, told
        assert twin(server, "pi-2")["reported"]["heartbeat"] == 6
        edge.stop()
    server.stop()
