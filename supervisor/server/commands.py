"""Commands as the HTTP face sees them, and the actor that carries them out."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from pykka import ActorDeadError

from actors.commands.actor import CommanderActor, Desk
from actors.commands.messages import COMMANDER, MOST_TARGETS, Came, Cancel, Code, CommandError, Issue, Issued
from actors.commands.payloads import LARGEST_ARGS
from actors.commands.rules import Command
from actors.commands.steps import shown
from actors.presence import DerivedPresence
from actors.storage.commands import FindCommand, FindCommands
from actors.storage.queries import Page
from actors.targets import Target, UnknownTargetError, resolve
from supervisor.server.parts import Parts
from web.commands import CommandRefusedError
from web.face import Item
from web.render import rfc3339

PATIENCE = 30.0
"""Seconds that a request waits: others may be before it, and a whole fleet takes its time."""

_STATUS: Final[dict[Code, int]] = {"not_found": 404, "finished": 409, "too_many": 409}


def commander(parts: Parts) -> CommanderActor:
    """Return the actor that sends commands and keeps track of them."""
    return CommanderActor(
        Desk(
            runtime=parts.runtime,
            services=parts.services,
            board=parts.command_board,
            ask=parts.ask_registry,
            is_online=lambda serial: _presence_of(parts, serial) == "online",
            link_of=lambda serial: _link_of(parts, serial),
            show=lambda row: parts.ring.publish("command", row.serial, command_event(row)),
            admit=parts.desk.admit,
        )
    )


def _presence_of(parts: Parts, serial: str) -> DerivedPresence:
    view = parts.fleet.get(serial)
    return view.presence if view is not None else "offline"


def _link_of(parts: Parts, serial: str) -> str:
    record = parts.fleet.record(serial)
    broker = record.snapshot.broker if record is not None else ""
    return f"{broker or parts.config.brokers[0].name}.control"


def command_event(row: Command) -> Item:
    """Return what the live page is told of a command: where it stands, without arguments and result."""
    told: Item = {"id": row.id, "device": row.serial, "name": row.name, "state": row.state}
    return told | {"reason": row.reason or None, "batch": row.batch or None, "updated": rfc3339(row.changed_us)}


def watch_presence(parts: Parts) -> None:
    """Have the commander told of each device that comes while commands wait for it."""

    def told(serial: str, presence: DerivedPresence) -> None:
        if presence == "online" and serial in parts.command_board.waiting:
            parts.services.tell(COMMANDER, Came(serial))

    parts.on_presence.append(told)


class CommandsFace:
    """What operators ask of devices."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def issue(self, serial: str, *, name: str, args: Item, timeout: float, by: str, address: str) -> Item:
        """Give one device a command and return its row."""
        order = self._order(Target(device=serial), name=name, args=args, timeout=timeout, by=by, address=address)
        issued: Issued = self._ask(order)
        return {"id": issued.ids[0]}

    def issue_many(self, target: Target, *, name: str, args: Item, timeout: float, by: str, address: str) -> Item:
        """Give each device of a target the same command."""
        order = self._order(target, name=name, args=args, timeout=timeout, by=by, address=address)
        issued: Issued = self._ask(msgspec.structs.replace(order, batch=True))
        pairs = zip(order.serials, issued.ids, strict=True)
        return {"id": issued.batch, "commands": [{"device": serial, "id": command_id} for serial, command_id in pairs]}

    def get(self, command_id: str) -> Item | None:
        """Return one command."""
        row: Command | None = self._parts.readers.ask(FindCommand(command_id))
        return None if row is None else shown(row)

    def find(
        self, *, serial: str | None, batch: str | None, state: str | None, limit: int, cursor: str
    ) -> tuple[list[Item], str | None]:
        """Return commands, newest first."""
        page: Page = self._parts.readers.ask(
            FindCommands(serial=serial, batch=batch, state=state, limit=limit, after=cursor or None)
        )
        return [shown(Command(**item)) for item in page.items], page.cursor

    def cancel(self, command_id: str, by: str, address: str) -> Item:
        """End a command that is not over."""
        row: Command = self._ask(Cancel(command_id, by, address))
        return shown(row)

    def _order(self, target: Target, *, name: str, args: Item, timeout: float, by: str, address: str) -> Issue:
        encoded = msgspec.json.encode(args)
        if len(encoded) > LARGEST_ARGS:
            raise self._refused(413, "too_large", f"`args` has {len(encoded)} bytes, at most {LARGEST_ARGS} are taken")
        serials = self._resolve(target)
        if len(serials) > MOST_TARGETS:
            raise self._refused(
                413, "too_large", f"{target} has {len(serials)} devices, at most {MOST_TARGETS} are commanded at once"
            )
        return Issue(serials=tuple(serials), name=name, args=encoded.decode(), timeout=timeout, by=by, address=address)

    def _resolve(self, target: Target) -> list[str]:
        try:
            return resolve(target, self._parts.fleet, self._parts.groups)
        except UnknownTargetError as error:
            raise self._refused(404, "not_found", str(error), {error.what: error.name}) from error

    def _refused(
        self, status: int, code: str, message: str, details: dict[str, Any] | None = None
    ) -> CommandRefusedError:
        """Return a refusal, which is counted."""
        self._parts.command_board.counts["refused"] += 1
        return CommandRefusedError(status, code, message, details)

    def _ask(self, message: Issue | Cancel) -> Any:
        ref = self._parts.services.get(COMMANDER)
        if ref is None:
            raise ActorDeadError("the commander is restarting")
        try:
            return ref.ask(message, block=True, timeout=PATIENCE)
        except CommandError as error:
            raise self._refused(_STATUS[error.code], error.code, error.message, error.details) from error
