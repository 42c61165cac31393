"""Seals rows anew that were written without a key, or with the one before; in the writer, slice by slice."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final, NamedTuple

from actors.storage.models import MODELS, Setting
from actors.storage.sealed import ChangedError, Keyring, SealedTextField, keyring
from actors.storage.sql import Dialect

SETTING: Final = "sealing.key"
"""The id of the key with which every row is sealed."""
SLICE: Final = 200


class Place(NamedTuple):
    """How far it has come."""

    column: int = 0
    after: str = ""
    """The key of the last row that was looked at."""
    sealed: int = 0
    """Rows that were sealed anew."""
    lost: int = 0
    """Rows that were changed after they were sealed: they stay as they are, and hold up no others."""


COLUMNS: Final = tuple(
    field
    for model in MODELS
    for field in model._meta.sorted_fields  # noqa: SLF001 - peewee's documented place
    if isinstance(field, SealedTextField)
)
"""Everything that is sealed; their tables have a text as their key."""


def sealed_with(database: Any) -> str:
    """Return the id of the key with which every row is sealed, empty where none is noted."""
    return str(Setting.select(Setting.value).where(Setting.key == SETTING).scalar(database) or "")


def is_done(database: Any) -> bool:
    """Return whether every row is sealed with the key that is in use."""
    return sealed_with(database) == keyring().current


def reseal(database: Any, place: Place) -> Place | None:
    """Look at one slice of rows; return where to go on, None when all is done, which is noted. Runs in the writer."""
    keys = keyring()
    if place.column >= len(COLUMNS):
        Setting.delete().where(Setting.key == SETTING).execute(database)
        Setting.insert(key=SETTING, value=keys.current).execute(database)
        return None
    field = COLUMNS[place.column]
    dialect, key = Dialect(database), field.model._meta.primary_key.column_name  # noqa: SLF001 - as above
    name = dialect.quote(key)
    # As it is stored: peewee's own queries would unseal it.
    sql = dialect.select(field.model, (key, field.column_name), f"WHERE {name} > ? ORDER BY {name} LIMIT {SLICE}")
    with closing(database.cursor()) as cursor:
        cursor.execute(sql, (place.after,))
        rows = list(cursor.fetchall())
        stale = [(row_key, text) for row_key, text in rows if text is not None and not keys.is_current(text)]
        fresh = [(text, row_key) for row_key, old in stale if (text := _seal_anew(keys, old, field.place)) is not None]
        if fresh:
            cursor.executemany(dialect.update(field.model, (field.column_name,), key), fresh)
    sealed, lost = place.sealed + len(fresh), place.lost + len(stale) - len(fresh)
    if len(rows) < SLICE:
        return Place(place.column + 1, "", sealed, lost)
    return Place(place.column, str(rows[-1][0]), sealed, lost)


def _seal_anew(keys: Keyring, text: str, place: str) -> str | None:
    try:
        return keys.seal(keys.unseal(text, place), place)
    except ChangedError:
        return None
