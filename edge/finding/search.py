"""One search: the places in their order, each asked to prove itself, until one is our server.

The order is fixed: as configured; where it was last time; the server of this user on this machine; mDNS; the candidates
of the image; our own subnets. What costs nobody anything comes first, and mDNS and the subnets are left out of a search
that is not `wide`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from actors.resolver.addresses import Subnet
from actors.resolver.budget import Budget
from edge.bearings import Credentials
from edge.enrol import ASK_SECONDS, ImpostorError, Server, StrangerError, check_health, inspect
from edge.finding.mdns import Announced, ask_network
from edge.finding.places import FOREIGN, PORT, SPOKEN, Place, base_url, split_candidates, url_of
from edge.finding.proof import Secrets
from edge.settings import EdgeSettings
from supervisor.process.rundir import RuntimeDirectoryError, ServerFiles, find_server

logger = logging.getLogger(__name__)

SECONDS = 60.0
"""For one search."""
SHORTEST = 0.5
"""Seconds for the last question of a search whose time is over."""
OWN_WORD: frozenset[str] = frozenset({"configured", "last_known", "runtime_directory"})
"""Sources of which a server that cannot prove itself is worth an operator's attention."""


class Found(NamedTuple):
    """A server to use."""

    place: Place
    server: Server | None
    """None when there was nothing to check a proof with: it is taken at its owner's word, and nothing enrols there."""
    own: Secrets
    """What it was checked with."""


class Vain(NamedTuple):
    """No server was found."""

    detail: str
    """Why, in a sentence."""
    is_refused: bool = False
    """Whether there is one that cannot prove itself where ours should be."""


def _own_subnets() -> Sequence[Subnet]:
    # Only now: what it needs is not resident until a network is looked through.
    from edge.finding.subnets import own_subnets

    return own_subnets()


class Search:
    """How this device searches; what touches the network can be replaced."""

    def __init__(
        self,
        settings: EdgeSettings,
        device_id: str,
        rundir: Path,
        *,
        port: int = PORT,
        ask: Callable[[Budget], Generator[Announced, None, None]] = ask_network,
        subnets: Callable[[], Sequence[Subnet]] = _own_subnets,
        learned: Callable[[], str] = str,
    ) -> None:
        """Assign.

        Args:
            settings: what is configured.
            device_id: ours.
            rundir: where a server of this user leaves its files.
            port: of servers, where nobody says another.
            ask: mDNS.
            subnets: those of this machine.
            learned: returns the PEM file with the authority that a server has named to us; empty without one.

        """
        self._settings, self._device_id, self._rundir = settings, device_id, rundir
        self._port, self._ask, self._subnets, self._learned = port, ask, subnets, learned
        self._is_strict = bool(settings.ca_file)
        if settings.server_url and not self.configured_url:
            logger.warning("server_url: `%s` is not the URL of a server; left out.", settings.server_url)
        self._urls, self._networks, wrong = split_candidates(settings.candidates, tls=self._is_strict)
        for sentence in wrong:
            logger.warning("candidates: %s; left out.", sentence)

    @property
    def configured_url(self) -> str:
        """The base URL that the owner has named; empty without one."""
        return base_url(self._settings.server_url)

    def neighbour(self) -> ServerFiles | None:
        """Return what the running server of this user has left; None where there is none that can be trusted."""
        try:
            return find_server(self._rundir)
        except (RuntimeDirectoryError, OSError) as error:
            logger.debug("%s", error)
            return None

    def run(self, credentials: Credentials | None, budget: Budget, *, wide: bool) -> Found | Vain:
        """Search once.

        Args:
            credentials: of the enrolment, if there was one.
            budget: bounds it; what is running when it is cancelled ends within a second.
            wide: whether mDNS and the subnets are asked too.

        """
        attempt = _Attempt(self, credentials, budget)
        with closing(self._places(credentials, budget, wide=wide)) as places:
            for place in places:
                if budget.spent():
                    break
                found = attempt.look_at(place)
                if found is not None:
                    return found
        return attempt.vain()

    def secrets(self, url: str, credentials: Credentials | None) -> Secrets:
        """Return what a server at this URL can be checked with: the key that it has left us itself, or the fleet's."""
        neighbour = self.neighbour()
        is_neighbour = neighbour is not None and base_url(neighbour.url) == url
        key = neighbour.enrolment_key if neighbour is not None and is_neighbour else self._settings.enrolment_key
        return Secrets(key, credentials.token if credentials is not None else "")

    def trust(self, url: str) -> str:
        """Return the PEM file with the authorities to trust for a server; empty for those of the system."""
        if self._settings.ca_file:
            return self._settings.ca_file
        neighbour = self.neighbour()
        is_neighbour = neighbour is not None and base_url(neighbour.url) == url
        return (neighbour.ca_file if neighbour is not None and is_neighbour else "") or self._learned()

    def check(self, place: Place, own: Secrets, seconds: float) -> Server | None:
        """Make the server at a place prove itself; return None when there is nothing to check it with.

        Raises:
            StrangerError: it is not ours, or not there.

        """
        ca_file = self.trust(place.url)
        if not own or place.source == "scan":
            # A stranger's program on that port is not told who we are.
            check_health(place.url, ca_file=ca_file, seconds=seconds)
        return inspect(place.url, self._device_id, own, ca_file=ca_file, seconds=seconds) if own else None

    def _places(self, credentials: Credentials | None, budget: Budget, *, wide: bool) -> Generator[Place, None, None]:
        if self.configured_url:
            yield Place("configured", self.configured_url)
        if credentials is not None and credentials.server_url:
            yield Place("last_known", credentials.server_url)
        neighbour = self.neighbour()
        if neighbour is not None and base_url(neighbour.url):
            yield Place("runtime_directory", base_url(neighbour.url))
        if wide and self._settings.find.mdns and self._may_go_abroad(credentials):
            with closing(self._ask(budget)) as answers:
                yield from (Place("mdns", url) for announced in answers for url in announced.urls())
        yield from (Place("candidate", url) for url in self._urls)
        if wide and self._may_go_abroad(credentials):
            yield from self._scanned(budget)

    def _scanned(self, budget: Budget) -> Iterator[Place]:
        from edge.finding.scan import SECONDS as LONGEST
        from edge.finding.scan import far_hosts, near_hosts

        if self._networks:
            for host in far_hosts(self._networks, self._port, budget.part(LONGEST)):
                yield Place("candidate", url_of(host, self._port, tls=self._is_strict))
        if self._settings.find.scan:
            for host in near_hosts(self._subnets(), self._port, budget.part(LONGEST)):
                yield Place("scan", url_of(host, self._port, tls=self._is_strict))

    def _may_go_abroad(self, credentials: Credentials | None) -> bool:
        """Tell whether a server that the network tells of could be taken at all."""
        if self.configured_url and credentials is None:
            return False  # the owner has said where it is; elsewhere could only be another one
        return self.can_check(credentials)

    def can_check(self, credentials: Credentials | None) -> bool:
        """Tell whether a server of the network could prove itself to us."""
        return bool(self._settings.enrolment_key) or credentials is not None

    def is_welcome(self, place: Place, credentials: Credentials | None, own: Secrets) -> bool:
        """Tell whether a place may be asked: what the network tells of must have something to prove."""
        if self.configured_url and credentials is None and place.source != "configured":
            return False
        if self._is_strict and place.source == "mdns" and not place.is_tls:
            return False
        return bool(own) or not place.needs_proof

    def is_ours(self, found: Found, credentials: Credentials | None) -> bool:
        """Tell whether a server that has proved itself is the one that we belong to.

        A server with the fleet's key that is not the one we enrolled at may be a second one, for tests. It is taken
        where our owner or this machine says so, and at the address where ours used to be.
        """
        if found.server is None or credentials is None or found.server.verdict.by_token:
            return True
        is_same = found.server.server_id == credentials.server_id
        source = found.place.source
        return is_same or source == "configured" or (not self.configured_url and source not in FOREIGN)


class _Attempt:
    """One run: what was tried already, and why it was in vain."""

    def __init__(self, search: Search, credentials: Credentials | None, budget: Budget) -> None:
        self._search, self._credentials, self._budget = search, credentials, budget
        self._tried: set[str] = set()
        self._reasons: list[str] = []
        self._is_refused = False

    def look_at(self, place: Place) -> Found | None:
        """Return the server at a place if it is ours."""
        if place.url in self._tried:
            return None
        self._tried.add(place.url)
        own = self._search.secrets(place.url, self._credentials)
        if not self._search.is_welcome(place, self._credentials, own):
            return None
        try:
            server = self._search.check(place, own, max(SHORTEST, min(ASK_SECONDS, self._budget.left())))
        except StrangerError as error:
            self._note(place, str(error), is_refused=isinstance(error, ImpostorError))
            return None
        found = Found(place, server, own)
        if not self._search.is_ours(found, self._credentials):
            self._note(place, "it is another server than the one that enrolled this device")
            return None
        return found

    def vain(self) -> Vain:
        """Return why nothing was found; what its owner named comes first."""
        if self._reasons:
            return Vain(self._reasons[0], self._is_refused)
        if not self._search.can_check(self._credentials):
            return Vain(
                "No server is named or runs on this machine, and those of the network cannot be checked without an"
                " enrolment key: set MUSTER_ENROLMENT_KEY."
            )
        return Vain("No server was found.")

    def _note(self, place: Place, reason: str, *, is_refused: bool = False) -> None:
        sentence = f"The server at {place.url}, {SPOKEN[place.source]}, is not used: {reason}."
        logger.debug("%s", sentence)
        if place.source not in OWN_WORD:
            return
        self._is_refused = self._is_refused or is_refused
        self._reasons.insert(0 if is_refused else len(self._reasons), sentence)
