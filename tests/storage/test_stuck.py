"""A delivery ends exactly once: what waits in the writer for the database is not buried as well."""

from __future__ import annotations

import pytest

from actors.messages import StoreDeadLetter, WriteBatch
from actors.registry import RegistryActor
from actors.runtime import Directory, Runtime
from tests.storage.build import device, reading
from tests.support.ports import free_port

LINK = "local.data"


@pytest.fixture
def registry():
    """A writer whose database is away."""
    return RegistryActor(f"postgresql://muster@127.0.0.1:{free_port()}/muster", Directory(), Runtime.manual())


def burial(token, reason="stuck"):
    return StoreDeadLetter(reason, "not in time", LINK, "plant/gateway/1/input", b"{}", 0, token=token, qos=1)


def test_a_reading_that_waits_for_the_database_is_not_buried_too(registry):
    registry.on_receive(WriteBatch([device(), reading(link=LINK, token=5), reading(at=1, link=LINK, token=6)]))
    assert not registry.board.status.ok
    registry.on_receive(WriteBatch([burial(5), burial(6), burial(7)]))
    assert registry.board.status.pending == 4
    assert burial(7) in registry.unfinished()[0].items


def test_a_refusal_that_waits_for_the_database_is_not_buried_too(registry):
    registry.on_receive(WriteBatch([burial(5, "not_json")]))
    registry.on_receive(WriteBatch([burial(5)]))
    assert registry.unfinished() == [WriteBatch([burial(5, "not_json")])]


def test_an_equal_token_of_another_link_is_another_delivery(registry):
    registry.on_receive(WriteBatch([device(), reading(link="other.data", token=5)]))
    registry.on_receive(WriteBatch([burial(5)]))
    assert registry.board.status.pending == 3
