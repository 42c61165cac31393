"""A headless Chromium: the system's, driven by playwright."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from playwright.sync_api import Browser, expect, sync_playwright

from tests.support.need import need

_ARGUMENTS = [
    "--no-sandbox",  # which root may not use
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


WITHIN = 20_000
"""ms in which what is expected of a page has to come about, as in `tests.support.wait`: the machine may be slow."""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser. While it lives, `asyncio.run` is impossible in this thread: playwright's loop runs there."""
    expect.set_options(timeout=WITHIN)
    binary = need("chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
