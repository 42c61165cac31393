"""A rollout: devices in waves, each on its way to one release. Pure: time comes in, what changed goes out.

The times are seconds since 1970, since they outlive the process. A wave is over when so many of it have succeeded as
its threshold says; the next one begins after its waiting time. The rollout halts as soon as that threshold cannot be
reached any more, or more devices than allowed have failed, rolled back or fallen silent: who was not offered the
release by then is not touched. Devices that are on their way go on, whatever happens to the rollout; a device that
reports late counts as what it reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from actors.updates.due import Due
from actors.updates.entry import MOST_REASON, Changes, Entry, Refusal
from actors.updates.plan import Plan
from actors.updates.states import ENDED, FINAL, STATES, State, Status

GRACE: Final = 7_200.0
"""Seconds in which a device may be heard again after nobody could hear it: an edge asks once an hour."""
GONE: Final = "it had succeeded, and was offline when the waiting time was over"
"""Why a device is silent."""

_ACTIVE = frozenset(state for state, rule in STATES.items() if rule.kind == "active")
_BUSY = _ACTIVE - {"postponed"}
"""States in which a device loads the server, the network or itself."""
_EPSILON = 1e-9
"""Shares are no exact fractions: 0.95 of 20 is 19."""
_BAD = frozenset(state for state, rule in STATES.items() if rule.kind == "bad")
_OUT = frozenset(state for state, rule in STATES.items() if rule.kind == "out")


class Rollout:
    """The devices of a rollout and where it stands."""

    def __init__(
        self,
        plan: Plan,
        entries: Iterable[Entry],
        *,
        status: Status = "running",
        reason: str = "",
        wave: int = 0,
        reached_at: float | None = None,
        heard_from: float = 0.0,
        is_gone: Callable[[str], bool] = lambda _serial: False,
    ) -> None:
        """Assign what is known; for a new one, `start` offers the first wave.

        Args:
            plan: how it goes.
            entries: its devices.
            status: of the rollout.
            reason: why it is halted.
            wave: number of the wave that is under way, from 0.
            reached_at: when that wave reached its threshold; None when it has not.
            heard_from: since when devices can be heard: a silence before proves nothing.
            is_gone: tells whether a device is known to be away for a while.

        """
        self.plan = plan
        self.status: Status = status
        self.reason = reason
        self.wave = wave
        self.reached_at = reached_at
        self.entries: dict[str, Entry] = {entry.serial: entry for entry in entries}
        self._counts: list[Counter[State]] = [Counter() for _ in plan.waves]
        self._heard_from, self._is_gone = heard_from, is_gone
        self._due = Due(lambda serial: self._ends_at(self.entries[serial]))
        for entry in self.entries.values():
            self._counts[entry.wave][entry.state] += 1
            self._due.watch(entry.serial)

    # What it tells

    def counts(self) -> Mapping[State, int]:
        """Return how many devices are in each state that has any."""
        total: Counter[State] = Counter()
        for counts in self._counts:
            total.update(counts)
        return {state: count for state, count in total.items() if count}

    def wave_counts(self) -> list[Mapping[State, int]]:
        """Return the same for each wave."""
        return [{state: count for state, count in counts.items() if count} for counts in self._counts]

    @property
    def next_at(self) -> float | None:
        """When `tick` has something to do at the latest; None when only a report or an operator moves it on."""
        due_at = self._due.next_at
        times = [] if due_at is None else [due_at]
        if self.status == "running" and self.reached_at is not None:
            times.append(self.reached_at + self.plan.waves[self.wave].wait)
        return min(times) if times else None

    # What devices do

    def offer(self, serial: str) -> Entry | Refusal:
        """Return the entry of a device that may have the release now, and why not for any other; changes nothing."""
        entry = self.entries.get(serial)
        if entry is None:
            return Refusal("not_in_rollout")
        if entry.state in _ACTIVE:
            return entry  # it has begun: what it began it may end
        if entry.state == "pending":
            return Refusal("later_wave")
        if entry.state != "offered":
            return Refusal(entry.state)
        if self.status != "running":
            return Refusal(self.status)
        if sum(counts[state] for counts in self._counts for state in _BUSY) >= self.plan.most_active:
            return Refusal("busy")
        return entry

    def report(
        self, serial: str, state: State, now: float, *, reason: str = "", progress: float | None = None
    ) -> Changes:
        """Take what a device says of itself; what is unknown here or not for devices to say changes nothing."""
        changes = Changes()
        entry = self.entries.get(serial)
        if entry is None or not STATES[state].told or entry.state == "pending":
            return changes
        if entry.state == "succeeded" and state in _ACTIVE:
            return changes  # a repetition of something earlier, come late
        if entry.state == state and state in FINAL and entry.reason == reason[:MOST_REASON]:
            return changes
        if entry.state == state and state in _ACTIVE:
            entry.heard, entry.reason, entry.progress = now, reason[:MOST_REASON], progress
            changes.entries[serial] = entry
            return changes  # its deadline stays: what goes on for ever is no progress
        gets_it_again = state == "failed" and entry.attempts <= self.plan.retries and self.status not in ENDED
        self._move(entry, "retrying" if gets_it_again else state, now, reason, changes)
        entry.progress = progress
        self._judge(now, changes)
        return changes

    def heard(self, serial: str, now: float) -> None:
        """Note that a device has asked and may not have it now: the silence of one that must wait proves nothing."""
        entry = self.entries.get(serial)
        if entry is not None and entry.state == "offered":
            entry.since = now

    def has_it(self, serial: str, now: float) -> Changes:
        """Note that a device runs the release already, whoever has brought it."""
        changes = Changes()
        entry = self.entries.get(serial)
        if entry is not None and STATES[entry.state].kind in ("waiting", "bad"):
            self._move(entry, "succeeded", now, "", changes)
            self._judge(now, changes)
        return changes

    def skip(self, serial: str, now: float, reason: str) -> Changes:
        """Leave out a device that the release is not for; it counts neither as good nor as bad."""
        changes = Changes()
        entry = self.entries.get(serial)
        if entry is not None and STATES[entry.state].kind == "waiting":
            self._move(entry, "skipped", now, reason, changes)
            self._fill_place(entry.wave, now, changes)
            self._judge(now, changes)
        return changes

    def remove(self, serial: str, now: float) -> Changes:
        """Forget a device that was deleted."""
        changes = Changes()
        entry = self.entries.pop(serial, None)
        if entry is not None:
            self._counts[entry.wave][entry.state] -= 1
            self._due.drop(serial)
            changes.is_changed = True
            if STATES[entry.state].kind in ("waiting", "active"):
                self._fill_place(entry.wave, now, changes)
            self._judge(now, changes)
        return changes

    # What time does

    def start(self, now: float) -> Changes:
        """Offer the release to the first wave."""
        changes = Changes(is_changed=True)
        self._open_wave(now, changes)
        self._judge(now, changes)
        return changes

    def tick(self, now: float) -> Changes:
        """Do what time has brought: silence, retries, the next wave."""
        changes = Changes()
        while (due_at := self._due.next_at) is not None and due_at <= now:
            self._look_at(self.entries[self._due.take()], now, changes)
        self._judge(now, changes)
        return changes

    def set_clock(self, now: float, by: float) -> Changes:
        """Note that the clock was set by so many seconds: nobody is silent by that, and no wave waits less or more."""
        self._heard_from = now
        changes = Changes(is_changed=self.reached_at is not None)
        if self.reached_at is not None:
            self.reached_at += by
        self._leave_future(now)
        return changes

    def recover(self, now: float) -> Changes:
        """Do what a step has left that was cut off: its first part is on the disk, its rest may not be."""
        changes = Changes()
        self._leave_future(now)
        for entry in self.entries.values():
            if self.status == "cancelled" and STATES[entry.state].kind == "waiting":
                self._move(entry, "cancelled", now, "", changes)
            elif self.status not in ENDED and entry.state == "pending" and entry.wave <= self.wave:
                self._offer(entry, now, changes)
        self._judge(now, changes)
        return changes

    # What operators do

    def pause(self) -> Changes:
        """Offer it to nobody more; those who have begun go on."""
        return self._set("paused", "") if self.status == "running" else Changes()

    def halt(self, reason: str) -> Changes:
        """Offer it to nobody more, for a reason that lies in no device."""
        return self._set("halted", reason) if self.status in ("running", "paused") else Changes()

    def resume(self, now: float) -> Changes:
        """Go on after a pause or a halt; what halted it before counts no more, new failures do."""
        if self.status not in ("paused", "halted"):
            return Changes()
        was_halted = self.status == "halted"
        changes = self._set("running", "")
        if was_halted:
            for entry in self.entries.values():
                if entry.state in _BAD:
                    self._move(entry, "cancelled", now, f"{entry.state}: {entry.reason}", changes)
        self._judge(now, changes)
        return changes

    def cancel(self, now: float) -> Changes:
        """End it; those who have begun may end what they began."""
        if self.status in ENDED:
            return Changes()
        changes = self._set("cancelled", "")
        for entry in self.entries.values():
            if STATES[entry.state].kind == "waiting":
                self._move(entry, "cancelled", now, "", changes)
        return changes

    def retry(self, serials: Iterable[str], now: float) -> Changes:
        """Offer it anew to devices on which it has not succeeded."""
        changes = Changes()
        for serial in serials:
            entry = self.entries.get(serial)
            if entry is not None and entry.state in FINAL - {"succeeded"} and entry.wave <= self.wave:
                entry.attempts = 0
                entry.forced = True
                self._offer(entry, now, changes)
        if changes and self.status == "completed":
            self.status, changes.is_changed = "running", True
        return changes

    # Inside

    def _open_wave(self, now: float, changes: Changes) -> None:
        for entry in self.entries.values():
            if entry.wave == self.wave and entry.state == "pending":
                self._offer(entry, now, changes)

    def _offer(self, entry: Entry, now: float, changes: Changes) -> None:
        entry.attempts += 1
        self._move(entry, "offered", now, "", changes)

    def _move(self, entry: Entry, state: State, now: float, reason: str, changes: Changes) -> None:
        counts = self._counts[entry.wave]
        counts[entry.state] -= 1
        counts[state] += 1
        if state != entry.state:
            entry.progress = None
        entry.state, entry.since, entry.reason = state, now, reason[:MOST_REASON]
        changes.entries[entry.serial] = entry
        entry.heard = now
        self._due.watch(entry.serial)

    def _fill_place(self, wave: int, now: float, changes: Changes) -> None:
        """Have a device of the latest wave in the place of one that was left out: a canary of nobody proves nothing."""
        waiting = [] if self.status in ENDED else [each for each in self.entries.values() if each.state == "pending"]
        if wave != self.wave or not waiting:
            return
        entry = max(waiting, key=lambda each: each.wave)
        self._counts[entry.wave]["pending"] -= 1
        self._counts[wave]["pending"] += 1
        entry.wave = wave
        self._offer(entry, now, changes)

    def _leave_future(self, now: float) -> None:
        """Let nothing have happened later than now: the clock was ahead."""
        if self.reached_at is not None:
            self.reached_at = min(self.reached_at, now)
        for entry in self.entries.values():
            if max(entry.since, entry.heard) > now:
                entry.since, entry.heard = min(entry.since, now), min(entry.heard, now)
                self._due.watch(entry.serial)

    def _ends_at(self, entry: Entry) -> float | None:
        """Return when its state is over whatever it says, or it has been silent for too long; None for never."""
        within = self.plan.within(entry.state)
        if not within:
            return None
        if entry.state == "retrying":
            return entry.since + within
        deadline = self._heard_after(entry.since, within)
        if self.plan.silent_after is None or entry.state not in _BUSY:
            return deadline
        return min(deadline, self._heard_after(max(entry.since, entry.heard), self.plan.silent_after))

    def _heard_after(self, at: float, within: float) -> float:
        return max(at + within, self._heard_from + min(within, GRACE))

    def _look_at(self, entry: Entry, now: float, changes: Changes) -> None:
        """Let a device be silent, or get it again: that time has come."""
        if entry.state == "retrying":
            self._offer(entry, now, changes)
        elif entry.heard > entry.since and now >= self._heard_after(entry.since, self.plan.within(entry.state)):
            self._move(entry, "silent", now, f"it was still `{entry.state}` when its time was over", changes)
        else:
            self._move(entry, "silent", now, f"nothing was heard of it after `{entry.state}`", changes)

    def _judge(self, now: float, changes: Changes) -> None:
        """Halt, go on to the next wave, or end; the order matters: a wave that fails is never followed by another."""
        while self.status == "running":
            wave, counts = self.plan.waves[self.wave], self._counts[self.wave]
            size = sum(counts.values()) - sum(counts[state] for state in _OUT)
            good, bad = counts["succeeded"], sum(counts[state] for state in _BAD)
            reason = self._why_halt(bad, size, wave.success)
            if reason:
                changes.is_changed, self.status, self.reason = True, "halted", reason
                return
            if good < wave.success * size - _EPSILON:
                if self.reached_at is not None:
                    self.reached_at, changes.is_changed = None, True
                return
            if self.reached_at is None:
                self.reached_at, changes.is_changed = now, True
            last = len(self.plan.waves) - 1
            if not any(later["pending"] for later in self._counts[self.wave + 1 :]):  # nobody is left to be spared
                if all(STATES[state].kind not in ("waiting", "active") for state in self.counts()):
                    changes.is_changed, self.status, self.wave = True, "completed", last
                return
            if size and now < self.reached_at + wave.wait:
                return
            if wave.wait and self._miss(now, changes):
                continue
            self.wave, self.reached_at, changes.is_changed = self.wave + 1, None, True
            self._open_wave(now, changes)

    def _miss(self, now: float, changes: Changes) -> bool:
        """Count those of the wave as silent that have succeeded and are away: it may be the release that did it."""
        missed = [
            entry
            for entry in self.entries.values()
            if entry.wave == self.wave and entry.state == "succeeded" and self._is_gone(entry.serial)
        ]
        for entry in missed:
            self._move(entry, "silent", now, GONE, changes)
        return bool(missed)

    def _why_halt(self, bad: int, size: int, success: float) -> str:
        """Return why nobody more must get it; empty while all is well."""
        if size and bad > size * (1 - success) + _EPSILON:
            return f"{bad} of {size} devices of wave {self.wave + 1} failed, rolled back or fell silent"
        touched = failed = 0
        for counts in self._counts:
            touched += sum(counts.values()) - counts["pending"] - sum(counts[state] for state in _OUT)
            failed += sum(counts[state] for state in _BAD)
        if touched and failed > touched * self.plan.failures + _EPSILON:
            return f"{failed} of {touched} devices that were offered it failed, rolled back or fell silent"
        return ""

    def _set(self, status: Status, reason: str) -> Changes:
        self.status, self.reason = status, reason
        return Changes(is_changed=True)
