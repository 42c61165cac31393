"""Fixtures of the tests of the face."""

from __future__ import annotations

import pytest

from actors.runtime import Runtime
from tests.web.page_site import Site


@pytest.fixture
def site():
    runtime = Runtime.system()
    runtime.start()
    site = Site(runtime)
    yield site
    site.ref.stop()
    runtime.stop()


@pytest.fixture
def console(page):
    """What the browser complained about: refused styles and scripts are only told here."""
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    return said
