"""The contract of the API, made from the table of routes, the types that decode the bodies and those of the answers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import msgspec

from actors.alarms.rules import Severity
from actors.events import KINDS
from actors.fleet_pages import Sort
from actors.scan_payloads import LONGEST_CODE
from web.answers_events import EVENTS
from web.call import MAX_LIMIT, MAX_TEXT
from web.errors import ErrorBody
from web.face import Item
from web.openapi_fields import tell_fields
from web.reference import EXAMPLES, NONE, TAGS, Example, example_of, is_of_api, tag_of
from web.route import Route
from web.routes_audit import OUTCOMES
from web.routes_fleet import ORDERS, PRESENCES
from web.sessions import Role

VERSION = "3.1.0"
_VARIABLE = re.compile(r"<(\w+)(?::[^>]*)?>")
_SCHEMAS = "#/components/schemas/"

PARAMETERS: dict[str, Item] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 100},
    "cursor": {"type": "string", "maxLength": MAX_TEXT, "description": "as the page before has told it"},
    "since": {"type": "string", "format": "date-time", "description": "included"},
    "until": {"type": "string", "format": "date-time", "description": "excluded"},
    "presence": {"enum": PRESENCES},
    "severity": {"enum": get_args(Severity)},
    "outcome": {"enum": OUTCOMES},
    "bucket": {
        "type": "string",
        "maxLength": MAX_TEXT,
        "description": "length of an interval: seconds, or such as 30s, 5m, 1h, 1d; needs metric",
    },
    "sort": {"enum": get_args(Sort), "default": "serial", "description": "devices with one key are sorted by serial"},
    "order": {"enum": ORDERS, "default": "asc"},
    "role": {"enum": get_args(Role)},
    **{name: {"enum": ["true", "false"]} for name in ("no_site", "flapping", "quarantined")},
    "anomalies": {"const": "true", "description": "only readings with anomalies; needs device"},
    "code": {"type": "string", "maxLength": LONGEST_CODE, "description": "compared exactly"},
    "nonce": {"type": "string", "pattern": "^[0-9a-f]{16,64}$"},
    "kinds": {
        "type": "string",
        "maxLength": MAX_TEXT,
        "description": f"kinds of events, separated by commas: {', '.join(KINDS)}",
    },
    "If-Match": {
        "type": "string",
        "pattern": '^"?[0-9]{1,18}"?$',
        "description": "the version that was read; `version` in the body may give it instead",
    },
    "Upload-Offset": {"type": "string", "pattern": "^[0-9]{1,12}$", "description": "where the body belongs"},
    "Range": {"type": "string", "maxLength": MAX_TEXT, "description": "bytes=FIRST-LAST; all without"},
    "Idempotency-Key": {
        "type": "string",
        "pattern": "^[\\x21-\\x7e]{1,128}$",
        "description": "a second request with this key is the same message",
    },
}
"""Parameters that are not just short texts."""


def describe(routes: Iterable[Route], version: str) -> Item:
    """Return the OpenAPI description of the routes of the API: the pages and their files are left out."""
    table = tuple(route for route in routes if is_of_api(route))
    bodies = {route.body for route in table if route.body is not None}
    answers = {answer for route in table for answer in (route.answer, route.other_answer) if answer is not None}
    events = {type_ for types in EVENTS.values() for type_ in types}
    types = (ErrorBody, *sorted(bodies | answers | events, key=str))
    references, schemas = msgspec.json.schema_components(types, ref_template=_SCHEMAS + "{name}")
    tell_fields(schemas, types)
    found = dict(zip(types, references, strict=True))
    paths: dict[str, Item] = {}
    for route in table:
        paths.setdefault(_VARIABLE.sub(r"{\1}", route.path), {})[route.method.lower()] = _operation(route, found)
    tokens = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": VERSION,
        "info": {"title": "Muster", "version": version},
        "tags": [{"name": tag.name, "description": tag.about} for tag in TAGS],
        "paths": paths,
        "components": {"schemas": _portable(schemas), "securitySchemes": tokens},
    }


def _portable(schema: Any) -> Any:
    """Return a schema with the patterns of JavaScript, as JSON Schema wants them: `$` is the very end there."""
    if isinstance(schema, dict):
        return {key: _portable(value) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_portable(value) for value in schema]
    return re.sub(r"\\Z$", "$", schema) if isinstance(schema, str) else schema


def _operation(route: Route, schemas: Mapping[Any, Item]) -> Item:
    answers = {str(route.status): _answer(route, schemas)}
    if route.known_status is not None:
        answers[str(route.known_status)] = _json("It was known already.", schemas[route.answer])
    example = EXAMPLES.get(route.operation, NONE)
    operation: Item = {
        "operationId": route.operation,
        "tags": [tag_of(route).name],
        "summary": _summary(route),
        "description": f"{_words(route)}{_wanted(route)}",
        "security": _security(route),
        "parameters": [
            *_path_parameters(route),
            *(_parameter(name, "query", example.query) for name in route.query),
            *(_parameter(name, "header", example.headers) for name in route.headers),
        ],
        "responses": answers | {"default": _refusal(schemas)},
    }
    body = _body(route, schemas, example)
    return operation | ({"requestBody": body} if body else {})


def _words(route: Route) -> str:
    return inspect.cleandoc(route.handler.__doc__ or "")


def _summary(route: Route) -> str:
    """Return what it does in few words: the first line of its description up to the first stop."""
    return re.split(r"[.:;](?:\s|$)", _words(route).partition("\n")[0])[0]


def _wanted(route: Route) -> str:
    wanted = "" if route.access == "open" else f"\n\nNeeds a token of role `{route.access}` or above."
    if route.own:
        wanted += " A device's own token may ask about that device."
    if route.speaks:
        wanted += " A device's own token may speak for that device."
    return wanted


def _security(route: Route) -> list[Item]:
    """Return who may: the role that a token needs, each with what is before it; `device` for its own serial alone."""
    if route.access == "open":
        return []
    return [{"token": [route.access]}, *([{"token": ["device"]}] if route.own or route.speaks else [])]


def _path_parameters(route: Route) -> list[Item]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"},
            "example": example_of(name, route.path),
        }
        for name in _VARIABLE.findall(route.path)
    ]


def _parameter(name: str, place: str, examples: Mapping[str, str]) -> Item:
    schema = PARAMETERS.get(name, {"type": "string", "maxLength": MAX_TEXT})
    described = {"name": name, "in": place, "schema": schema}
    return described | ({"example": examples[name]} if name in examples else {})


def _body(route: Route, schemas: Mapping[Any, Item], example: Example) -> Item | None:
    if route.takes_bytes:
        bytes_ = {"schema": {"type": "string", "format": "binary"}}
        return {"required": True, "content": {"application/octet-stream": bytes_}}
    if route.body is None:
        return None
    content = {"application/json": {"schema": schemas[route.body], "example": example.body}}
    return {"required": True, "content": content}


def _answer(route: Route, schemas: Mapping[Any, Item]) -> Item:
    if route.status == 204:
        return {"description": "Done."}
    if route.other_answer is not None:
        return _json("Done.", _any_of([schemas[route.answer], schemas[route.other_answer]]))
    if route.answer is not None:
        return _json("Done.", schemas[route.answer])
    if route.media == "text/event-stream":
        return _stream(schemas)
    schema: Item = {} if route.media == "application/json" else {"type": "string"}
    return {"description": "Done.", "content": {route.media: {"schema": schema}}}


def _stream(schemas: Mapping[Any, Item]) -> Item:
    """Describe the stream; OpenAPI 3.1 has no word for the data of each kind of event."""
    words = (
        "Server-Sent Events. Beside those of `kinds` there are `beat`, a sign of life, and `resync`: something was "
        "missed, fetch everything again. `x-events` has the schema of each kind's data."
    )
    events = {kind: _any_of([schemas[type_] for type_ in types]) for kind, types in EVENTS.items()}
    return {"description": words, "content": {"text/event-stream": {"schema": {"type": "string"}, "x-events": events}}}


def _any_of(schemas: list[Item]) -> Item:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _refusal(schemas: Mapping[Any, Item]) -> Item:
    return _json("What was wrong.", schemas[ErrorBody])


def _json(description: str, schema: Item) -> Item:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
