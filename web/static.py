"""The files of the page, read once and kept ready, plain and gzipped with a strong ETag; pages in each language."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

import msgspec

from web.call import Reply
from web.pages import PAGES, STYLES, Page, compose
from web.texts import LANGUAGES, fill, language_of, load

TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
LOGIN = "login/page.html"
OPEN = ("core/icon.svg", "core/theme.js", *STYLES, "login/page.css", "login/page.js")
"""What the login page loads, before anybody is known."""


class Asset(NamedTuple):
    """One file."""

    content_type: str
    plain: bytes
    zipped: bytes
    etag: str


class Assets:
    """Every file of `web/static` of a known type, the texts as `texts.<language>.json`, and the pages."""

    def __init__(self) -> None:
        raw = dict(_walk(resources.files("web").joinpath("static")))
        html = {name: content.decode() for name, content in raw.items() if name.endswith((".html", ".css"))}
        self._files = {name: pack(name, content) for name, content in raw.items() if not name.endswith(".html")}
        self._pages: dict[tuple[str, str], Asset] = {}
        for language in LANGUAGES:
            texts = load(language)
            catalog = f"texts.{language}.json"
            self._files[catalog] = pack(catalog, msgspec.json.encode(texts))
            for page in PAGES:
                composed = compose(page, html, texts, language)
                self._pages[page.area, language] = pack("page.html", composed.encode())
            login = fill(html[LOGIN], texts | {"frame.lang": language})
            self._pages["login", language] = pack(LOGIN, login.encode())

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def reply(self, name: str, environ: Mapping[str, Any]) -> Reply:
        """Return a file that exists, or 304 when the browser has it."""
        return answer(self._files[name], environ)

    def page(self, page: Page, environ: Mapping[str, Any]) -> Reply:
        """Return a page in the language of who asks, or 304 when the browser has it."""
        return _in_language(answer(self._pages[page.area, language_of(environ)], environ))

    def login(self, environ: Mapping[str, Any], status: int = 200) -> Reply:
        """Return the login page, as `page` does."""
        return _in_language(answer(self._pages["login", language_of(environ)], environ, status))


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in TYPES:
            yield prefix + entry.name, entry.read_bytes()


def answer(asset: Asset, environ: Mapping[str, Any], status: int = 200) -> Reply:
    """Return what answers with these bytes, gzipped where the browser takes that; 304 when it has them."""
    zipped = "gzip" in environ.get("HTTP_ACCEPT_ENCODING", "")
    # A strong tag names the bytes: the gzipped form has one of its own.
    etag = f'"{asset.etag}{"-gz" if zipped else ""}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if status == 200 and etag in environ.get("HTTP_IF_NONE_MATCH", ""):
        return Reply(None, 304, headers)
    if zipped:
        headers["Content-Encoding"] = "gzip"
    return Reply(asset.zipped if zipped else asset.plain, status, headers, asset.content_type)


def _in_language(reply: Reply) -> Reply:
    varies = {"Vary": "Accept-Encoding, Accept-Language, Cookie"}
    return Reply(reply.body, reply.status, {**reply.headers, **varies}, reply.content_type)


def pack(name: str, raw: bytes) -> Asset:
    """Return a file as it is kept, its type by the end of its name."""
    kind = TYPES[name.rpartition(".")[2]]
    return Asset(kind, raw, gzip.compress(raw, mtime=0), hashlib.sha256(raw).hexdigest()[:32])
