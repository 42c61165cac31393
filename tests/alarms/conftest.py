from __future__ import annotations

import pytest

from tests.alarms.rig import Rig


@pytest.fixture
def make_rig(tmp_path):
    """Makes a rig on SQLite."""
    rigs = []

    def make(*rules, **settings):
        rigs.append(Rig(f"sqlite:///{tmp_path}/muster.db", *rules, **settings))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.store.close()
