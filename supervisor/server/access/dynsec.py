"""The mechanism `dynsec`: Mosquitto's plugin for dynamic security, told over MQTT and at work at once.

Mosquitto 2.0 writes the plugin's whole file anew for each command and serves nobody meanwhile: some 10 ms with 1,000
devices, 200 ms with 10,000. So the plugin is told of `MOST` devices, a few commands in each message, and whoever it
does not know comes in by the password and ACL files, where all devices are: those beyond that number, and everybody as
long as a plugin that has lost its file is told anew.

Answers come on a topic that everybody who administers the broker reads, so ours are known by their `correlationData`.
"""

from __future__ import annotations

import contextlib
import json
import queue
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from actors.link.options import BrokerOptions
from supervisor.server.access.accounts import SERVERS, Account, BrokerAwayError, Everyone
from supervisor.server.access.dynsec_file import (
    CONTROL,
    DEFAULTS,
    OWN_ROLE,
    SERVER_ROLE,
    Json,
    base_roles,
    own_roles,
    own_rules,
)
from supervisor.server.access.files import Files, can_name
from supervisor.server.mosquitto import BrokerUser

MOST: Final = 1_000
"""Devices that the plugin is told of where there are the files for the others."""
SLICE: Final = 20
"""Devices that it is told of before other orders have their turn."""
FIRST: Final = 10
BATCH: Final = 500
"""Commands in the first message, and at most."""
HOLD: Final = 0.1
"""Seconds for which one message may keep the broker busy."""
PATIENCE: Final = 5.0
"""Seconds for the connection, and for the answer to a message."""
_PAGE: Final = 5_000
_EXISTS = ("Role already exists", "Client already exists")
_GONE = ("Role not found", "Client not found")
_SERVER_ROLES: Final = [{"rolename": SERVER_ROLE}]


class Dynsec:
    """Tells the plugin of one broker; a connection for each task, used by one thread at a time.

    Args:
        options: returns how the server may connect now, with each of its users; they may administer the broker.
        client_id: ours.
        others: keeps the files, which count for whoever the plugin does not know; None where we may not write them.
        most: of how many devices the plugin is told; without `others`, of all.

    """

    def __init__(
        self,
        options: Callable[[], Sequence[BrokerOptions]],
        client_id: str,
        others: Files | None,
        *,
        most: int = MOST,
    ) -> None:
        self._options = options
        self._client_id = client_id
        self._others, self._most = others, most
        self._inside: set[str] | None = None
        """Devices that the plugin knew last; None before the first look."""
        self._told: dict[str, Account] = {}
        """What we have told it of these: who is told the same again would be disconnected for nothing."""
        self._servers: tuple[BrokerUser, ...] = ()
        """Those that the broker was told last; none yet: it is told anew."""

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Console]:
        """Connect with the first user that the broker lets in: a new one it may not have been told of yet."""
        *others, last = self._options()
        for options in others:
            with contextlib.suppress(RefusedError), Console(options, self._client_id) as console:
                yield console
                return
        with Console(last, self._client_id) as console:
            yield console

    def known(self) -> set[str]:
        """Return the devices that have a role of their own, or stand in the files."""
        with self._connected() as console:
            self._look(console)
        return self._known_inside() | (self._others.known() if self._others is not None else set())

    def lacking(self, serials: AbstractSet[str]) -> set[str]:
        """Return those that the files do not name, and those for whom the plugin has room."""
        outside = sorted(serials - self._known_inside(), key=lambda serial: (can_name(serial), serial))
        if self._others is None:
            return set(outside)
        room = max(self._room(), sum(not can_name(serial) for serial in outside))
        return self._others.lacking(serials) | set(outside[:room])

    def apply(
        self, everyone: Everyone, put: Sequence[Account], remove: Iterable[str], rights: Sequence[Account] = ()
    ) -> list[str]:
        """Add, change and remove users; who is removed, or has another password, is disconnected.

        The files come first: who is removed must not come in by them again.
        """
        gone = list(remove)
        with self._connected() as console:
            if self._inside is None:
                self._look(console)
            inside, outside, later = self._divide(put)
            trouble = self._tell_files(everyone, outside, gone)
            console.run([command for serial in gone for command in _remove(serial)], but=_GONE)
            self._forget(gone)
            if tuple(everyone.servers) != self._servers:
                _tell_servers(console, everyone, self._servers)
                self._servers = tuple(everyone.servers)
            new = [account for account in inside if self._told.get(account.serial) != account]
            told = [(account, command) for account in new for command in _create(account)]
            refused = console.run([command for _, command in told], but=_EXISTS)
            again = dict.fromkeys(told[number][0] for number in refused)
            console.run([command for account in again for command in _change(account)])
            self._inside = self._known_inside() | {account.serial for account in inside}
            self._told |= {account.serial: account for account in inside}
            console.run([_allow(account) for account in rights if account.serial in self._inside])
            self._told |= {account.serial: account for account in rights if account.serial in self._inside}
        if trouble is not None:
            raise trouble
        return [account.serial for account in put if account.serial not in later]

    def _tell_files(
        self, everyone: Everyone, outside: Sequence[Account], gone: Sequence[str]
    ) -> BrokerAwayError | None:
        """Return what is wrong with the files: the plugin is told all the same."""
        try:
            if self._others is not None:
                self._others.apply(everyone, outside, gone)
        except BrokerAwayError as error:
            return error
        return None

    def _forget(self, gone: Iterable[str]) -> None:
        self._inside = self._known_inside() - set(gone)
        for serial in gone:
            self._told.pop(serial, None)

    def _look(self, console: Console) -> None:
        """See whom the plugin knows."""
        roles = console.roles()
        if SERVER_ROLE not in roles:  # it has lost its file
            self._servers = ()
        self._inside = {name[len(OWN_ROLE) :] for name in roles if name.startswith(OWN_ROLE)}
        self._told = {serial: account for serial, account in self._told.items() if serial in self._inside}

    def _known_inside(self) -> set[str]:
        return self._inside or set()

    def _room(self) -> int:
        """Return of how many more devices the plugin may be told."""
        return max(0, self._most - len(self._known_inside()))

    def _divide(self, put: Sequence[Account]) -> tuple[list[Account], list[Account], set[str]]:
        """Return of whom the plugin is told now, who stands in the files alone, and who has to come again."""
        inside: list[Account] = []
        outside: list[Account] = []
        later: set[str] = set()
        room = len(put) if self._others is None else self._room()
        for account in put:
            is_new = account.serial not in self._known_inside()
            if is_new and not room and can_name(account.serial):
                outside.append(account)
                continue
            room = max(0, room - is_new)
            if len(inside) < SLICE:
                inside.append(account)
            else:
                later.add(account.serial)
        return inside, outside, later


class RefusedError(BrokerAwayError):
    """The broker does not let this user in."""


class Console:
    """One connection to the plugin; a context manager."""

    def __init__(self, options: BrokerOptions, client_id: str) -> None:
        self._options = options
        self._answers: queue.SimpleQueue[Json] = queue.SimpleQueue()
        self._steps: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._batch = FIRST
        self._client = client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False
        )
        client.on_connect = lambda _c, _d, _f, reason, _p: self._steps.put(str(reason) if reason.is_failure else "")
        client.on_subscribe = lambda _c, _d, _m, reasons, _p: self._steps.put(
            str(reasons[0]) if reasons[0].is_failure else ""
        )
        client.on_message = lambda _c, _d, message: self._take(message.payload)

    def __enter__(self) -> Self:
        options = self._options
        try:
            if options.username:
                self._client.username_pw_set(options.username, options.password)
            context = options.tls_context()
            if context is not None:
                self._client.tls_set_context(context)
            self._client.connect_timeout = PATIENCE
            self._client.connect(options.host, options.port, keepalive=30)
            self._client.loop_start()
            self._expect("let the server in")
            self._client.subscribe(f"{CONTROL}/response", 1)
            self._expect("let the server administer it")
        except (OSError, ValueError) as error:
            self.__exit__()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise BrokerAwayError(f"the broker at {options.address} cannot be reached: {reason}") from None
        except BrokerAwayError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def ask(self, command: str, **fields: Any) -> Json:
        """Return the answer to one command.

        Raises:
            BrokerAwayError: it is refused, or none came.

        """
        (answer,) = self._send([{"command": command, **fields}])
        if "error" in answer:
            raise BrokerAwayError(f"the broker refuses `{command}`: {answer['error']}")
        return answer

    def run(self, commands: Sequence[Json], but: Sequence[str] = ()) -> list[int]:
        """Carry out commands, many at a time; return the numbers of those that were refused for a reason in `but`.

        Raises:
            BrokerAwayError: one was refused for another reason, or no answer came.

        """
        excused = []
        start = 0
        while start < len(commands):
            answers = self._send(commands[start : start + self._batch])
            for number, answer in enumerate(answers, start):
                error = answer.get("error")
                if error in but:
                    excused.append(number)
                elif error:
                    raise BrokerAwayError(f"the broker refuses `{answer.get('command')}`: {error}")
            start += len(answers)
        return excused

    def roles(self) -> set[str]:
        """Return the names of all roles."""
        roles: set[str] = set()
        offset, total = 0, 1
        while offset < total:
            page = self.ask("listRoles", count=_PAGE, offset=offset)["data"]
            roles |= set(page["roles"])
            offset, total = offset + _PAGE, int(page["totalCount"])
        return roles

    def _send(self, commands: Sequence[Json]) -> list[Json]:
        """Return the answers in the order of the commands."""
        tag, began = secrets.token_hex(8), time.monotonic()
        marked = [{**command, "correlationData": f"{tag}.{number}"} for number, command in enumerate(commands)]
        self._client.publish(CONTROL, json.dumps({"commands": marked}), 1)
        answers: dict[str, Json] = {}
        wanted = {command["correlationData"] for command in marked}
        while len(answers) < len(wanted):
            try:
                answer = self._answers.get(timeout=PATIENCE)
            except queue.Empty:
                raise BrokerAwayError(
                    "the broker does not answer: is its plugin for dynamic security loaded?"
                ) from None
            if answer.get("correlationData") in wanted:
                answers[answer["correlationData"]] = answer
        # As many as are done in time the next time; what a single one takes is only known by and by.
        fits = int(len(commands) * HOLD / max(time.monotonic() - began, 1e-6))
        self._batch = max(1, min(fits, 2 * self._batch, BATCH))
        return [answers[command["correlationData"]] for command in marked]

    def _expect(self, what: str) -> None:
        try:
            refusal = self._steps.get(timeout=PATIENCE)
        except queue.Empty:
            raise BrokerAwayError("the broker does not answer") from None
        if refusal:
            raise RefusedError(f"the broker does not {what}: {refusal}")

    def _take(self, payload: bytes | bytearray) -> None:
        try:
            responses = json.loads(payload)["responses"]
        except (ValueError, KeyError, TypeError):
            return
        for answer in responses:
            self._answers.put(answer)


def _tell_servers(console: Console, everyone: Everyone, before: Sequence[BrokerUser]) -> None:
    """See to the roles that several have, and to the server's own users: those of before end."""
    roles = list(base_roles(everyone.prefixes).items())
    defaults = [{"acltype": kind, "allow": allow} for kind, allow in DEFAULTS.items()]
    console.run([{"command": "setDefaultACLAccess", "acls": defaults}])
    told = [{"rolename": name, "acls": rules} for name, rules in roles]
    there = console.run([{"command": "createRole", **role} for role in told], but=_EXISTS)
    console.run([{"command": "modifyRole", **told[number]} for number in there])
    wanted = {user.name: user for user in everyone.servers}
    ended = [name for name in SERVERS if name not in wanted]
    # One of this name that is not in use may be left from a change that was broken off, with a password of its own.
    stale = [] if not before else [name for name in wanted if name not in {user.name for user in before}]
    console.run([{"command": "deleteClient", "username": name} for name in [*ended, *stale]], but=_GONE)
    made = [
        {"command": "createClient", "username": user.name, "password": user.password, "roles": _SERVER_ROLES}
        for user in everyone.servers
    ]
    console.run(made, but=_EXISTS)


def _create(account: Account) -> list[Json]:
    return [
        {"command": "createRole", "rolename": f"{OWN_ROLE}{account.serial}", "acls": own_rules(account)},
        {
            "command": "createClient",
            "username": account.serial,
            "password": account.password,
            "clientid": account.serial,
            "roles": own_roles(account),
        },
    ]


def _change(account: Account) -> list[Json]:
    """Return what brings a user that is there to what it has to be."""
    return [
        _allow(account),
        {
            "command": "modifyClient",
            "username": account.serial,
            "password": account.password,
            "clientid": account.serial,
            "roles": own_roles(account),
        },
    ]


def _allow(account: Account) -> Json:
    """Return what changes the rights of a device, who stays connected."""
    return {"command": "modifyRole", "rolename": f"{OWN_ROLE}{account.serial}", "acls": own_rules(account)}


def _remove(serial: str) -> list[Json]:
    return [
        {"command": "deleteClient", "username": serial},
        {"command": "deleteRole", "rolename": f"{OWN_ROLE}{serial}"},
    ]
