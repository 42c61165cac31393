from __future__ import annotations

import pytest

from tests.updates.rig import running


@pytest.fixture
def rig(tmp_path):
    with running(f"sqlite:///{tmp_path}/muster.db") as it:
        yield it


@pytest.fixture
def anywhere(database_url):
    """The same, once for each kind of database."""
    with running(database_url) as it:
        yield it
