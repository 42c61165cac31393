"""What an enrolment does to the database, each step in one transaction with its audit record; all run in the writer."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from actors.enrolment.messages import Application, Decide, Enrol, EnrolmentError, WrongKey
from actors.enrolment.rules import APPROVED_FOR_US, Enrolment, Ruling, asker, fingerprint, rule
from actors.storage.enrolment import count_enrolments, find_enrolment, put_enrolment, put_record
from actors.storage.models import ApiToken
from actors.storage.tokens import create_token, digest_token, find_token, revoke_token

MOST_ENROLMENTS = 250_000
"""Serials beyond this are refused: whoever has the fleet's key could invent some for ever."""
DEVICE = "device"
"""Who changed a row, where it was no operator."""


def consider(database: Any, request: Enrol, now_us: int, *, all_wait: bool, most: int = MOST_ENROLMENTS) -> Ruling:
    """Rule on a request; note who asked, unless credentials follow."""
    serial = request.application.device_id
    known = find_enrolment(database, serial)
    if known is None and count_enrolments(database) >= most:
        return Ruling("full", f"{most} devices have enrolled, which is the limit")
    claim = _digest_claim(request.application)
    is_proven = _is_own_token(database, request.proof, serial, now_us)
    ruling = rule(known, claim, is_proven=is_proven, all_wait=all_wait, now_us=now_us)
    if ruling.outcome == "granted":
        return ruling
    state = known.state_at(now_us) if known is not None else None
    waits = ruling.outcome == "waits"
    noted = _noted(known, request, now_us, state="pending" if waits else "denied")
    put_enrolment(database, known, noted)
    # It asks every few seconds as long as it waits: what has not changed is no news.
    if waits and (known is None or state != "pending" or asker(known) != asker(noted)):
        put_record(database, serial, now_us, _trace("waits", DEVICE, request.address, ruling.why))
    return ruling


def grant(database: Any, request: Enrol, why: str, now_us: int) -> str:
    """Give a device a token in place of the one it had, and return its text."""
    serial = request.application.device_id
    known = find_enrolment(database, serial)
    if known is not None and known.token_id is not None:
        revoke_token(database, known.token_id, now_us)
    plain = create_token(database, role="device", name=f"enrolment of {serial}", now_us=now_us, serial=serial)
    made = find_token(database, digest_token(plain))
    assert made is not None
    noted = _noted(known, request, now_us, state="enrolled", changed_by=DEVICE)
    put_enrolment(database, known, msgspec.structs.replace(noted, token_id=made.id, enrolled_us=now_us))
    action = "enrolled" if known is None or known.enrolled_us is None else "enrolled_again"
    put_record(database, serial, now_us, _trace(action, DEVICE, request.address, why))
    return plain


def decide(database: Any, order: Decide, now_us: int) -> Enrolment | None:
    """Carry out an operator's decision and return the row; None for a serial that has never asked.

    Raises:
        EnrolmentError: the decision is on a request that does not wait any more.

    """
    known = find_enrolment(database, order.serial)
    if known is None:
        return None
    if order.request and order.request != fingerprint(known, now_us):
        message = f"the request for {order.serial} that was looked at does not wait any more; look again who does"
        raise EnrolmentError("changed", message, serial=order.serial)
    changes: dict[str, Any] = {"state": "denied", "approved_until_us": None, "changed_by": order.by[:255]}
    detail = "its tokens stay valid"
    if order.decision == "approve":
        changes |= {"state": "approved", "approved_until_us": now_us + APPROVED_FOR_US}
        detail = f"{known.hostname or 'a host without a name'} at {known.address} may enrol within 24 hours"
        if not fingerprint(known, now_us):
            # Nobody waits: the claim in the row is that of an earlier request, which a new card cannot repeat.
            changes["claim"] = ""
            detail = "whoever asks next may enrol within 24 hours"
    elif order.decision == "revoke":
        changes["token_id"] = None
        detail = f"{_revoke_all(database, order.serial, now_us)} tokens of it were revoked"
    changed = msgspec.structs.replace(known, **changes)
    put_enrolment(database, known, changed)
    put_record(database, order.serial, now_us, _trace(order.decision, order.by, order.address, detail))
    return changed


def note_wrong_key(database: Any, attempt: WrongKey, now_us: int) -> None:
    """Keep a record of who did not know the fleet's key."""
    put_record(
        database, attempt.device_id, now_us, _trace("wrong_key", DEVICE, attempt.address, "the enrolment key was wrong")
    )


def note_hub_failure(database: Any, request: Enrol, reason: str, now_us: int) -> None:
    """Keep a record of an enrolment that the IoT Hub has kept from its end."""
    put_record(database, request.application.device_id, now_us, _trace("hub_failed", DEVICE, request.address, reason))


def _digest_claim(application: Application) -> str:
    return hashlib.sha256(application.claim.encode()).hexdigest() if application.claim else ""


def _is_own_token(database: Any, digest: str, serial: str, now_us: int) -> bool:
    """Return whether a valid token of this very device was shown."""
    token = find_token(database, digest) if digest else None
    if token is None or token.revoked_us is not None or (token.expires_us is not None and token.expires_us <= now_us):
        return False
    return token.role == "device" and token.serial == serial


def _noted(known: Enrolment | None, request: Enrol, now_us: int, **changes: Any) -> Enrolment:
    """Return the row with who has asked just now."""
    asker = request.application
    return msgspec.structs.replace(
        known or Enrolment(serial=asker.device_id, state="pending", changed_by=DEVICE),
        hostname=asker.hostname,
        mac_address=asker.mac_address,
        device_type=asker.device_type,
        address=request.address,
        requested_us=now_us,
        claim=_digest_claim(asker),
        approved_until_us=None,
        **changes,
    )


def _revoke_all(database: Any, serial: str, now_us: int) -> int:
    """End every token of a device, those that an operator has made for it included; return how many."""
    is_one = (ApiToken.role == "device") & (ApiToken.serial == serial) & ApiToken.revoked_us.is_null()
    return int(ApiToken.update({ApiToken.revoked_us: now_us}).where(is_one).execute(database))


def _trace(action: str, by: str, origin: str, detail: str) -> dict[str, str]:
    return {"action": action, "by": by, "from": origin, "detail": detail}
