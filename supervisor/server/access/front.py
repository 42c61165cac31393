"""`Access`: what the rest of the server is given of the broker's users. Any thread may use it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pykka import ActorDeadError

from actors.device_facts import KIND_OF_TYPE
from actors.link.messages import Publish
from actors.notifications.rules import NotificationError, check_topic
from supervisor import ChildSpec
from supervisor.server.access.accounts import RESERVED, Mechanism, keep_key
from supervisor.server.access.actor import AccessActor, AccessBoard
from supervisor.server.access.dynsec import Dynsec
from supervisor.server.access.files import Files, can_name
from supervisor.server.access.messages import (
    NAME,
    Compare,
    Grant,
    Look,
    RenewDevices,
    RetireShared,
    Revoke,
    RotateServer,
)
from supervisor.server.access.roster import OUTSIDE, ServerUsers
from supervisor.server.access.users import USERS
from supervisor.server.mosquitto import BrokerUser
from supervisor.server.probe import is_let_in

if TYPE_CHECKING:
    from actors.link.options import BrokerOptions
    from supervisor.server.parts import Parts

logger = logging.getLogger(__name__)

KEY = "broker-access.key"
PATIENCE = 20.0
"""Seconds that a request waits for the actor: the broker has some for each of a few steps."""
_PUBLISHERS = ("datalogger", "gateway", "sensor")
_OWN_SPACES = ("devices", "server")
SPREAD = 60.0
"""Seconds over which devices fetch their new passwords when more than `CROWD` are asked at a time."""
CROWD = 20
PACE = 0.5
"""Seconds of that time for each of very many devices: what an enrolment takes among ten thousand."""


class BrokerAccess(Protocol):
    """What enrolment needs of the broker: the username of a device is its serial."""

    def grant(self, serials: Sequence[str]) -> dict[str, str]:
        """Return a new password for each of these devices, once the broker knows them or cannot be reached."""
        ...

    def revoke(self, serial: str) -> None:
        """Let a device in no more, and disconnect it."""
        ...


class Access:
    """The broker's users, where Muster manages them; without them every method does nothing.

    Args:
        parts: what the server's actors share.
        options: returns how a link connects to the first broker.

    """

    def __init__(self, parts: Parts, options: Callable[[], BrokerOptions]) -> None:
        self._parts, self._options = parts, options
        self.board = AccessBoard()
        chosen = parts.config.broker_access
        self.mechanism = "none" if chosen.mechanism == "auto" else chosen.mechanism
        self.reload: Callable[[], None] = lambda: None
        """Has the broker read its files again; where it is not our child, the service manager sees to that."""
        self.restart_links: Callable[[], None] = lambda: None
        self.on_retired: Callable[[], None] = lambda: None
        """Called when the shared user has ended."""
        self.users: ServerUsers | None = self._find_users() if self.manages else None
        self._linked = self.users.now.server if self.users is not None else None
        """The user with which the links connect: that of when they were made."""

    @property
    def manages(self) -> bool:
        """Whether each device gets a user of its own."""
        return self.mechanism != "none"

    def use_embedded(self, reload: Callable[[], None], *, anonymous: bool) -> None:
        """Take the broker that `muster up` has started."""
        self.reload = reload
        if self.users is not None:
            self.users.anonymous = anonymous

    def credentials(self, name: str) -> BrokerUser | None:
        """Return the server's user of the broker of this name; None where it is the configured one."""
        is_first = name == self._parts.config.brokers[0].name
        return self.users.now.server if self.users is not None and is_first else None

    # For enrolment

    def is_reserved(self, serial: str) -> bool:
        """Return whether this is the name of a user that is no device."""
        return self.manages and serial in RESERVED

    def can_name(self, serial: str) -> bool:
        """Return whether a device can have a user of this name."""
        return self.mechanism == "dynsec" or (self.manages and can_name(serial))

    @property
    def lets_in_others(self) -> bool:
        """Whether devices without a user of their own are let in."""
        return self.users is None or self.users.anonymous or self.users.now.devices is not None

    def grant(self, serials: Sequence[str], device_type: str = "") -> dict[str, str]:
        """Return a new password for each of these devices, once the broker knows them or cannot be reached.

        Raises:
            ActorDeadError: the actor is restarting.
            pykka.Timeout: it did not answer in time.
            StoreUnavailable: the database is away.

        """
        kind = KIND_OF_TYPE.get(device_type.lower().replace("-", "_"), "other")
        return dict(self._ask(Grant(dict.fromkeys(serials, kind in _PUBLISHERS)))) if self.manages else {}

    def revoke(self, serial: str) -> None:
        """Let a device in no more, and disconnect it. Raises as `grant`."""
        if self.manages:
            self._ask(Revoke((serial,)))

    def forget(self, serials: Collection[str]) -> None:
        """Do the same for devices that were deleted, without waiting."""
        if self.manages and serials:
            self._parts.services.tell(NAME, Revoke(tuple(serials)))

    def look(self, serial: str) -> None:
        """See whether a device has to read other topics than before."""
        if self.manages:
            self._parts.services.tell(NAME, Look((serial,)))

    def compare(self) -> None:
        """See whether the broker knows what it has to: the server has just connected to it."""
        if self.manages:
            self._parts.services.tell(NAME, Compare())

    # For operators

    def renew(self, serials: Sequence[str], grace: float) -> list[str]:
        """Have devices fetch new passwords within a time; return who has to. Raises as `grant`."""
        return list(self._ask(RenewDevices(tuple(serials), grace)))

    def rotate_server(self, grace: float) -> str:
        """Give the server another user and return its name. Raises as `grant`."""
        return str(self._ask(RotateServer(grace)))

    def retire_shared(self) -> bool:
        """End the user that all devices of releases before share; return whether there was one. Raises as `grant`."""
        was_there = bool(self._ask(RetireShared()))
        if was_there:
            self.on_retired()
        return was_there

    def _ask(self, message: Any) -> Any:
        ref = self._parts.services.get(NAME)
        if ref is None:
            raise ActorDeadError("the actor of the broker's users is restarting")
        return ref.ask(message, block=True, timeout=PATIENCE)

    # For the tree

    def children(self) -> tuple[ChildSpec, ...]:
        """Return the actor as a child of the tree, where there is something to do for it."""
        return (ChildSpec(NAME, self._actor, hang_after=120.0),) if self.manages else ()

    def _actor(self) -> AccessActor:
        assert self.users is not None
        return AccessActor(
            ask=self._parts.ask_registry,
            mechanism=self._make_mechanism(),
            users=self.users,
            key=keep_key(self._parts.config.data_path / KEY),
            topics=self._topics,
            request_renewal=self._request_renewal,
            switch=self._switch,
            runtime=self._parts.runtime,
            board=self.board,
        )

    def _find_users(self) -> ServerUsers:
        config = self._parts.config
        broker = config.brokers[0]
        embedded = config.data_path / "broker"
        is_embedded = Path(config.broker_access.directory) == embedded
        return ServerUsers(
            embedded / USERS if is_embedded else config.data_path / OUTSIDE,
            server=(broker.username, broker.password),
            devices=config.enrolment.password,
            prefixes=config.prefixes,
            programs=config.broker_access.users,
        )

    def _make_mechanism(self) -> Mechanism:
        directory = self._parts.config.broker_access.directory
        files = Files(Path(directory), reload=self._reload, check=self._is_let_in)
        if self.mechanism == "files":
            return files
        client_id = f"muster-{self._parts.instance_id}-access"
        return Dynsec(self._each_options, client_id, files if directory else None)

    def _each_options(self) -> list[BrokerOptions]:
        """Return how the server may connect, with each of its users."""
        assert self.users is not None
        options = self._options()
        return [replace(options, username=user.name, password=user.password) for user in self.users.now.servers]

    def _reload(self) -> None:
        self.reload()

    def _is_let_in(self, user: BrokerUser) -> bool | None:
        return is_let_in(self._options(), user)

    def _topics(self, serial: str) -> tuple[str, ...]:
        """Return the topic that a device has registered for its notifications, unless that is another's."""
        view = self._parts.fleet.get(serial)
        token = view.snapshot.device_token if view is not None else ""
        if not token:
            return ()
        try:
            check_topic(token, "device_token")
        except NotificationError:
            return ()
        levels = token.split("/")
        is_foreign = levels[0] in _OWN_SPACES and levels[:2] != ["devices", serial]
        return () if is_foreign or token.startswith("$") else (token,)

    def _request_renewal(self, serials: Sequence[str], number: int) -> None:
        """Ask devices that are there to enrol anew; who is not there is asked by the broker's refusal later.

        All are asked by one message: each device reads what every other one is asked.
        """
        link = f"{self._parts.config.brokers[0].name}.control"
        spread = max(SPREAD, number * PACE) if number > CROWD else 0.0
        for serial in serials or ("",):
            request = {"request": "renew", "device_id": serial, "spread": spread}
            self._parts.services.tell(link, Publish("server/requests", json.dumps(request).encode(), 1, False))

    def _switch(self) -> None:
        """Have the links connect with the server's user of now; what they have not handled comes again."""
        assert self.users is not None
        user = self.users.now.server
        if user != self._linked:
            self.restart_links()
            self._linked = user
