"""`GET /api/openapi.json`."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlencode

import msgspec
import pytest
from openapi_spec_validator import validate

from tests.web.fake_enrolments import asker
from tests.web.fakes import Client, make_face, view
from web.answers_events import EVENTS
from web.app import ROUTES
from web.call import Call, parse_query
from web.openapi import PARAMETERS
from web.openapi_fields import tell_fields
from web.reference import EXAMPLES, NONE, TAGS, example_of
from web.routes_events import EVENT_KINDS

VARIABLE = re.compile(r"<(\w+)(?::[^>]*)?>")
API = [route for route in ROUTES if route.path.startswith(("/api/", "/health", "/metrics"))]
EACH_ROUTE = pytest.mark.parametrize("route", API, ids=lambda route: f"{route.method} {route.path}")


#: Operations whose body is decoded behind the face, as if it had come by MQTT; `test_contract` tries them.
HANDED_ON = {"post_api_soil_health_analyze", "post_api_scans", "post_api_register_device"}
PLACES = ("path", "query", "header")


def named(schema):
    """The names of the types that this schema refers to."""
    return [re.split(r"[/.]", form["$ref"])[-1] for form in schema.get("anyOf", [schema])]


def name_of(type_):
    return next(iter(named(msgspec.json.schema_components([type_])[0][0])))


def make_client():
    face = make_face(view("pi-7"))
    face.enrolments.rows["pi-7"] = asker("pi-7", request="3f9c21aa07b45e10")
    return Client(face)


@pytest.fixture
def contract():
    return Client(make_face(), token="the-read-token").get("/api/openapi.json").json


def path_of(route):
    return VARIABLE.sub(r"{\1}", route.path)


def operation_of(contract, route):
    return contract["paths"][path_of(route)][route.method.lower()]


def ask(client, route, query=None):
    """Make the request of the route's example; with `query` in place of its own."""
    example = EXAMPLES.get(route.operation, NONE)
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in example.headers.items()}
    path = VARIABLE.sub(lambda found: example_of(found[1], route.path), route.path)
    wanted = urlencode(example.query if query is None else query)
    return client.call(route.method, f"{path}?{wanted}", example.body, b"x" if route.takes_bytes else b"", **headers)


def references(value):
    """Every `$ref` in a JSON value."""
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in references(item)]
    return [found for item in value for found in references(item)] if isinstance(value, list) else []


def test_it_says_what_it_is(contract):
    assert contract["openapi"].startswith("3.1")
    assert contract["info"] == {"title": "Muster", "version": "9.9"}


@EACH_ROUTE
def test_every_route_is_in_it_with_its_parameters_its_access_and_a_sentence(contract, route):
    operation = operation_of(contract, route)
    declared = {place: [each["name"] for each in operation["parameters"] if each["in"] == place] for place in PLACES}
    assert declared == {
        "path": re.findall(r"\{(\w+)\}", path_of(route)),
        "query": list(route.query),
        "header": list(route.headers),
    }
    roles = [role for either in operation["security"] for role in either["token"]]
    assert roles[:1] == ([] if route.access == "open" else [route.access])
    assert roles[1:] == (["device"] if route.own or route.speaks else [])
    assert operation["summary"]
    assert len(operation["summary"]) <= 110
    assert operation["description"].startswith(operation["summary"])
    assert ("requestBody" in operation) == (route.body is not None or route.takes_bytes)


@EACH_ROUTE
def test_every_route_tells_its_answers_by_their_types_and_statuses(contract, route):
    told = operation_of(contract, route)["responses"]
    statuses = {str(route.status), *([str(route.known_status)] if route.known_status else [])}
    assert set(told) == statuses | {"default"}
    assert named(told["default"]["content"]["application/json"]["schema"]) == ["ErrorBody"]
    types = [answer for answer in (route.answer, route.other_answer) if answer]
    for status in statuses:
        content = told[status].get("content", {})
        assert list(content) == ([] if route.status == 204 else [route.media])
        if types:
            assert named(content[route.media]["schema"]) == [name_of(type_) for type_ in types]


@EACH_ROUTE
def test_a_body_is_told_by_the_type_that_decodes_it_and_its_example_is_one(contract, route, monkeypatch):
    if route.body is None:
        assert EXAMPLES.get(route.operation, NONE).body is None
        return
    content = operation_of(contract, route)["requestBody"]["content"]["application/json"]
    assert named(content["schema"]) == [name_of(route.body)]
    msgspec.convert(content["example"], route.body)
    decoded = []
    decode = Call.decode

    def noted(call, decoder, *limit):
        decoded.append(decoder.type)
        return decode(call, decoder, *limit)

    monkeypatch.setattr(Call, "decode", noted)
    ask(make_client(), route)
    if route.operation not in HANDED_ON:
        assert decoded == [route.body]


@EACH_ROUTE
def test_every_example_is_understood(route):
    unknown = {401} if route.access == "open" else set()  # the key or token of the example is nobody's
    assert ask(make_client(), route).status not in {400, 401, 403, 405, 411, 415, 422, 428, 500} - unknown


@EACH_ROUTE
def test_words_that_a_parameter_may_be_are_those_that_the_server_takes(contract, route):
    for each in operation_of(contract, route)["parameters"]:
        for word in each["schema"].get("enum", ()):
            assert ask(make_client(), route, {each["name"]: word}).status != 400, word
        if "enum" in each["schema"]:
            assert ask(make_client(), route, {each["name"]: "none of them"}).status == 400


class Noted(dict):
    """A query that remembers what it was asked for."""

    def __init__(self, query):
        super().__init__(query)
        self.asked = set()

    def get(self, name, default=None):
        self.asked.add(name)
        return super().get(name, default)


@EACH_ROUTE
def test_a_handler_reads_every_parameter_that_is_told_and_no_other(route, monkeypatch):
    queries = []
    monkeypatch.setattr("web.gate.parse_query", lambda text: queries.append(Noted(parse_query(text))) or queries[-1])
    example = EXAMPLES.get(route.operation, NONE).query
    for left_out in ("", *example):
        ask(make_client(), route, {name: value for name, value in example.items() if name != left_out})
    asked = set().union(*(query.asked for query in queries))
    assert asked >= set(route.query)
    # Lists that share their filters read more; what is not told is refused before.
    assert asked == set(route.query) or (route.query and route.media == "application/json")


def test_every_parameter_that_is_described_and_every_example_is_of_a_route():
    names = {name for route in API for name in (*route.query, *route.headers)}
    assert set(PARAMETERS) - names == set()
    assert set(EXAMPLES) - {route.operation for route in API} == set()
    wanted = [(route, EXAMPLES.get(route.operation, NONE)) for route in API]
    assert [route.path for route, example in wanted if not set(example.query) <= set(route.query)] == []
    assert [route.path for route, example in wanted if not set(example.headers) <= set(route.headers)] == []


def test_operations_have_names_of_their_own(contract):
    names = [operation["operationId"] for path in contract["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names) == len(API)


def test_pages_and_their_files_are_left_out(contract):
    others = [route for route in ROUTES if route not in API]
    assert not {path_of(route) for route in others} & set(contract["paths"])
    assert {route.media for route in others} == {"text/html", "image/svg+xml", "*/*"}


def test_every_group_is_told_in_the_order_of_reading_and_has_routes(contract):
    used = {operation["tags"][0] for path in contract["paths"].values() for operation in path.values()}
    assert [tag["name"] for tag in contract["tags"]] == [tag.name for tag in TAGS]
    assert used == {tag.name for tag in TAGS}
    pick = contract["paths"]["/api/devices/pick"]["get"]
    assert pick["tags"] == ["Groups and rosters"]


def test_the_stream_tells_the_form_of_every_kind_of_event(contract):
    content = contract["paths"]["/api/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    assert set(content["x-events"]) == set(EVENT_KINDS) == set(EVENTS)
    for kind, types in EVENTS.items():
        assert named(content["x-events"][kind]) == [name_of(type_) for type_ in types]


def test_what_the_sources_say_of_a_field_stands_in_the_contract(contract):
    schemas = contract["components"]["schemas"]
    assert schemas["NewToken"]["properties"]["expires_in"]["description"].startswith("Seconds; without it")
    # Of a type that others go out from, too; and of one that is made for several.
    assert schemas["MadeToken"]["properties"]["token"] == {"type": "string"}
    assert schemas["DeviceRotation"]["properties"]["grace"]["description"].startswith("Seconds for which")
    assert schemas["Page_Device_"]["properties"]["cursor"]["description"].startswith("Ask with it")


def test_fields_of_types_without_a_source_are_told_without_words():
    made = msgspec.defstruct("Made", [("field", Annotated[int, msgspec.Meta(ge=1)])], module="sys")
    _, schemas = msgspec.json.schema_components([made])
    tell_fields(schemas, [made])
    assert schemas["Made"]["properties"] == {"field": {"type": "integer", "minimum": 1}}


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
    assert [route.path for route in API if route.media == "application/json" and not route.answer] == [
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
