"""What `docs/api.md` says of the API."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from web.app import ROUTES
from web.routes_events import EVENT_KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
TOLD = [
    (
        method or ("POST" if " -d " in rest else "GET"),
        path,
        [pair.partition("=")[0] for pair in query.split("&") if pair],
    )
    for method, path, query, rest in re.findall(
        r"^curl -sN?(?: -[bc] jar)?(?: -X (\w+))?.*?\$url(/[^\s?\"']*)(?:\?([^\s\"]*))?\"?(.*)$", PAGE, re.MULTILINE
    )
]
API = [route for route in ROUTES if route.path.startswith(("/api", "/metrics"))]


def matches(route, path):
    pattern = re.sub(r"<\w+:path>", ".+", route.path)
    return re.fullmatch(re.sub(r"<\w+(?::re:([^>]*))?>", lambda found: found[1] or "[^/]+", pattern), path)


@pytest.mark.parametrize("route", API, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_has_an_example(route):
    assert [path for method, path, _ in TOLD if method == route.method and matches(route, path)]


@pytest.mark.parametrize(("method", "path", "query"), TOLD)
def test_every_example_is_of_a_route_and_its_parameters(method, path, query):
    found = [route for route in API if route.method == method and matches(route, path)]
    assert found
    assert set(query) <= {name for route in found for name in route.query}


def test_every_kind_of_event_is_named():
    assert all(f"`{kind}`" in PAGE for kind in EVENT_KINDS)
