"""What the tests of the broker's users share."""

from __future__ import annotations

import pytest

from actors.runtime import Runtime


@pytest.fixture
def runtime():
    """A real runtime."""
    made = Runtime.system()
    made.start()
    yield made
    made.stop()
