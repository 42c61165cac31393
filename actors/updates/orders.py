"""What operators ask of rollouts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from types import MappingProxyType

from actors.ids import IdMaker
from actors.updates import steps
from actors.updates.book import Live
from actors.updates.entry import Entry
from actors.updates.header import Header, encode
from actors.updates.keeper import SPARED, Keeper
from actors.updates.messages import Command, InUse, Origin, PutWindows, ReleaseFacts, Retry, RolloutError, Start
from actors.updates.plan import assign_waves, choose
from actors.updates.rollout import Rollout
from actors.updates.states import STATES

logger = logging.getLogger(__name__)


class Orders:
    """Carries out what operators ask, or raises `RolloutError`."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._book, self._board, self._releases = keeper.book, keeper.board, keeper.desk.releases
        self._ids = IdMaker(keeper.desk.runtime.clock)

    def start(self, order: Start) -> Header:
        """Begin a rollout."""
        facts = self._releases.find(order.release) or self._releases.facts(order.release)
        if facts is None:
            raise RolloutError("not_found", f"there is no release {order.release}", release=order.release)
        if facts.revoked:
            raise RolloutError("revoked", f"the release {facts.version} is revoked", release=facts.version)
        rollout_id = self._ids.make()
        serials = choose(order.serials, order.share, rollout_id)
        self._need_free(serials)
        entries = self._make_entries(serials, order, facts.version, rollout_id)
        rollout = Rollout(order.plan, entries, is_gone=self._keeper.desk.is_gone)
        live = Live(self._make_header(order, facts, rollout_id), rollout)
        live.rollout.start(self._keeper.now())
        about = {"id": rollout_id, "version": facts.version, "target": order.target, "devices": len(entries)}
        self._keeper.add(live, steps.trace("started", order.origin, **about))
        self._done("started", live, order.origin)
        return live.header

    def _make_header(self, order: Start, facts: ReleaseFacts, rollout_id: str) -> Header:
        now_us = self._keeper.now_us()
        return Header(
            id=rollout_id,
            release_id=facts.id,
            version=facts.version,
            target=order.target[:255],
            plan=encode(order.plan),
            windows=encode(order.windows),
            created_us=now_us,
            changed_us=now_us,
            by=order.origin.by[:255],
        )

    def _make_entries(self, serials: Sequence[str], order: Start, version: str, seed: str) -> list[Entry]:
        """Return the devices in their waves; one that has rolled the version back is left out unless forced."""
        spared: set[str] = set()
        if not order.plan.force:
            spared = self._keeper.ask(partial(steps.find_rolled_back, version=version, serials=serials))
        if len(spared) == len(serials):
            message = f"{version} was rolled back on every device that is meant; `force` brings it there again"
            raise RolloutError("nobody", message, devices=sorted(spared)[:20])
        waves = assign_waves([serial for serial in serials if serial not in spared], order.plan.waves, seed)
        entries = [Entry(serial, wave) for serial, wave in waves.items()]
        now = self._keeper.now()
        return entries + [Entry(serial, 0, "skipped", since=now, reason=SPARED) for serial in sorted(spared)]

    def _need_free(self, serials: Sequence[str], own: str = "") -> None:
        """Refuse devices that another rollout has, which is named."""
        for serial in serials:
            live = self._book.of(serial)
            if live is not None and live.header.id != own:
                header = live.header
                message = f"{serial} is in the rollout {header.id} of {header.version}, which is {header.status}"
                raise RolloutError("in_rollout", message, device=serial, rollout=header.id)

    def command(self, order: Command) -> Header:
        """Pause, resume or cancel a rollout."""
        live = self._need(order.id)
        if not live.header.is_active:
            raise RolloutError("ended", f"the rollout is {live.header.status} already", id=order.id)
        rollout, now = live.rollout, self._keeper.now()
        if order.order == "resume":
            self._need_valid(live)
            action, changes = "resumed", rollout.resume(now)
        elif order.order == "pause":
            action, changes = "paused", rollout.pause()
        else:
            action, changes = "cancelled", rollout.cancel(now)
        if changes:
            self._keeper.save(live, changes, steps.trace(action, order.origin, id=live.header.id))
            self._done(action, live, order.origin)
        return live.header

    def retry(self, order: Retry) -> Header:
        """Offer a rollout anew to devices on which it has not succeeded."""
        live = self._need(order.id)
        rollout = live.rollout
        if rollout.status == "cancelled":
            raise RolloutError("ended", "the rollout is cancelled already", id=order.id)
        self._need_valid(live)
        serials = self._to_retry(order, rollout)
        if not live.header.is_active:
            self._need_free(list(rollout.entries), own=order.id)
        changes = rollout.retry(serials, self._keeper.now())
        if changes:
            record = steps.trace("retried", order.origin, id=order.id, devices=len(changes.entries))
            self._keeper.save(live, changes, record)
            self._done("retried", live, order.origin)
        return live.header

    def _to_retry(self, order: Retry, rollout: Rollout) -> list[str]:
        if order.serials is None:
            return [entry.serial for entry in rollout.entries.values() if STATES[entry.state].kind == "bad"]
        for serial in order.serials:
            if serial not in rollout.entries:
                raise RolloutError("not_found", f"{serial} is not in this rollout", device=serial, id=order.id)
        return list(order.serials)

    def _need(self, rollout_id: str) -> Live:
        live = self._keeper.visit(rollout_id)
        if live is None:
            raise RolloutError("not_found", "there is no rollout of this id", id=rollout_id[:64])
        return live

    def _need_valid(self, live: Live) -> None:
        if not self._keeper.is_valid(live):
            raise RolloutError("revoked", f"the release {live.header.version} is revoked", release=live.header.version)

    def put_windows(self, order: PutWindows) -> None:
        """Set the maintenance windows of a site."""
        if order.site in self._board.configured_windows:
            message = f"the maintenance windows of {order.site} are in the configuration, change them there"
            raise RolloutError("configured", message, site=order.site)
        step = partial(
            steps.set_windows, site=order.site, windows=order.windows, now_us=self._keeper.now_us(), origin=order.origin
        )
        self._keeper.ask(step)
        stored = dict(self._board.stored_windows)
        if order.windows:
            stored[order.site] = order.windows
        else:
            stored.pop(order.site, None)
        self._board.stored_windows = MappingProxyType(stored)
        self._board.actions["windows"] += 1
        logger.info("maintenance windows of %s by %s at %s", order.site, order.origin.by, order.origin.address)

    def in_use(self, order: InUse) -> list[str]:
        """Return which rollouts of a release are not over."""
        return [
            live.header.id
            for live in self._book
            if live.header.is_active and live.header.release_id == order.release_id
        ]

    def _done(self, action: str, live: Live, origin: Origin) -> None:
        self._board.actions[action] += 1
        header = live.header
        logger.info("rollout %s of %s %s by %s at %s", header.id, header.version, action, origin.by, origin.address)
