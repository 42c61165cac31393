"""Fixtures of the tests of the face."""

from __future__ import annotations

import pytest

from actors.runtime import Runtime
from tests.web.fakes import make_face
from tests.web.page_site import Site
from tests.web.running import Running


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


@pytest.fixture
def runtime():
    runtime = Runtime.system()
    runtime.start()
    yield runtime
    runtime.stop()


@pytest.fixture
def serve(runtime):
    started = []

    def start(*devices, **settings):
        started.append(Running(runtime, make_face(*devices, clock=runtime.clock), **settings))
        return started[-1]

    yield start
    for running in started:
        if running.exit is None:
            running.stop()
        running.monitor.stop()
