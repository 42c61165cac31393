"""Groups, labels, rosters and picks in a running server, over a restart, and by its commands."""

from __future__ import annotations

import json

from tests.support.mqtt import Device
from tests.support.muster import MusterUp
from tests.support.wait import eventually


def serials(server, path, **query):
    return [item["serial"] for item in server.items(path, **query)]


def announce(wire, serial, load):
    wire.publish("devices/announce", {"device_id": serial, "device_type": "raspberry_pi"})
    wire.publish("devices/status", {"device_id": serial, "status": "online", "system_info": {"load_average": load}})


def test_groups_labels_and_rosters_outlive_a_kill_and_picks_go_in_turn(muster_up):
    server = muster_up(env={"MUSTER_OFFLINE_AFTER": "3600"})
    with Device(server.broker_url) as wire:
        for serial, load in (("pi-1", [0.1, 0, 0]), ("pi-2", [0.2, 0, 0]), ("pi-3", [3.5, 0, 0]), ("lone", [0, 0, 0])):
            announce(wire, serial, load)
        for serial in ("pi-1", "pi-2", "pi-3", "lone"):
            eventually(lambda serial=serial: (server.device(serial) or {}).get("system_info"), what="its load is known")

        # A group by rule and by hand takes in who fits; labels are part of what fits.
        code, said = server.run("groups", "create", "workers", "--serial", "pi-*", "--description", "hall 1")
        assert (code, said) == (0, "The group workers is made: it has 3 devices now, 3 present.\n")
        assert server.run("groups", "label", "lone", "zone=north", "row=12") == (0, "lone: row=12 zone=north\n")
        server.post(
            "/api/groups", {"name": "north", "rule": {"labels": {"zone": "*"}}, "members": ["pi-1"]}, expect=201
        )
        assert serials(server, "/api/devices", group="workers") == ["pi-1", "pi-2", "pi-3"]
        assert serials(server, "/api/groups/north/devices") == ["lone", "pi-1"]
        assert serials(server, "/api/devices", label="zone=north") == ["lone"]

        # The least loaded take turns.
        picked = [server.get("/api/devices/pick", group="workers")["serial"] for _ in range(4)]
        assert picked == ["pi-1", "pi-2", "pi-1", "pi-2"]
        assert server.run("groups", "pick", "--group", "north")[1] == "lone\n"

        # Nobody is told as such, whatever it is for: nothing that reaches nobody is a success.
        server.post("/api/groups", {"name": "shed"}, expect=201)
        for method, path, body in (
            ("POST", "/api/notifications", {"title": "x"}),
            ("POST", "/api/commands", {"name": "ping"}),
            ("PATCH", "/api/twins", {"desired": {"x": 1}}),
        ):
            answer = server.call(method, path, {"group": "shed", **body})
            assert (answer.status, answer.body["error"]["message"]) == (404, "group shed has no devices")
        server.call("DELETE", "/api/groups/shed")

        # Who is expected, and who is there.
        assert server.run("roster", "set", "plant-1", "pi-1", "missing")[0] == 0
        assert server.run("roster", "show", "plant-1")[0] == 1

        server.wait_settled()
        server.kill()
        server.restart()
        roster = server.get("/api/rosters/plant-1")
        assert [entry["serial"] for entry in roster["silent"]] == ["missing"]
        assert serials(server, "/api/groups/north/devices") == ["lone", "pi-1"]
        assert server.device("lone")["labels"] == {"row": "12", "zone": "north"}
        assert server.metric("muster_groups") == 2

        # A deleted device is in no group any more.
        assert server.call("DELETE", "/api/devices/pi-1").status == 204
        eventually(lambda: server.get("/api/groups/north")["members"] == [], what="the group has lost it")
        code, said = server.run("groups", "list", "--json")
        assert {item["name"] for item in json.loads(said)["items"]} == {"north", "workers"}
        server.stop()


def test_a_roster_of_the_configuration_is_called_and_cannot_be_changed_by_hand(tmp_path):
    config = tmp_path / "muster.toml"
    config.write_text('[roster.plant-1]\nserials = ["TEST123", "missing"]\n')
    with MusterUp("--config", str(config)) as server:
        with Device(server.broker_url) as wire:
            for serial in ("TEST123", "uncalled"):
                beat = {"serial_number": serial, "timestamp": "2025-10-17T10:00:00Z"}
                wire.publish(f"plant-1/datalogger/monstro/{serial}/heartbeat", beat)
        server.wait_presence("uncalled", "online")
        roster = server.get("/api/rosters/plant-1")
        found = {
            state: [entry["serial"] for entry in entries]
            for state, entries in roster.items()
            if entries and isinstance(entries, list)
        }
        assert found == {"healthy": ["TEST123"], "silent": ["missing"], "undeclared": ["uncalled"]}
        assert server.metric("muster_roster", site="plant-1", state="silent") == 1
        answer = server.call("PUT", "/api/rosters/plant-1", {"serials": []})
        assert (answer.status, answer.body["error"]["code"]) == (409, "configured")
