"""The stage of the bridge's tests."""

from __future__ import annotations

import pytest

from tests.home_assistant.stage import Stage


@pytest.fixture
def stage(tmp_path):
    made = Stage(f"sqlite:///{tmp_path}/muster.db")
    made.connect()
    yield made
    made.store.close()
