"""The server's side of sealed payloads: what is asked of the keys of devices."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from actors.payload_keys.envelope import BadKeyError, key_id, public_key, read_key, show_key
from actors.registry import Execute
from actors.storage.payload_keys import PayloadKey, drop_payload_key, find_payload_keys, put_payload_key
from actors.storage.payload_keys import end_payload_key as end_row
from actors.topics import SERIAL
from actors.twins.actor import NAME as TWINS
from actors.twins.messages import TwinsStored
from supervisor.server.payload_key_file import FILE, OwnKeyError, PayloadKeyFile
from web.payload_keys import PayloadKeyRefusedError

if TYPE_CHECKING:
    from supervisor.server.parts import Parts
    from web.face import Item

logger = logging.getLogger(__name__)


def load_payload_keys(parts: Parts) -> None:
    """Learn which devices speak sealed; before the first of them is heard. Raises what `Parts.ask_registry` raises."""
    with parts.payload_keys.changing:
        rows: list[PayloadKey] = parts.ask_registry(Execute(find_payload_keys))
        public = {row.serial: _key_of(row) for row in rows}
        given = sum(map(bool, public.values()))
        file = PayloadKeyFile(parts.config.data_path / FILE, is_needed=given > 0)
        if given and not file.path.exists():
            logger.error("%s is gone: what %d devices seal cannot be opened; restore it", file.path, given)
        parts.payload_keys.load(file.load, public)


def _key_of(row: PayloadKey) -> bytes:
    """Return the key in a row; empty for none, and that device has to give another."""
    try:
        return read_key(row.public) if row.public else b""
    except BadKeyError:
        logger.error("the payload key of %s in the database is none; the device has to give it anew", row.serial)  # noqa: TRY400 - the sentence says it all
        return b""


def end_payload_key(parts: Parts, serial: str) -> None:
    """End the key of a device that is revoked: it stays one that is believed only sealed. Raises as `ask_registry`."""
    now_us = _now_us(parts)
    with parts.payload_keys.changing:
        if parts.ask_registry(Execute(lambda database: end_row(database, serial, now_us))):
            parts.payload_keys.end(serial)


class PayloadKeysFace:
    """What devices and operators ask of keys."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._keys = parts.payload_keys

    def items(self, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return who is believed only sealed, by serial. Raises ValueError for a cursor that was made up."""
        self._see_loaded()
        if cursor and not SERIAL.fullmatch(cursor):
            raise ValueError(cursor)
        serials = [serial for serial in self._keys.serials() if serial > cursor]
        own = self._own() if serials else b""
        items = [self._item(serial, own) for serial in serials[:limit]]
        return items, items[-1]["serial"] if len(serials) > limit else None

    def show(self, serial: str) -> Item:
        """Return a device's key and ours."""
        self._see_loaded()
        self._see_known(serial)
        return self._item(serial, self._own())

    def exchange(self, serial: str, key: str) -> tuple[bool, Item]:
        """Take a device's key; return whether it is another one than before, and ours."""
        _check_serial(serial)
        self._see_loaded()
        if not self._parts.config.primary:
            raise PayloadKeyRefusedError(409, "not_primary", "the primary server of this fleet takes the keys")
        try:
            public = read_key(key)
            self._keys.test(serial, public)
        except OwnKeyError as error:
            raise PayloadKeyRefusedError(503, "unavailable", str(error)) from error
        except BadKeyError as error:
            raise PayloadKeyRefusedError(400, "bad_field", f"`key`: {error}") from None
        with self._keys.changing:
            is_new = self._keys.public(serial) != public
            if is_new:
                # First the database: what is believed only sealed stays so after any crash.
                self._keep(serial, show_key(public))
                self._keys.put(serial, public)
                logger.info("%s has given a key: its payloads are sealed from now on", serial)
                # What the broker retains for it is in plain.
                self._parts.services.tell(TWINS, TwinsStored((), (serial,)))
        return is_new, self._item(serial, self._own())

    def require(self, serial: str) -> Item:
        """Believe a device only sealed, though it may have given no key yet."""
        _check_serial(serial)
        self._see_loaded()
        with self._keys.changing:
            if serial not in self._keys:
                self._keep(serial, "")
                self._keys.end(serial)
        return self._item(serial, self._own())

    def drop(self, serial: str) -> None:
        """Believe a device unsealed again."""
        self._see_loaded()
        with self._keys.changing:
            self._see_known(serial)
            self._parts.ask_registry(Execute(lambda database: drop_payload_key(database, serial)))
            self._keys.drop([serial])
        self._parts.services.tell(TWINS, TwinsStored((), (serial,)))

    def _see_loaded(self) -> None:
        """Refuse to decide anything of keys that nobody knows yet: the page is there before the database."""
        if not self._keys.is_loaded:
            raise PayloadKeyRefusedError(503, "unavailable", "the keys are not loaded from the database yet; try again")

    def _see_known(self, serial: str) -> None:
        if serial not in self._keys:
            raise PayloadKeyRefusedError(404, "not_found", f"{serial} has given no key; its payloads are not sealed")

    def _own(self) -> bytes:
        """Return our public key."""
        try:
            return public_key(self._keys.private())
        except OwnKeyError as error:
            raise PayloadKeyRefusedError(503, "unavailable", str(error)) from error

    def _item(self, serial: str, own: bytes) -> Item:
        public = self._keys.public(serial)
        return {
            "serial": serial,
            "key": show_key(public),
            "server_key": show_key(own),
            "key_id": key_id(public, own) if public else "",
        }

    def _keep(self, serial: str, public: str) -> None:
        row = PayloadKey(serial, public, _now_us(self._parts))
        self._parts.ask_registry(Execute(lambda database: put_payload_key(database, row)))


def _check_serial(serial: str) -> None:
    if not SERIAL.fullmatch(serial):
        raise PayloadKeyRefusedError(404, "not_found", f"no device can have the serial number {serial[:64]!r}")


def _now_us(parts: Parts) -> int:
    return int(parts.runtime.clock.time() * 1_000_000)


def payload_metrics(parts: Parts) -> Iterator[Metric]:
    """Yield what is counted of sealed payloads."""
    keys = parts.payload_keys
    yield GaugeMetricFamily("muster_sealed_devices", "Devices that are believed only sealed", value=len(keys))
    family = CounterMetricFamily("muster_sealed_payloads", "Payloads by what became of them", labels=["event"])
    for event in ("sealed", "opened", "own", "not_encrypted", "not_decipherable"):
        family.add_metric([event], keys.counts[event])
    yield family
