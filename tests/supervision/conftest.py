"""Fixtures of the supervision tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.runtime import Runtime
from tests.supervision.support import Lab


@pytest.fixture
def lab() -> Lab:
    """A laboratory with nothing on the bench."""
    return Lab()


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    """A real runtime, started."""
    runtime = Runtime.system()
    runtime.start()
    yield runtime
    runtime.stop()
