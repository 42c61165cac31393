"""The files of the page, read once and kept ready: plain and gzipped, each with a strong ETag."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

from web.call import Reply
from web.pages import PAGES, PART, Page, compose

TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class Asset(NamedTuple):
    """One file."""

    content_type: str
    plain: bytes
    zipped: bytes
    etag: str


class Assets:
    """Every file of `web/static` whose type is known, by name, and the pages that are made of its parts."""

    def __init__(self) -> None:
        raw = {
            entry.name: entry.read_bytes()
            for entry in resources.files("web").joinpath("static").iterdir()
            if entry.name.rpartition(".")[2] in TYPES
        }
        parts = {name.removesuffix(PART): text.decode() for name, text in raw.items() if name.endswith(PART)}
        self._files = {name: _load(name, content) for name, content in raw.items() if not name.endswith(PART)}
        self._pages = {page.path: _load("page.html", compose(page, parts).encode()) for page in PAGES}

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def reply(self, name: str, environ: Mapping[str, Any], status: int = 200) -> Reply:
        """Return a file that exists, or 304 when the browser has it."""
        return _reply(self._files[name], environ, status)

    def page(self, page: Page, environ: Mapping[str, Any]) -> Reply:
        """Return a page, or 304 when the browser has it."""
        return _reply(self._pages[page.path], environ)


def _reply(asset: Asset, environ: Mapping[str, Any], status: int = 200) -> Reply:
    zipped = "gzip" in environ.get("HTTP_ACCEPT_ENCODING", "")
    # A strong tag names the bytes: the gzipped form has one of its own.
    etag = f'"{asset.etag}{"-gz" if zipped else ""}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if status == 200 and etag in environ.get("HTTP_IF_NONE_MATCH", ""):
        return Reply(None, 304, headers)
    if zipped:
        headers["Content-Encoding"] = "gzip"
    return Reply(asset.zipped if zipped else asset.plain, status, headers, asset.content_type)


def _load(name: str, raw: bytes) -> Asset:
    kind = TYPES[name.rpartition(".")[2]]
    return Asset(kind, raw, gzip.compress(raw, mtime=0), hashlib.sha256(raw).hexdigest()[:32])
