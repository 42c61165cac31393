"""The HTTP API of a real server, asked by schemathesis whatever its contract allows, and what it does not.

`TEST_FUZZ_EXAMPLES` is the number of cases for each route and role; above the default of 2 the bounds of every field
are tried, too.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter

import pytest

from tests.support.mqtt import Device
from tests.support.muster import MusterUp, walk
from tests.support.processes import Process
from tests.support.wait import eventually

EXAMPLES = int(os.environ.get("TEST_FUZZ_EXAMPLES", "2"))
LONG = EXAMPLES > 2
WITHIN = 110 if not LONG else 600 * EXAMPLES
CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance"
CANARY = "canary-of-another-device"
OTHER = "the-other-1"
BEAT = {"serial_number": OTHER, "timestamp": "2025-10-17T10:00:00Z", CANARY: 1.5}


@pytest.fixture(scope="module")
def up():
    with MusterUp(env={"MUSTER_ENROLMENT_KEY": "the key of the fuzzed server"}) as server:
        other = {"device_id": OTHER, "hostname": CANARY, "device_type": "raspberry_pi"}
        with Device(server.broker_url) as wire:
            wire.publish("devices/announce", other)
            wire.publish("devices/announce", {"device_id": "own-1", "device_type": "raspberry_pi"})
            wire.publish(f"plant-1/datalogger/{CANARY}/{OTHER}/input", BEAT)
            wire.publish("devices/announce", b"\xff\xfe")
        server.wait_settled()
        server.post("/api/groups", {"name": "g", "rule": {"serial": "*"}}, expect=201)
        server.post(f"/api/devices/{OTHER}/commands", {"name": CANARY, "timeout": 600})
        server.post("/api/notifications", {"device": OTHER, "title": CANARY})
        server.post("/api/scans", {"device_id": OTHER, "code": CANARY}, expect=201)
        eventually(lambda: server.device("own-1"), what="both devices are known")
        yield server


def token_of(server, role):
    if role == "admin":
        return server.token
    if role == "nobody":
        return ""
    serial = {"serial": "own-1"} if role == "device" else {}
    return server.post("/api/tokens", {"name": f"fuzz {role}", "role": role} | serial, expect=201)["token"]


def fuzz(server, token, tmp_path):
    """Let schemathesis loose; the path of all that was asked and answered."""
    har = tmp_path / "asked.har"
    # The contract is read with the token; without one only what is open would be asked.
    contract = tmp_path / "openapi.json"
    contract.write_text(json.dumps(server.get("/api/openapi.json")))
    command = [
        *(
            "run",
            contract,
            "--url",
            f"http://{server.address}",
            "--checks",
            CHECKS,
            "--max-examples",
            EXAMPLES,
            "--seed",
            1,
        ),
        *("--phases", "coverage,fuzzing" if LONG else "fuzzing", "--no-shrink", "--continue-on-failure"),
        *("--exclude-path", "/api/events", "--suppress-health-check", "all", "--warnings", "off", "--no-color"),
        *("--request-timeout", 30, "--report-har-path", har, "--output-sanitize", "false"),
        *(("--header", f"Authorization: Bearer {token}") if token else ()),
    ]
    program = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"
    with Process(sys.executable, "-c", program, *map(str, command), cwd=tmp_path) as process:
        code = process.wait(WITHIN)
        assert code == 0, process.output[-6_000:]
    return json.loads(har.read_text())["log"]["entries"]


def test_a_devices_token_reaches_nothing_of_another_device_on_any_route(up):
    token, admin = token_of(up, "device"), up.token
    assert CANARY in str(up.get("/api/devices"))
    known = [up.items("/api/commands")[0]["id"], up.items("/api/notifications")[0]["id"], OTHER, CANARY, "1", "g"]
    paths = up.get("/api/openapi.json")["paths"]
    up.token = token
    try:
        for path in (path for path, methods in paths.items() if "get" in methods and path != "/api/events"):
            filled = {path}
            while any("{" in each for each in filled):
                filled = {
                    each.partition("{")[0] + value + each.partition("}")[2] if "{" in each else each
                    for each in filled
                    for value in known
                }
            for each in filled:
                for query in ({}, {"device_id": OTHER}, {"device": OTHER}, {"serial": OTHER}):
                    answer = up.call("GET", each, **query)
                    assert answer.status < 500
                    assert CANARY not in str(answer.body).replace(each, ""), (each, query)
    finally:
        up.token = admin


def undo(up):
    """Set going again what an operator is allowed to stop: links that were paused, actors that were parked."""
    for link in up.items("/api/links"):
        if link["state"] == "paused":
            up.post(f"/api/links/{link['name']}/resume")
    for node in walk(up.tree()):
        if node["state"] == "quarantined":
            up.supervise(node["path"].removeprefix("server/"), "resume")


# Admins come last: they delete things.
@pytest.mark.timeout(WITHIN + 20)
@pytest.mark.parametrize("role", ["nobody", "device", "read", "operate", "admin"])
def test_whatever_is_asked_is_answered_as_the_contract_says(up, role, tmp_path):
    entries = fuzz(up, token_of(up, role), tmp_path)
    statuses = Counter(entry["response"]["status"] for entry in entries)
    print(f"{role}: {len(entries)} requests, {dict(sorted(statuses.items()))}")
    assert len(entries) >= 100
    answers = [entry["response"]["content"].get("text", "") for entry in entries]
    if role in ("nobody", "device"):
        requests = [json.dumps(entry["request"]) for entry in entries]
        leaks = [
            (request, answer)
            for request, answer in zip(requests, answers, strict=True)
            if CANARY in answer and CANARY not in request
        ]
        assert leaks == []
    undo(up)
    up.wait_health(lambda health: health["status"] == "ok", what="is well")
    assert "Traceback" not in up.log, up.log[-6_000:]
