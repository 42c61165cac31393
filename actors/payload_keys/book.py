"""`PayloadKeys`: which devices speak sealed, and the one place where the server seals and opens. Any thread may use it.

A device that has given its key is believed only sealed from then on: whoever has its password of the broker, or the
broker itself, can say nothing in its name but that it is there or gone.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from actors.messages import Delivery
from actors.payload_keys.envelope import BOTH_USE, OWN, BadKeyError, Channel, NotDecipherableError, read_envelope
from actors.payloads import RefusedError

MOST_CHANNELS: Final = 10_000
"""Devices whose derived keys are kept; those of the others are derived anew, which takes a tenth of a millisecond."""
MOST_BEHIND: Final = 100_000


class UnprovenError(RefusedError):
    """The message may be anybody's: nothing that it says is to be answered."""


class _Claims(msgspec.Struct):
    """Who a message says it is from."""

    publisher_id: str | None = None
    device_id: str | None = None
    serial_number: str | None = None


_decode_claims = msgspec.json.Decoder(_Claims).decode


class Opened(msgspec.Struct, frozen=True):
    """A payload that was sealed."""

    sealer: str
    """The serial of the device that sealed it."""
    payload: bytes


class PayloadKeys:
    """The server's key, and the public keys of devices by serial."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """`sealed`, `opened`, `not_encrypted`, `not_decipherable`, `own`."""
        self.changing = threading.Lock()
        """Held by whoever changes a key in the database and here, so that both end with the same one."""
        self.is_loaded = False
        self._private: Callable[[], bytes] = _no_key
        self._public: dict[str, bytes] = {}
        self._channels: dict[str, tuple[bytes, Channel]] = {}
        self._behind: set[str] = set()
        """Serials of stations whose readings come sealed by the device that they hang on."""

    def load(self, private: Callable[[], bytes], public: Mapping[str, bytes]) -> None:
        """Use these keys.

        Args:
            private: returns the server's private key; asked when the first device needs it.
            public: those of the devices; empty for one whose key has ended.

        """
        self._private = private
        self._public = dict(public)
        self._channels = {}
        self.is_loaded = True

    def __bool__(self) -> bool:
        return bool(self._public)

    def __len__(self) -> int:
        return len(self._public)

    def __contains__(self, serial: str) -> bool:
        return serial in self._public

    def serials(self) -> list[str]:
        """Return the devices that are believed only sealed, in order."""
        return sorted(self._public.copy())  # another thread may add one meanwhile

    def private(self) -> bytes:
        """Return the server's private key."""
        return self._private()

    def public(self, serial: str) -> bytes:
        """Return a device's public key; empty where it has given none, or it has ended."""
        return self._public.get(serial, b"")

    def test(self, serial: str, public: bytes) -> None:
        """See whether a key can be used.

        Raises:
            BadKeyError: it cannot.

        """
        Channel(self._private(), public, serial, to="device")

    def put(self, serial: str, public: bytes) -> None:
        """Believe a device only sealed from now on, by this key, which was tested."""
        self._public[serial] = public
        self._channels.pop(serial, None)

    def end(self, serial: str) -> None:
        """End a device's key, or want one before there is any: it is believed again once it has given a new one."""
        self._public[serial] = b""
        self._channels.pop(serial, None)

    def drop(self, serials: Iterable[str]) -> None:
        """Forget the keys of devices; what they say is believed unsealed again."""
        for serial in serials:
            self._public.pop(serial, None)
            self._channels.pop(serial, None)
            self._behind.discard(serial)

    def is_private(self, serial: str) -> bool:
        """Tell whether what this device measures is not to be told to others on a broker."""
        return serial in self._public or serial in self._behind

    def seal(self, topic: str, payload: bytes, to: str = "") -> bytes:
        """Return what goes out on a topic: sealed, if it is for a device that has a key.

        Args:
            topic: where it goes.
            payload: in plain; an empty one only takes back what is retained, and stays as it is.
            to: the serial whom it is for, where the topic does not say so.

        Raises:
            BadKeyError: it has to be sealed, and there is no key to do it with.

        """
        if not self._public or not payload:
            return payload
        parts = topic.split("/", 2)
        serial = parts[1] if len(parts) == 3 and parts[0] == "devices" else to
        if serial not in self._public:
            return payload
        sealed = self._channel(serial).seal(topic, payload)
        self.counts["sealed"] += 1
        return sealed

    def seal_again(self, topic: str, payload: bytes, serial: str) -> bytes:
        """Return what a device has sealed and was kept open, as if it had just come."""
        return self._channel(serial).seal_as_peer(topic, payload) if self._public.get(serial) else payload

    def open(self, topic: str, payload: bytes) -> Opened | None:
        """Return what a device has sealed; None for what we have sealed ourselves, on a topic that both use.

        Raises:
            UnprovenError: `not_decipherable`.

        """
        try:
            envelope = read_envelope(payload)
            if envelope.to == "device" and topic.endswith(BOTH_USE):
                self.counts[OWN] += 1
                return None
            opened = Opened(envelope.device, self._channel(envelope.device).open(topic, envelope))
        except (NotDecipherableError, BadKeyError) as error:
            self.counts["not_decipherable"] += 1
            raise UnprovenError("not_decipherable", f"the payload cannot be opened: {error}") from None
        self.counts["opened"] += 1
        return opened

    def open_delivery(self, delivery: Delivery) -> tuple[Delivery, str] | None:
        """Return a delivery with its payload opened and who has sealed it; None for what we have sealed ourselves.

        Raises:
            UnprovenError: `not_decipherable`.

        """
        opened = self.open(delivery.topic, delivery.payload)
        if opened is None:
            return None
        return msgspec.structs.replace(delivery, payload=opened.payload), opened.sealer

    def judge(self, refused: RefusedError, delivery: Delivery, sealer: str) -> RefusedError:
        """Return why a message is refused: a plain one in the name of a device with a key is not that device's.

        Its sender would be told so by the id in it, and a device forgets what is refused: by the word of a stranger.
        """
        if not self._public or sealer:
            return refused
        parts = delivery.topic.split("/", 2)
        claimed: set[str | None] = {parts[1]} if len(parts) == 3 and parts[0] == "devices" else set()
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            said = _decode_claims(delivery.payload)
            claimed |= {said.publisher_id, said.device_id, said.serial_number}
        if claimed.isdisjoint(self._public):
            return refused
        self.counts["not_encrypted"] += 1
        return UnprovenError("not_encrypted", f"not sealed by its device; and else {refused.reason}: {refused.detail}")

    def check(self, serial: str, sealer: str, *, bound_id: str, is_farewell: bool) -> None:
        """Refuse what a device cannot have said.

        Args:
            serial: whose message it is, by its content.
            sealer: who has sealed it; empty: nobody.
            bound_id: the serial in its topic; empty where that has none.
            is_farewell: whether it says only that the device is gone: a last will cannot be sealed, since the broker
                publishes it.

        Raises:
            UnprovenError: `not_encrypted`, or `unbound` for what one device has sealed in the name of another.

        """
        if serial in self._public:
            if sealer == serial or (not sealer and is_farewell):
                return
            if not sealer:
                self.counts["not_encrypted"] += 1
                raise UnprovenError("not_encrypted", f"{serial} has given a key, and this is not sealed with it")
        elif not sealer:
            return
        if bound_id or serial in self._public:
            raise UnprovenError("unbound", f"{sealer} has sealed what {serial} is to have said")
        if len(self._behind) < MOST_BEHIND:
            self._behind.add(serial)

    def _channel(self, serial: str) -> Channel:
        public = self.public(serial)
        if not public:
            raise BadKeyError(f"the key of {serial[:64]!r} has ended, or was never given")
        known, channel = self._channels.get(serial, (b"", None))
        if channel is None or known != public:  # another thread may have put a new key while the old one was derived
            if len(self._channels) >= MOST_CHANNELS:
                self._channels = {}
            channel = Channel(self._private(), public, serial, to="device")
            self._channels[serial] = (public, channel)
        return channel


def _no_key() -> bytes:
    raise BadKeyError("the server's key is not loaded yet")
