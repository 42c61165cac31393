"""The contract of the API, made from the table of routes, the types that decode the bodies and those of the answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import msgspec

from actors.fleet_pages import Sort
from actors.scan_payloads import LONGEST_CODE
from web.call import MAX_LIMIT, MAX_TEXT
from web.errors import ErrorBody
from web.face import Item
from web.route import Route
from web.routes_events import EVENT_KINDS

VERSION = "3.1.0"
_VARIABLE = re.compile(r"<(\w+)(?::[^>]*)?>")
_SCHEMAS = "#/components/schemas/"

PARAMETERS: dict[str, Item] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 100},
    "since": {"type": "string", "description": "RFC 3339, included"},
    "until": {"type": "string", "description": "RFC 3339, excluded"},
    "bucket": {
        "type": "string",
        "maxLength": MAX_TEXT,
        "description": "length of an interval: seconds, or such as 30s, 5m, 1h, 1d; needs metric",
    },
    "sort": {"enum": get_args(Sort), "default": "serial", "description": "devices with one key are sorted by serial"},
    "order": {"enum": ["asc", "desc"], "default": "asc"},
    **{name: {"enum": ["true", "false"]} for name in ("no_site", "flapping", "quarantined")},
    "code": {"type": "string", "maxLength": LONGEST_CODE, "description": "compared exactly"},
    "nonce": {"type": "string", "pattern": "^[0-9a-f]{16,64}$"},
    "kinds": {
        "type": "string",
        "maxLength": MAX_TEXT,
        "description": f"kinds of events, separated by commas: {', '.join(EVENT_KINDS)}",
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
    """Return the OpenAPI description of these routes."""
    table = tuple(routes)
    bodies = {route.body for route in table if route.body is not None}
    answers = {answer for route in table for answer in (route.answer, route.other_answer) if answer is not None}
    types = (ErrorBody, *sorted(bodies, key=str), *sorted(answers, key=str))
    references, schemas = msgspec.json.schema_components(types, ref_template=_SCHEMAS + "{name}")
    found = dict(zip(types, references, strict=True))
    paths: dict[str, Item] = {}
    for route in table:
        paths.setdefault(_VARIABLE.sub(r"{\1}", route.path), {})[route.method.lower()] = _operation(route, found)
    tokens = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": VERSION,
        "info": {"title": "Muster", "version": version},
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
    wanted = "" if route.access == "open" else f"\n\nNeeds a token of role `{route.access}` or above."
    if route.own:
        wanted += " A device's own token may ask about that device."
    if route.speaks:
        wanted += " A device's own token may speak for that device."
    answers = {str(route.status): _answer(route, schemas)}
    if route.known_status is not None:
        answers[str(route.known_status)] = _json("It was known already.", schemas[route.answer])
    operation: Item = {
        "operationId": route.operation,
        "description": f"{route.handler.__doc__}{wanted}",
        "security": [] if route.access == "open" else [{"token": []}],
        "parameters": [
            *_path_parameters(route),
            *(_parameter(name, "query") for name in route.query),
            *(_parameter(name, "header") for name in route.headers),
        ],
        "responses": answers | {"default": _refusal(route, schemas)},
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True} | _json("", schemas[route.body])
    elif route.takes_bytes:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _path_parameters(route: Route) -> list[Item]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _VARIABLE.findall(route.path)
    ]


def _parameter(name: str, place: str) -> Item:
    schema = PARAMETERS.get(name, {"type": "string", "maxLength": MAX_TEXT})
    return {"name": name, "in": place, "schema": schema}


def _answer(route: Route, schemas: Mapping[Any, Item]) -> Item:
    if route.status == 204:
        return {"description": "Done."}
    if route.other_answer is not None:
        return _json("Done.", {"anyOf": [schemas[route.answer], schemas[route.other_answer]]})
    if route.answer is not None:
        return _json("Done.", schemas[route.answer])
    schema: Item = {} if route.media == "application/json" else {"type": "string"}
    return {"description": "Done.", "content": {route.media: {"schema": schema}}}


def _refusal(route: Route, schemas: Mapping[Any, Item]) -> Item:
    refusal = _json("What was wrong.", schemas[ErrorBody])
    if route.media == "text/html":  # of which the login is shown again
        refusal["content"][route.media] = {"schema": {"type": "string"}}
    return refusal


def _json(description: str, schema: Item) -> Item:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
