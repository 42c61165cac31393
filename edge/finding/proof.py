"""The proof that a server is ours: it knows the fleet's key, or the digest of our token, before we send either.

The server answers a fresh nonce with an HMAC (RFC 2104) over its own id, the device's id, the nonce and the address
that we have dialled, if that is its own. Whoever merely answers, or speaks mDNS, cannot make one; who passes our
question on gets none for its own address. Who can take the server's address, or answer for its name, still reads along:
only TLS helps against that.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import NamedTuple

NONCE_SIZE = 16
"""Random bytes; the server takes 16 to 64 hex digits."""
_PURPOSE = "muster-server"


class Secrets(NamedTuple):
    """What we can recognise our server by; both may be empty."""

    enrolment_key: str = ""
    """The fleet's."""
    token: str = ""
    """Our own, of an enrolment."""

    def __repr__(self) -> str:
        return f"Secrets(enrolment_key={bool(self.enrolment_key)}, token={bool(self.token)})"

    def __bool__(self) -> bool:
        return bool(self.enrolment_key or self.token)


class Proofs(NamedTuple):
    """The proofs of a server, hexadecimal digits; or, judged, which of them held."""

    enrolment_key: str = ""
    device: str = ""
    enrolment_key_new: str = ""
    """While the fleet's key changes: that with the new one."""


class Verdict(NamedTuple):
    """Which proofs held."""

    by_key: bool
    by_token: bool
    """It also means that our token is the one that opens the server."""

    def __bool__(self) -> bool:
        return self.by_key or self.by_token


def make_nonce() -> str:
    """Return what no server can have seen before."""
    return secrets.token_hex(NONCE_SIZE)


def prove(key: str, *, server_id: str, device_id: str, nonce: str, address: str) -> str:
    """Return the proof that a server which knows `key` gives."""
    message = f"{_PURPOSE}\n{server_id}\n{device_id}\n{nonce}\n{address}"
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def token_key(token: str) -> str:
    """Return the key that stands for a token: servers keep its digest alone."""
    return hashlib.sha256(token.encode()).hexdigest()


def judge(proofs: Proofs, own: Secrets, *, server_id: str, device_id: str, nonce: str, address: str) -> Verdict:
    """Return which proofs hold; one for which we have nothing to check with does not.

    Args:
        proofs: what came.
        own: what to check it with.
        server_id: who it says that it is.
        device_id: ours.
        nonce: what we have asked with.
        address: `host:port` that we have dialled, as `edge.finding.places.authority` spells it.

    """

    def holds(given: str, key: str) -> bool:
        # As bytes: `compare_digest` refuses text beyond ASCII, and a stranger may send any.
        expected = prove(key, server_id=server_id, device_id=device_id, nonce=nonce, address=address)
        return bool(given) and hmac.compare_digest(given.encode(errors="replace"), expected.encode())

    return Verdict(
        by_key=bool(own.enrolment_key)
        and any(holds(given, own.enrolment_key) for given in (proofs.enrolment_key, proofs.enrolment_key_new)),
        by_token=bool(own.token) and holds(proofs.device, token_key(own.token)),
    )
