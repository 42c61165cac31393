"""`GET /api/openapi.json`."""

from __future__ import annotations

import re

import pytest
from openapi_spec_validator import validate

from tests.web.fakes import Client, make_face
from web.app import ROUTES


@pytest.fixture
def contract():
    return Client(make_face(), token="the-read-token").get("/api/openapi.json").json


def references(value):
    """Every `$ref` in a JSON value."""
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in references(item)]
    return [found for item in value for found in references(item)] if isinstance(value, list) else []


def test_it_says_what_it_is(contract):
    assert contract["openapi"].startswith("3.1")
    assert contract["info"] == {"title": "Muster", "version": "9.9"}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_is_in_it_with_its_variables_its_access_and_a_sentence(contract, route):
    path = re.sub(r"<(\w+)[^>]*>", r"{\1}", route.path)
    operation = contract["paths"][path][route.method.lower()]
    declared = [each["name"] for each in operation["parameters"] if each["in"] == "path" and each["required"]]
    assert declared == re.findall(r"\{(\w+)\}", path)
    assert bool(operation["security"]) == (route.access != "open")
    assert str(route.status) in operation["responses"]
    assert operation["description"]
    assert ("requestBody" in operation) == (route.body is not None or route.takes_bytes)


def test_operations_have_names_of_their_own(contract):
    names = [operation["operationId"] for path in contract["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names) == len(ROUTES)


def test_it_is_valid(contract):
    validate(contract)


def test_every_reference_leads_to_a_schema_that_is_there(contract):
    found = references(contract)
    for reference in found:
        *parts, name = reference.removeprefix("#/").split("/")
        assert parts == ["components", "schemas"]
        assert name in contract["components"]["schemas"]
    named = {name.rpartition("/")[2] for name in found}
    assert named == set(contract["components"]["schemas"])
    assert named >= {"NewDevice", "DeviceChanges", "NewToken", "Login", "ErrorBody", "Device", "Health", "Node"}


def test_every_answer_in_json_has_a_schema_but_the_contract_itself():
    assert [route.path for route in ROUTES if route.media == "application/json" and not route.answer] == [
        "/api/openapi.json",
        "/api/devices/<serial>",
        "/api/enrolments/<serial>",
        "/api/groups/<name>",
        "/api/rosters/<site>",
        "/api/releases/<version>",
        "/api/devices/<serial>/payload_key",
        "/api/alarm-rules/<name>",
        "/api/tokens/<token>",
        "/api/logout",
    ]


def test_a_route_that_answers_in_two_forms_or_with_two_statuses_says_so(contract):
    readings = contract["paths"]["/api/devices/{serial}/readings"]["get"]["responses"]["200"]
    forms = readings["content"]["application/json"]["schema"]["anyOf"]
    assert [form["$ref"].rpartition("/")[2] for form in forms] == ["Page_Reading_", "Page_Bucket_"]
    analyze = contract["paths"]["/api/soil-health/analyze"]["post"]
    assert {"200", "201"} <= set(analyze["responses"])
    assert [(each["name"], each["in"]) for each in analyze["parameters"]] == [("Idempotency-Key", "header")]
    assert "may speak for that device" in analyze["description"]


def test_patterns_are_those_of_json_schema(contract):
    serial = contract["components"]["schemas"]["NewDevice"]["properties"]["serial"]
    assert serial["pattern"] == "^[A-Za-z0-9._:-]{1,64}$"


def test_a_route_answers_with_the_status_that_it_promises():
    client = Client(make_face())
    for url, status in (("/api/health", 200), ("/api/devices", 200), ("/api/tokens", 200)):
        assert client.get(url).status == status
    assert client.post("/api/tokens", {"name": "x", "role": "read"}).status == 201
