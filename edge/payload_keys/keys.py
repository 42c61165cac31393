"""`PayloadKeys`: this device's key pair and the server's public key, and what is sealed and opened with them."""

from __future__ import annotations

import errno
import importlib.util
import logging
import threading
from collections import Counter
from typing import Any

import msgspec

from actors.payload_keys.envelope import (
    BOTH_USE,
    OWN,
    BadKeyError,
    Channel,
    NotDecipherableError,
    is_sealed,
    new_private_key,
    public_key,
    read_envelope,
    read_key,
    show_key,
)
from actors.topics import SENSOR_TAIL
from edge.home import Places
from supervisor.process.private_file import write_private
from supervisor.process.redaction import hide_secrets

logger = logging.getLogger(__name__)


class ChangedKeyError(Exception):
    """The server shows another key than before; the message is one sentence."""


class Refused(Exception):  # noqa: N818 - it says what has become of a message, and is never logged as an error
    """A message is none of the server's; the message is a part of a sentence."""


class _Kept(msgspec.Struct, frozen=True):
    """The file."""

    device_id: str
    private: str
    server: str = ""
    """The server's public key; empty before the first exchange."""
    server_id: str = ""

    def __repr__(self) -> str:
        return f"_Kept(device_id={self.device_id!r}, server_id={self.server_id!r})"


class PayloadKeys:
    """Loaded and changed by the exchanger, read by the link. Without `encrypt` nothing is sealed and no key is made."""

    def __init__(self, home: Places, device_id: str, *, encrypt: bool) -> None:
        self.encrypt = encrypt
        self.counts: Counter[str] = Counter()
        """`sealed`, `opened`, `refused`, and `own`: what we have published and hear again."""
        self.detail = "" if encrypt else "Payloads are not sealed."
        """What is to be known of the keys, in a sentence."""
        self.distrust = threading.Event()
        """Set when a message was refused: the server may not know our key any more."""
        self._file, self._device_id = home.payload_key, device_id
        self._own = f"devices/{device_id}/"
        self._kept: _Kept | None = None
        self._channel: Channel | None = None

    @property
    def is_ready(self) -> bool:
        """Whether anything may be said over a broker: either nothing is sealed, or both keys are there."""
        return not self.encrypt or self._channel is not None

    @property
    def key_id(self) -> str:
        """The name of the pair in use; empty without one."""
        return self._channel.key_id if self._channel is not None else ""

    def prepare(self) -> None:
        """Load what can be loaded now: who has exchanged keys before needs no server to speak to its broker."""
        try:
            self.load()
        except OSError as error:
            logger.warning("The payload key cannot be used: %s; tried again soon.", error.strerror)

    def load(self) -> None:
        """Read what is kept, or make a key; one of another device (a copied card) is not used.

        Raises:
            OSError: it cannot be read or written.

        """
        if not self.encrypt or self._kept is not None:
            return
        if importlib.util.find_spec("cryptography") is None:
            raise OSError(errno.ENOPKG, "`cryptography` is not installed; install the extra `ota`")
        kept = self._read()
        if kept is None:
            kept = _Kept(self._device_id, show_key(new_private_key()))
            self._write(kept)
        self._use(kept)

    def public(self) -> str:
        """Return our public key, as the server takes it."""
        assert self._kept is not None
        return show_key(public_key(read_key(self._kept.private)))

    def renew(self) -> None:
        """Make another key; nothing is said over a broker until the server has taken it.

        Raises:
            OSError: it cannot be kept.

        """
        kept = self._kept
        assert kept is not None
        self._channel = None
        self._kept = msgspec.structs.replace(kept, private=show_key(new_private_key()))
        hide_secrets(self._kept.private)
        self._write(self._kept)

    def adopt(self, server: str, server_id: str) -> bool:
        """Use the server's key from now on; return whether that changes anything.

        Raises:
            BadKeyError: it is no key.
            ChangedKeyError: the same server had another one.
            OSError: it cannot be kept.

        """
        kept = self._kept
        assert kept is not None
        read_key(server)
        if kept.server and kept.server_id == server_id and kept.server != server:
            raise ChangedKeyError(
                f"The server shows another payload key than before. If it has lost its own, remove {self._file} and"
                " start this edge anew; else somebody stands between."
            )
        if (kept.server, kept.server_id) == (server, server_id) and self._channel is not None:
            return False
        changed = msgspec.structs.replace(kept, server=server, server_id=server_id)
        Channel(read_key(changed.private), read_key(server), self._device_id, to="server")
        self._write(changed)
        self._use(changed)
        return True

    # For the link

    def seal(self, topic: str, payload: bytes, _to: str) -> bytes:
        """Return what goes out on a topic: sealed, unless it is a link's talk with itself. A last will is none of it.

        Raises:
            BadKeyError: it has to be sealed, and the server has not taken our key yet.

        """
        if not self.encrypt or not (topic.startswith(self._own) or topic.endswith(SENSOR_TAIL)):
            return payload
        channel = self._channel
        if channel is None:
            raise BadKeyError("there is no key that the server knows to seal it with")
        self.counts["sealed"] += 1
        return channel.seal(topic, payload)

    def open(self, topic: str, payload: bytes) -> bytes | None:
        """Return what the server has said; None for what we have said ourselves.

        Raises:
            Refused: on a topic of ours, whatever the server has not sealed for us.

        """
        if not self.encrypt:
            return payload
        if not is_sealed(payload):
            if topic.startswith(self._own):
                raise Refused("it is not sealed")
            return payload
        try:
            envelope = read_envelope(payload)
            if envelope.to == "server" and topic.endswith(BOTH_USE):
                self.counts[OWN] += 1
                return None
            channel = self._channel
            if channel is None:
                raise Refused("there is no key yet to open it with")
            opened = channel.open(topic, envelope)
        except NotDecipherableError as error:
            raise Refused(str(error)) from None
        self.counts["opened"] += 1
        return opened

    def refuse(self, topic: str, reason: str) -> None:
        """Count a message that was refused; say so when it is the first since the last exchange."""
        self.counts["refused"] += 1
        self.detail = f"A message on {topic[:200]} was refused: {reason}."
        if not self.distrust.is_set():
            logger.warning("%s", self.detail)
            self.distrust.set()

    def describe(self) -> dict[str, Any]:
        """Return what the commands show."""
        return {"encrypt": self.encrypt, "key": self.key_id, "detail": self.detail, "counters": dict(self.counts)}

    # The file

    def _use(self, kept: _Kept) -> None:
        hide_secrets(kept.private)
        if kept.server:
            self._channel = Channel(read_key(kept.private), read_key(kept.server), self._device_id, to="server")
        self._kept = kept

    def _read(self) -> _Kept | None:
        try:
            kept = msgspec.json.decode(self._file.read_bytes(), type=_Kept)
            read_key(kept.private)
            if kept.server:
                read_key(kept.server)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError, BadKeyError) as error:
            logger.warning("The key in %s cannot be read (%s); a new one is made.", self._file, type(error).__name__)
            return None
        if kept.device_id != self._device_id:
            logger.warning("The key in %s is that of %s; a new one is made.", self._file, kept.device_id[:64])
            return None
        return kept

    def _write(self, kept: _Kept) -> None:
        write_private(self._file, msgspec.json.encode(kept), durable=True)
