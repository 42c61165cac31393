"""What is retained for Home Assistant: one row for each discovery document, written before it is published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from actors.storage.models import HomeAssistantDevice as Row

_decode_measures = msgspec.json.Decoder(dict[str, list[str]]).decode


class Told(NamedTuple):
    """Where a discovery document is retained."""

    topic: str
    link: str


class Bridged(msgspec.Struct, frozen=True):
    """A device that Home Assistant was told of, or is about to be."""

    topic: str
    """Of the discovery document."""
    link: str
    """The link by which it was told."""
    server: str
    """The public name of the server that has told it."""
    serial: str
    measures: dict[str, list[str]]
    """By channel."""

    @property
    def told(self) -> Told:
        """Return where it is retained."""
        return Told(self.topic, self.link)


class FindBridged(msgspec.Struct, frozen=True):
    """What one server has told."""

    server: str
    after: Told
    limit: int

    def run(self, database: Any) -> list[Bridged]:
        """Return what follows `after`, by topic and link."""
        topic, link = self.after
        follows = (Row.topic > topic) | ((Row.topic == topic) & (Row.link > link))
        rows = (
            Row.select(Row.topic, Row.link, Row.server, Row.serial, Row.measures)
            .where((Row.server == self.server) & follows)
            .order_by(Row.topic, Row.link)
            .limit(self.limit)
            .tuples()
        )
        return [
            Bridged(topic, link, server, serial, _decode_measures(measures))
            for topic, link, server, serial, measures in rows.execute(database)
        ]


def put_bridged(database: Any, rows: Sequence[Bridged]) -> None:
    """Write rows in place of those that are there; runs in the writer."""
    drop_bridged(database, [row.told for row in rows])
    for row in rows:
        values = msgspec.structs.asdict(row) | {"measures": msgspec.json.encode(row.measures).decode()}
        Row.insert(**values).execute(database)


def drop_bridged(database: Any, gone: Sequence[Told]) -> None:
    """Forget what is retained no more; runs in the writer."""
    for topic, link in gone:
        Row.delete().where((Row.topic == topic) & (Row.link == link)).execute(database)
