"""Sealed payloads: what a device and its server say to each other, for nobody between them. Pure; used by both.

Each side has a static X25519 pair. From the shared secret HKDF-SHA256 derives two keys, one for each direction, and
ChaCha20-Poly1305 seals with a random nonce; serial and topic are the additional data. On the wire it is JSON, so that
MQTT 3.1.1 carries it too, and `muster_sealed` stands first, so that a look at the beginning tells it:

    {"muster_sealed":1,"to":"server","device":SERIAL,"key":KEY_ID,"nonce":BASE64,"ct":BASE64}

`cryptography` is loaded when the first key is used: who seals nothing does not pay for it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from typing import Any, Final, Literal

import msgspec

To = Literal["server", "device"]
"""Whom a message is for; each direction has a key of its own, so that none can be sent back as the other's."""

BEGINNING: Final = b'{"muster_sealed"'
VERSION: Final = 1
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
LARGEST: Final = 4 << 20
"""Bytes of a sealed payload; a larger one is not even decoded."""
BOTH_USE: Final = "/receipts"
"""The end of the one topic that both sides publish on and both hear."""
OWN: Final = "own"
"""What the counter calls our own messages that came back to us."""
_LABEL: Final = b"muster payload 1"


class BadKeyError(ValueError):
    """A public key is none; the message is one sentence."""


class NotDecipherableError(Exception):
    """A sealed payload cannot be opened; the message is a part of a sentence."""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What is on the wire."""

    muster_sealed: int
    to: To
    device: str
    """The serial of the device that sealed it, or is to open it."""
    key: str
    nonce: str
    ct: str


_decode_envelope = msgspec.json.Decoder(Envelope).decode


def is_sealed(payload: bytes) -> bool:
    """Tell whether a payload says that it is sealed."""
    return payload.startswith(BEGINNING)


def read_envelope(payload: bytes) -> Envelope:
    """Return the envelope of a sealed payload.

    Raises:
        NotDecipherableError: it is none.

    """
    if len(payload) > LARGEST:
        raise NotDecipherableError(f"it has {len(payload)} bytes, at most {LARGEST} are opened")
    try:
        envelope = _decode_envelope(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotDecipherableError(f"it is no envelope: {error}") from None
    except RecursionError:
        raise NotDecipherableError("it is no envelope: nested too deep") from None
    if envelope.muster_sealed != VERSION:
        raise NotDecipherableError(f"it is of format {envelope.muster_sealed}; this release knows {VERSION}")
    return envelope


def new_private_key() -> bytes:
    """Return a new private key; any 32 random bytes are one."""
    return os.urandom(KEY_BYTES)


def public_key(private: bytes) -> bytes:
    """Return the public key of a private one."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def show_key(key: bytes) -> str:
    """Return a key as text."""
    return base64.b64encode(key).decode()


def read_key(text: str) -> bytes:
    """Return a key that was told as text.

    Raises:
        BadKeyError: it is none.

    """
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise BadKeyError(f"a key has {KEY_BYTES} bytes in base64")
    return key


def key_id(device: bytes, server: bytes) -> str:
    """Return the name of a pair of public keys: who has another pair says so, and does not only fail."""
    return hashlib.sha256(_LABEL + device + server).hexdigest()[:16]


class Channel:
    """Seals and opens for one device and its server, on one of both sides. Any thread may use it."""

    __slots__ = ("_incoming", "_key_id", "_nonce_key", "_outgoing", "_serial", "_to")

    def __init__(self, private: bytes, peer: bytes, serial: str, *, to: To) -> None:
        """Derive the keys.

        Args:
            private: this side's key.
            peer: the other side's public key.
            serial: of the device.
            to: whom this side speaks to.

        Raises:
            BadKeyError: `peer` is a point that makes every secret the same.

        """
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        own = X25519PrivateKey.from_private_bytes(private)
        try:
            secret = own.exchange(X25519PublicKey.from_public_bytes(peer))
        except ValueError:
            raise BadKeyError("this public key gives no secret") from None
        mine = own.public_key().public_bytes_raw()
        device, server = (mine, peer) if to == "server" else (peer, mine)
        info = device + server + serial.encode()
        # HKDF's first bytes are the same however many are asked for: the third key is only its owner's business.
        keys = HKDF(algorithm=SHA256(), length=3 * KEY_BYTES, salt=_LABEL, info=info).derive(secret)
        to_server, to_device = (ChaCha20Poly1305(keys[at : at + KEY_BYTES]) for at in (0, KEY_BYTES))
        self._nonce_key = keys[2 * KEY_BYTES :]
        self._serial, self._to, self._key_id = serial, to, key_id(device, server)
        self._outgoing: Any = to_server if to == "server" else to_device
        self._incoming: Any = to_device if to == "server" else to_server

    @property
    def key_id(self) -> str:
        """The name of both keys together."""
        return self._key_id

    def seal(self, topic: str, payload: bytes) -> bytes:
        """Return a payload sealed for this topic."""
        return self._seal(self._outgoing, self._to, topic, payload)

    def seal_as_peer(self, topic: str, payload: bytes) -> bytes:
        """Return a payload as the other side would have sealed it: what was opened once is to be handled again."""
        return self._seal(self._incoming, "device" if self._to == "server" else "server", topic, payload)

    def open(self, topic: str, envelope: Envelope) -> bytes:
        """Return what the other side has sealed.

        Raises:
            NotDecipherableError: it is for another key, topic, device or direction, or was changed.

        """
        from cryptography.exceptions import InvalidTag

        if envelope.to == self._to:
            raise NotDecipherableError("it is for the other side")
        if envelope.key != self._key_id:
            raise NotDecipherableError(f"it is sealed with the key {envelope.key[:16]!r}, not with {self._key_id!r}")
        try:
            # Half the time of `b64decode(validate=True)`, which looks with a regular expression first.
            nonce, sealed = (binascii.a2b_base64(text, strict_mode=True) for text in (envelope.nonce, envelope.ct))
            return bytes(self._incoming.decrypt(nonce, sealed, _bound_to(self._serial, topic)))
        except (InvalidTag, ValueError):
            raise NotDecipherableError("it was changed, or sealed for another topic or device") from None

    def _seal(self, cipher: Any, to: To, topic: str, payload: bytes) -> bytes:
        bound_to = _bound_to(self._serial, topic)
        nonce = self._nonce(to, bound_to, payload)
        sealed = cipher.encrypt(nonce, payload, bound_to)
        head = f'","key":"{self._key_id}","nonce":"{base64.b64encode(nonce).decode()}","ct":"'
        # A serial has no character that JSON would escape.
        begin = f'{{"muster_sealed":{VERSION},"to":"{to}","device":"{self._serial}{head}'
        return begin.encode() + base64.b64encode(sealed) + b'"}'

    def _nonce(self, to: To, bound_to: bytes, payload: bytes) -> bytes:
        """Return a nonce that is random, and another one for another message though the random bytes come again.

        They do when a virtual machine goes on twice from one snapshot.
        """
        drawn = hashlib.blake2b(os.urandom(KEY_BYTES), digest_size=NONCE_BYTES, key=self._nonce_key)
        # Each part has a length of its own, so that no two messages are hashed as one.
        drawn.update(b"%s %d " % (to.encode(), len(bound_to)) + bound_to)
        drawn.update(payload)
        return drawn.digest()


def _bound_to(serial: str, topic: str) -> bytes:
    return b"\0".join((_LABEL, serial.encode(), topic.encode()))
