"""What devices ask and tell."""

from __future__ import annotations

from functools import partial
from typing import Final

from actors.storage import updates as storage
from actors.updates.book import Live
from actors.updates.entry import Entry
from actors.updates.keeper import SPARED, Keeper
from actors.updates.messages import Offer, Offered, Report, Reported, RolloutError
from actors.updates.offers import Verdict, judge_offer
from actors.updates.states import TOLD

WRITE_AFTER: Final = 30.0
"""Seconds until it is written again that a device still is in its state, with its progress."""

LOOK_UP_EVERY: Final = 60.0
"""Seconds between two rollouts that are over and are read for one device."""


class Service:
    """Answers devices by what the keeper has."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._book, self._board, self._desk = keeper.book, keeper.board, keeper.desk
        self._looked_up: dict[str, float] = {}
        """When a rollout that is over was read again for a device, monotonic seconds by serial, the oldest first."""

    def offer(self, asked: Offer) -> Offered:
        """Return what a device is to have now."""
        live = self._book.of(asked.serial)
        if live is None:
            return self._refuse("no_rollout")
        verdict = judge_offer(
            asked,
            live,
            self._desk.releases.facts(live.header.release_id),
            windows=self._board.windows_of(self._desk.site_of(asked.serial)),
            now=self._keeper.now(),
            compare=self._desk.compare,
        )
        if verdict.kind == "given":
            self._board.offers["given"] += 1
            plan, entry = live.rollout.plan, live.rollout.entries[asked.serial]
            return Offered(live.header.release_id, live.header.id, plan.force or entry.forced, plan.trial)
        if asked.asks:
            self._note(asked, live, verdict)
        return self._refuse(verdict.reason)

    def _note(self, asked: Offer, live: Live, verdict: Verdict) -> None:
        """Draw from a device's question what it says of the device."""
        serial, rollout, now = asked.serial, live.rollout, self._keeper.now()
        if verdict.kind == "has_it":
            self._keeper.save(live, rollout.has_it(serial, now))
        elif verdict.kind == "left_it":
            reason = f"it runs {asked.version} after it had succeeded".replace("\0", "")
            self._keeper.save(live, rollout.report(serial, "rolled_back", now, reason=reason))
        elif verdict.kind == "skip":
            self._keeper.save(live, rollout.skip(serial, now, verdict.reason))
        else:
            rollout.heard(serial, now)

    def _refuse(self, reason: str) -> Offered:
        self._board.offers[reason] += 1
        return Offered(None, reason=reason)

    def report(self, told: Report) -> Reported:
        """Note how far a device is; only `confirming` of what it is to have is answered with a commit."""
        live = self._find(told)
        if live is None:
            self._board.reports["unknown"] += 1
            return Reported(commit=False)
        self._board.reports[told.state] += 1
        entry = live.rollout.entries[told.serial]
        self._advance(live, entry, told)
        if told.state == "rolled_back":
            self._spare(told.serial, live)
        is_wanted = entry.state in ("confirming", "succeeded") and self._keeper.is_valid(live)
        return Reported(commit=told.state == "confirming" and is_wanted)

    def _advance(self, live: Live, entry: Entry, told: Report) -> None:
        before, now = entry.state, self._keeper.now()
        reason = ": ".join(part for part in (told.reason, told.detail) if part).replace("\0", "")
        changes = live.rollout.report(told.serial, told.state, now, reason=reason, progress=told.progress)
        is_news = entry.state != before or changes.is_changed
        if is_news or now >= live.saved_at.get(told.serial, 0.0) + WRITE_AFTER:
            self._keeper.save(live, changes)

    def _find(self, told: Report) -> Live | None:
        """Return the rollout that a report is about, be it over; None for none that the device is in.

        What a device does without a rollout, and says of a version that is not the rollout's, is about none.
        """
        if told.state not in TOLD:
            return None
        if told.rollout:
            live = self._book.get(told.rollout) or self._look_up(told.serial, told.rollout)
        elif told.state == "checking":
            return None  # every device does that all the time
        else:
            live = self._find_by_version(told)
        if live is None or told.serial not in live.rollout.entries:
            return None
        is_about = told.state == "checking" or self._is_version(told, live)
        return live if is_about else None

    def _find_by_version(self, told: Report) -> Live | None:
        live = self._book.of(told.serial)
        if live is not None and self._is_version(told, live):
            return live
        if "\0" in told.version:
            return None
        find = partial(storage.find_rollout_of, serial=told.serial, version=told.version)
        rollout_id = self._keeper.ask(find)
        return self._look_up(told.serial, rollout_id) if rollout_id is not None else None

    def _look_up(self, serial: str, rollout_id: str) -> Live | None:
        """Return a rollout that is over, for one of its devices; to read it takes a while, so each has its turn.

        Raises:
            RolloutError: `busy`: the device was here a moment ago.

        """
        if (live := self._book.get(rollout_id)) is not None:
            return live
        if not self._keeper.ask(partial(storage.is_device_of, rollout_id=rollout_id, serial=serial)):
            return None
        now = self._desk.runtime.clock.monotonic()
        while self._looked_up and now >= next(iter(self._looked_up.values())) + LOOK_UP_EVERY:
            del self._looked_up[next(iter(self._looked_up))]
        if serial in self._looked_up:
            self._board.reports["busy"] += 1
            raise RolloutError(
                "busy", f"{serial} reports about one rollout that is over after the other", device=serial
            )
        self._looked_up[serial] = now
        return self._keeper.visit(rollout_id)

    def _is_version(self, told: Report, live: Live) -> bool:
        return self._desk.compare(told.version, live.header.version) == 0

    def _spare(self, serial: str, live: Live) -> None:
        """Leave the device out of the rollout that it is in by now, if that brings the same version."""
        other = self._book.of(serial)
        if other is None or other is live or other.header.version != live.header.version or other.rollout.plan.force:
            return
        self._keeper.save(other, other.rollout.skip(serial, self._keeper.now(), SPARED))
