"""The pages: one frame, and what each puts into it: files of `static/<area>`, texts of `texts/*/<area>.json`."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from string import Template
from typing import NamedTuple

from web.texts import fill

HOME = "/"
STYLES = ("core/style.css", "core/parts.css", "core/narrow.css")
"""What all pages share, in this order."""


class Page(NamedTuple):
    """One page of the face: `page.html` is what stands in the frame, `page.js` its script, `page.css` its own style."""

    path: str
    area: str
    instead: str
    """The command that tells the same to those without JavaScript."""
    in_nav: bool = True


PAGES = (
    Page("/", "fleet", "muster devices"),
    Page("/devices/<serial>", "device", "muster devices -q SERIAL", in_nav=False),
    Page("/hardware", "hardware", "curl /api/soil-health/stations"),
    Page("/alarms", "alarms", "muster alarms"),
    Page("/notifications", "notifications", "curl /api/notifications"),
    Page("/scans", "scans", "curl /api/scans"),
    Page("/updates", "updates", "muster rollout list"),
    Page("/supervision", "supervision", "muster tree"),
    Page("/dead-letters", "dead_letters", "muster dead-letters"),
    Page("/settings", "settings", "muster token list"),
    Page("/reference", "reference", "curl /api/openapi.json", in_nav=False),
)


def compose(page: Page, files: Mapping[str, str], texts: Mapping[str, str], language: str) -> str:
    """Return the HTML of a page.

    Args:
        page: which.
        files: the texts of all files of the face, by name.
        texts: those for people, by key.
        language: of `texts`.

    """
    own = f"{page.area}/page.css"
    styles = [*STYLES, *([own] if own in files else [])]
    html = Template(files["core/frame.html"]).substitute(
        lang=language,
        area=page.area,
        title=f"{{{{{page.area}.title}}}}",
        styles="\n".join(f'  <link rel="stylesheet" href="/static/{name}">' for name in styles),
        nav="\n".join(_link(other, is_here=other is page) for other in PAGES if other.in_nav),
        main=files[f"{page.area}/page.html"].rstrip(),
        instead=escape(page.instead),
    )
    return fill(html, texts)


def _link(page: Page, *, is_here: bool) -> str:
    here = ' aria-current="page"' if is_here else ""
    return f'      <a href="{page.path}" data-area="{page.area}"{here}>{{{{{page.area}.name}}}}</a>'
