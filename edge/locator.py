"""`Locator`: finds the server, makes it prove itself, enrols there, and searches again when contact is lost.

It has a thread because all that it does blocks; one search is bounded by a minute. A change of the network, a request
and a stop end a search that is under way.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from actors.resolver.budget import Budget
from actors.runtime import Runtime, ThreadedActor
from edge.bearings import Bearings
from edge.certificate.files import CertificateFiles
from edge.enrol import Introduction
from edge.finding.agenda import Agenda
from edge.finding.entry import Entry, Renewal
from edge.finding.search import SECONDS, Found, Search, Vain
from edge.finding.trouble import Contact, Trouble
from edge.network import Address, NetworkChanged
from edge.settings import EdgeSettings

logger = logging.getLogger(__name__)

TICK = 2.0
"""Seconds between two looks at what time asks for; a server that is started on this machine is found within that."""
DISTURBED_EVERY = 30.0
"""Seconds between two searches that a change of the network may cut short: one that keeps changing starves none."""
HANG_AFTER = 120.0
"""For the specification of this child: longer than a search and an enrolment."""


class Look(msgspec.Struct, frozen=True):
    """Search now, everywhere; from `muster-edge`, or from whoever knows that something has changed."""


class Renew(msgspec.Struct, frozen=True):
    """Enrol anew with the server, which has asked for it: the password of the broker changes."""

    after: float = 0.0
    """Seconds to wait before: others have been asked, too."""


class Tick(msgspec.Struct, frozen=True):
    """To itself: look at what time asks for."""

    of: str
    """Which incarnation has set it: that of a predecessor is not continued."""


class Interruption(threading.Event):
    """Is set by `set`, and also while something waits for the actor."""

    def __init__(self, is_wanted: Callable[[], bool]) -> None:
        super().__init__()
        self._is_wanted = is_wanted

    def is_set(self) -> bool:
        """Tell whether to end what is under way."""
        return super().is_set() or self._is_wanted()


class Locator(ThreadedActor):
    """The only one that changes the bearings."""

    def __init__(
        self,
        *,
        bearings: Bearings,
        search: Search,
        entry: Entry,
        contact: Contact,
        runtime: Runtime,
        on_found: Callable[[], None],
        rng: Callable[[], float] = random.random,
    ) -> None:
        """Assign.

        Args:
            bearings: where what is found is left.
            search: how to search.
            entry: what to do with a server that was found.
            contact: what is known of link and uplink.
            runtime: clock and timers.
            on_found: called on our thread when the broker or the hub to use has changed.
            rng: uniform in [0, 1), for the jitter.

        """
        super().__init__()
        self._bearings, self._search, self._entry, self._contact = bearings, search, entry, contact
        self._runtime, self._on_found = runtime, on_found
        self._agenda = Agenda(rng)
        self._interruption = Interruption(self._is_wanted)
        self._ticks_out = 0
        self._renewal_asked = False
        self._neighbour = ""
        self._judged_posts = -1
        self._addresses: tuple[Address, ...] | None = None
        """Those of real interfaces, as the last change of the network told them."""
        self._disturbed_at = float("-inf")

    def on_start(self) -> None:
        """Begin at once."""
        self.actor_ref.tell(Look())

    def on_receive(self, message: Any) -> None:
        """Search, if it is time to."""
        match message:
            case Look():
                self._agenda.hurry()
            case Renew(after=after) if after > 0:
                self._runtime.timers.after(after, self.actor_ref, Renew())
                return
            case Renew():
                self._renewal_asked = True
                self._agenda.hurry()
            case NetworkChanged() if _real(message) == self._addresses:
                return
            case NetworkChanged():
                self._addresses = _real(message)
                # The same address may be another machine here.
                self._bearings.lost()
                self._agenda.hurry()
            case Tick(of=self.actor_urn):
                self._ticks_out = 0
                self._notice()
            case Tick():
                return
            case _:
                logger.warning("locator: unexpected message %.200r", message)
                return
        if self._agenda.is_due(self._now()):
            self._look()
        if not self._ticks_out:
            self._ticks_out = 1
            self._runtime.timers.after(TICK, self.actor_ref, Tick(self.actor_urn))

    def sever(self) -> None:
        """End the search that is under way."""
        self._interruption.set()

    def _is_wanted(self) -> bool:
        """Tell whether what waits in the mailbox is worth the search that is under way."""
        return any(map(self._disturbs, self.actor_inbox.waiting())) or self.actor_stopped.is_set()

    def _disturbs(self, message: Any) -> bool:
        match message:
            case Tick():
                return False
            case NetworkChanged():
                is_allowed = self._now() >= self._disturbed_at + DISTURBED_EVERY
                return is_allowed and _real(message) != self._addresses
            case _:
                return True

    def _notice(self) -> None:
        """Look for reasons to search before the time."""
        self._bearings.keep()
        if self._bearings.state == "found":
            self._agenda.note_trouble(bool(self._trouble().reason))
            if not self._bearings.server_url:  # the uplink no longer trusts what answers there
                self._agenda.sooner()
            return
        neighbour = self._search.neighbour()
        name = f"{neighbour.url} {neighbour.pid}" if neighbour is not None else ""
        if name and name != self._neighbour:
            self._agenda.sooner()
        self._neighbour = name

    def _look(self) -> None:
        before = self._usable()
        wide = self._agenda.is_wide(self._now())
        budget = Budget(SECONDS, cancelled=self._interruption)
        try:
            result = self._search.run(self._bearings.credentials, budget, wide=wide)
            if isinstance(result, Found):
                self._enter(result)
            elif not self._interruption.is_set():
                self._give_up(result, was_wide=wide)
        finally:
            if self._is_wanted():
                self._disturbed_at = self._now()
            if self._usable() != before:
                self._on_found()

    def _enter(self, found: Found) -> None:
        trouble = self._trouble()
        reason: Renewal = "asked" if self._renewal_asked else "refused" if trouble.is_refused else ""
        self._renewal_asked = False
        outcome = self._entry.enter(found, renew="" if self._bearings.is_broker_configured else reason)
        self._judged_posts = self._contact.posts
        now = self._now()
        if outcome == "waiting":
            self._agenda.waiting(now)
        elif outcome == "found":
            again = self._search.configured_url not in ("", found.place.url)
            self._agenda.found(now, again=again, in_trouble=bool(trouble.reason))
        else:
            self._agenda.failed(now)

    def _give_up(self, vain: Vain, *, was_wide: bool) -> None:
        self._bearings.lost()
        self._bearings.show("refused" if vain.is_refused else "searching", vain.detail)
        link_up = self._contact.is_up
        link_down = not link_up and self._bearings.broker() is not None
        self._agenda.vain(self._now(), link_up=link_up, link_down=link_down, was_wide=was_wide)

    def _trouble(self) -> Trouble:
        """Return what the contact suffers from; a refusal that was there when the server was last found is old news."""
        trouble = self._contact.trouble()
        is_old = trouble.is_token and self._contact.posts == self._judged_posts
        return Trouble() if is_old else trouble

    def _usable(self) -> tuple[object, str]:
        return self._bearings.broker(), self._bearings.hub()

    def _now(self) -> float:
        return self._runtime.clock.monotonic()


def _real(change: NetworkChanged) -> tuple[Address, ...]:
    """Return the addresses by which a server could be reached: containers that come and go change nothing."""
    return tuple(address for address in change.addresses if not address.is_virtual)


def make_locator(
    *,
    settings: EdgeSettings,
    device_id: str,
    rundir: Path,
    bearings: Bearings,
    introduce: Callable[[], Introduction],
    contact: Contact,
    runtime: Runtime,
    on_found: Callable[[], None],
    certificate: CertificateFiles | None = None,
) -> Locator:
    """Return the locator of an edge, not yet started.

    Args:
        settings: what is configured.
        device_id: ours.
        rundir: where a server of this user leaves its files.
        bearings: where what is found is left.
        introduce: returns what we say of ourselves when we enrol; called on the locator's thread.
        contact: what is known of link and uplink.
        runtime: clock and timers.
        on_found: called on the locator's thread when the broker or the hub to use has changed.
        certificate: where a certificate is kept; None asks for none.

    """
    search = Search(settings, device_id, rundir, learned=lambda: bearings.ca_file)
    entry = Entry(
        bearings,
        device_id=device_id,
        trust=search.trust,
        introduce=introduce,
        clock=runtime.clock,
        certificate=certificate,
    )
    return Locator(
        bearings=bearings,
        search=search,
        entry=entry,
        contact=contact,
        runtime=runtime,
        on_found=on_found,
    )
