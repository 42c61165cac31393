"""Whether a device that asks gets a release now, and if not why: a table of reasons, without any effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from actors.updates.book import Live
from actors.updates.entry import Refusal
from actors.updates.messages import Offer, ReleaseFacts, Windows

Compare = Callable[[str, str], int]
"""Takes two versions, returns -1, 0 or 1."""


class Verdict(NamedTuple):
    """What a device is to be told, and what follows from it for the rollout."""

    kind: Literal["given", "has_it", "left_it", "skip", "wait", "never"]
    """`left_it`: it had succeeded, and runs another version; `skip`: the release is not for it; `wait`: not now."""
    reason: str = ""


def judge_offer(
    asked: Offer, live: Live, facts: ReleaseFacts | None, *, windows: Windows, now: float, compare: Compare
) -> Verdict:
    """Return what a device of a rollout is to be told.

    Args:
        asked: what it says of itself.
        live: its rollout.
        facts: of the release; None when there is none any more.
        windows: of the device's site.
        now: seconds since 1970.
        compare: orders versions.

    """
    if facts is None or facts.revoked:
        return Verdict("never", "revoked")
    if asked.version and compare(asked.version, live.header.version) == 0:
        return Verdict("has_it", "up_to_date")
    state = live.rollout.entries[asked.serial].state
    if state == "succeeded" and asked.version:
        return Verdict("left_it", "rolled_back")
    if state == "offered" and (reason := _why_unfit(asked, live, facts, compare)):
        return Verdict("skip", reason)
    answer = live.rollout.offer(asked.serial)
    if isinstance(answer, Refusal):
        return Verdict("wait", answer.reason)
    if state in ("offered", "postponed") and not live.is_open(windows, now):
        return Verdict("wait", "outside_window")
    return Verdict("given")


def _why_unfit(asked: Offer, live: Live, facts: ReleaseFacts, compare: Compare) -> str:
    """Return why the release is not for this device; empty when it is, or nothing is known of the device."""
    if asked.platform and facts.platforms and asked.platform not in facts.platforms:
        return "wrong_platform"
    if not asked.version:
        return ""
    if facts.replaces_from and compare(asked.version, facts.replaces_from) < 0:
        return "too_old_to_replace"
    if compare(asked.version, live.header.version) > 0 and not live.rollout.plan.force:
        return "newer"
    return ""
