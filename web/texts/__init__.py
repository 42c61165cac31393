"""The texts of the page: one folder per language, one file per area, the same keys in each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from http.cookies import CookieError, SimpleCookie
from importlib import resources
from typing import Any

import msgspec

LANGUAGES = ("en", "it")
"""The first is spoken with those who ask for none of them."""
COOKIE = "muster_lang"
_PLACE = re.compile(r"\{\{([a-z_]+\.[A-Za-z0-9_.]+)\}\}")
_CATALOG = msgspec.json.Decoder(dict[str, str])


def load(language: str) -> dict[str, str]:
    """Return all texts of a language by `area.key`."""
    folder = resources.files("web").joinpath("texts", language)
    return {
        f"{entry.name.removesuffix('.json')}.{key}": text
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        for key, text in _CATALOG.decode(entry.read_bytes()).items()
    }


def fill(html: str, texts: Mapping[str, str]) -> str:
    """Return HTML with each `{{area.key}}` replaced; a key without a text shows itself, which the tests forbid."""
    return _PLACE.sub(lambda found: escape(texts.get(found[1], found[1])), html)


def language_of(environ: Mapping[str, Any]) -> str:
    """Return the language of a request: of its cookie, else the one that its browser likes best."""
    chosen = _chosen(environ.get("HTTP_COOKIE", ""))
    if chosen in LANGUAGES:
        return chosen
    liked = sorted(_liked(environ.get("HTTP_ACCEPT_LANGUAGE", "")), key=lambda pair: -pair[1])
    return next((language for language, weight in liked if language in LANGUAGES and weight > 0), LANGUAGES[0])


def _chosen(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _liked(header: str) -> list[tuple[str, float]]:
    """Return the languages of an Accept-Language header with their weights (RFC 9110, section 12.5.4)."""
    found = []
    for part in header[:1000].split(","):
        name, _, weight = part.strip().partition(";q=")
        try:
            found.append((name.lower().partition("-")[0], float(weight or 1)))
        except ValueError:
            continue
    return found
