"""The pages: one frame, and what each puts into it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from string import Template
from typing import NamedTuple


class Page(NamedTuple):
    """One page of the face. Its files are `<part>.part.html`, what is inside, and `<script>`."""

    path: str
    name: str
    """In the navigation."""
    title: str
    part: str
    script: str
    skip: tuple[str, str]
    """The id of what a reader of the keyboard may want to go to at once, and the words of that link."""
    instead: str
    """What tells the same to those without JavaScript; HTML."""
    styles: tuple[str, ...] = ()
    """Besides the style that all pages share."""


PAGES = (
    Page(
        path="/",
        name="Fleet",
        title="Muster",
        part="fleet",
        script="app.js",
        skip=("fleet", "Skip to the fleet"),
        instead="<code>muster status</code> and <code>muster devices</code>",
    ),
    Page(
        path="/alarms",
        name="Alarms",
        title="Muster: alarms",
        part="alarms",
        script="alarms.js",
        skip=("alarms", "Skip to the alarms"),
        instead="<code>muster alarms</code>",
        styles=("alarms.css",),
    ),
    Page(
        path="/notifications",
        name="Notifications",
        title="Muster: notifications",
        part="notifications",
        script="notifications.js",
        skip=("notifications", "Skip to the notifications"),
        instead="<code>GET /api/notifications</code>",
        styles=("notifications.css",),
    ),
    Page(
        path="/updates",
        name="Updates",
        title="Muster: updates",
        part="updates",
        script="updates.js",
        skip=("updates", "Skip to the rollouts"),
        instead="<code>muster rollout list</code>",
        styles=("updates.css",),
    ),
    Page(
        path="/scans",
        name="Scans",
        title="Muster: scans",
        part="scans",
        script="scans.js",
        skip=("scans", "Skip to the scans"),
        instead="<code>GET /api/scans</code>",
        styles=("scans.css",),
    ),
    Page(
        path="/hardware",
        name="Soil",
        title="Muster: soil",
        part="hardware",
        script="hardware.js",
        skip=("soil", "Skip to the stations"),
        instead="<code>GET /api/soil-health/stations</code>",
        styles=("soil.css",),
    ),
)
FRAME = "frame"
PART = ".part.html"
"""How the files end that make pages and are none."""


def compose(page: Page, parts: Mapping[str, str]) -> str:
    """Return the HTML of a page from the texts of the parts, by name."""
    return Template(parts[FRAME]).substitute(
        title=escape(page.title),
        styles="\n".join(f'  <link rel="stylesheet" href="/static/{name}">' for name in ("style.css", *page.styles)),
        script=page.script,
        target=page.skip[0],
        skip=escape(page.skip[1]),
        nav="\n".join(_link(other, is_here=other is page) for other in PAGES),
        main=parts[page.part].rstrip(),
        instead=page.instead,
    )


def _link(page: Page, *, is_here: bool) -> str:
    here = ' aria-current="page"' if is_here else ""
    return f'      <a href="{page.path}"{here}>{escape(page.name)}</a>'
