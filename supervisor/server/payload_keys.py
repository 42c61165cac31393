"""The server's side of sealed payloads: its key in a file of mode 0600, and what is asked of those of devices."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from actors.payload_keys.envelope import BadKeyError, key_id, new_private_key, public_key, read_key, show_key
from actors.registry import Execute
from actors.storage.payload_keys import PayloadKey, drop_payload_key, find_payload_keys, put_payload_key
from actors.topics import SERIAL
from actors.twins.actor import NAME as TWINS
from actors.twins.messages import TwinsStored
from supervisor.process.private_file import write_private
from web.payload_keys import PayloadKeyRefusedError

if TYPE_CHECKING:
    from supervisor.server.parts import Parts
    from web.face import Item

logger = logging.getLogger(__name__)

FILE: Final = "payload.key"
"""In the data directory, and so in backups: without it every device has to give its key anew."""
_LABEL: Final = "muster-payload-key"


class OwnKeyError(BadKeyError):
    """The server's own key cannot be used: nothing is sealed or opened; the message is a part of a sentence."""


class PayloadKeyFile:
    """The server's private key; made when the first device needs it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._private = b""

    def load(self) -> bytes:
        """Return the key.

        Raises:
            OwnKeyError: the file cannot be read or written, is open to others, or holds no key.

        """
        if not self._private:
            self._private = self._read() if self.path.exists() else self._make()
        return self._private

    def _make(self) -> bytes:
        private = new_private_key()
        try:
            write_private(self.path, f"{_LABEL} {show_key(private)}\n".encode(), durable=True)
        except OSError as error:
            raise OwnKeyError(f"The payload key in {self.path} cannot be written: {error.strerror}") from None
        return private

    def _read(self) -> bytes:
        try:
            if self.path.stat().st_mode & 0o077:
                raise OwnKeyError(f"The payload key in {self.path} may be read by others; run `chmod 600 {self.path}`")
            label, _, text = self.path.read_text(encoding="ascii", errors="replace").strip().partition(" ")
        except OSError as error:
            raise OwnKeyError(f"The payload key in {self.path} cannot be read: {error.strerror}") from None
        try:
            return read_key(text if label == _LABEL else "")
        except BadKeyError:
            raise OwnKeyError(f"{self.path} holds no payload key; restore it from a backup") from None


def load_payload_keys(parts: Parts) -> None:
    """Learn which devices speak sealed; before the first of them is heard. Raises what `Parts.ask_registry` raises."""
    file = PayloadKeyFile(parts.config.data_path / FILE)
    rows: list[PayloadKey] = parts.ask_registry(Execute(find_payload_keys))
    if rows and not file.path.exists():
        logger.error("%s is gone: %d devices have to give their keys anew; restore it", file.path, len(rows))
    parts.payload_keys.load(file.load, {row.serial: read_key(row.public) if row.public else b"" for row in rows})


def end_payload_key(parts: Parts, serial: str) -> None:
    """End the key of a device that is revoked: it stays one that is believed only sealed. Raises as `ask_registry`."""
    if serial in parts.payload_keys:
        _keep(parts, serial, "")
        parts.payload_keys.end(serial)


class PayloadKeysFace:
    """What devices and operators ask of keys."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._keys = parts.payload_keys

    def show(self, serial: str) -> Item:
        """Return a device's key and ours."""
        if serial not in self._keys:
            raise PayloadKeyRefusedError(404, "not_found", f"{serial} has given no key; its payloads are not sealed")
        return self._item(serial)

    def exchange(self, serial: str, key: str) -> Item:
        """Take a device's key and return ours."""
        _check_serial(serial)
        if not self._parts.config.primary:
            raise PayloadKeyRefusedError(409, "not_primary", "the primary server of this fleet takes the keys")
        try:
            public = read_key(key)
            self._keys.test(serial, public)
        except OwnKeyError as error:
            raise PayloadKeyRefusedError(503, "unavailable", str(error)) from error
        except BadKeyError as error:
            raise PayloadKeyRefusedError(400, "bad_field", f"`key`: {error}") from None
        if self._keys.public(serial) != public:
            # First the database: what is believed only sealed stays so after any crash.
            _keep(self._parts, serial, show_key(public))
            self._keys.put(serial, public)
            logger.info("%s has given a key: its payloads are sealed from now on", serial)
            # What the broker retains for it is in plain.
            self._parts.services.tell(TWINS, TwinsStored((), (serial,)))
        return self._item(serial)

    def require(self, serial: str) -> Item:
        """Believe a device only sealed, though it may have given no key yet."""
        _check_serial(serial)
        if serial not in self._keys:
            _keep(self._parts, serial, "")
            self._keys.end(serial)
        return self._item(serial)

    def drop(self, serial: str) -> None:
        """Believe a device unsealed again."""
        if serial not in self._keys:
            raise PayloadKeyRefusedError(404, "not_found", f"{serial} has given no key; its payloads are not sealed")
        self._parts.ask_registry(Execute(lambda database: drop_payload_key(database, serial)))
        self._keys.drop([serial])
        self._parts.services.tell(TWINS, TwinsStored((), (serial,)))

    def _item(self, serial: str) -> Item:
        public = self._keys.public(serial)
        try:
            own = public_key(self._keys.private())
        except OwnKeyError as error:
            raise PayloadKeyRefusedError(503, "unavailable", str(error)) from error
        return {
            "serial": serial,
            "key": show_key(public),
            "server_key": show_key(own),
            "key_id": key_id(public, own) if public else "",
        }


def _check_serial(serial: str) -> None:
    if not SERIAL.fullmatch(serial):
        raise PayloadKeyRefusedError(404, "not_found", f"no device can have the serial number {serial[:64]!r}")


def _keep(parts: Parts, serial: str, public: str) -> None:
    row = PayloadKey(serial, public, int(parts.runtime.clock.time() * 1_000_000))
    parts.ask_registry(Execute(lambda database: put_payload_key(database, row)))


def payload_metrics(parts: Parts) -> Iterator[Metric]:
    """Yield what is counted of sealed payloads."""
    keys = parts.payload_keys
    yield GaugeMetricFamily("muster_sealed_devices", "Devices that are believed only sealed", value=len(keys))
    family = CounterMetricFamily("muster_sealed_payloads", "Payloads by what became of them", labels=["event"])
    for event in ("sealed", "opened", "own", "not_encrypted", "not_decipherable"):
        family.add_metric([event], keys.counts[event])
    yield family
