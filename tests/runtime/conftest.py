"""Fixtures of the runtime's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.runtime import ManualRuntime, Runtime


@pytest.fixture
def manual() -> ManualRuntime:
    """A runtime that moves when told to."""
    return Runtime.manual()


@pytest.fixture
def system() -> Iterator[Runtime]:
    """A real runtime, started."""
    runtime = Runtime.system()
    runtime.start()
    yield runtime
    runtime.stop()
