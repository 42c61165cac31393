"""Commands: give them to one device or many, look at them, cancel them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec

from actors.commands.messages import LONGEST, NAME, SHORTEST, STATES, USUAL
from actors.targets import FIELDS, Target
from web.call import Call, Reply
from web.commands import CommandRefusedError
from web.errors import ApiError, bad_field
from web.face import Item
from web.render import command_json
from web.route import PAGED
from web.routes_devices import known
from web.routes_history import cursor_of, page_of

T = TypeVar("T")

FILTERS = ("device", "batch", "state")
"""Query parameters that choose commands."""

Serial = Annotated[str, msgspec.Meta(max_length=64)]
Timeout = Annotated[float, msgspec.Meta(ge=SHORTEST, le=LONGEST)]


class NewCommand(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/devices/{serial}/commands`."""

    name: Annotated[str, msgspec.Meta(pattern=rf"^{NAME.pattern}\Z")]
    """What the device is to do; which commands there are is its own affair."""
    args: dict[str, Any] = {}
    timeout: Timeout = USUAL
    """Seconds until nobody wants it any more: so long it waits for a device that is away, and for its answer."""


class NewCommands(NewCommand, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/commands`; exactly one of `device`, `devices`, `group` and `all` says who is meant."""

    device: Serial = ""
    devices: list[Serial] = []
    group: Annotated[str, msgspec.Meta(max_length=64)] = ""
    all: bool = False


_ONE = msgspec.json.Decoder(NewCommand)
_MANY = msgspec.json.Decoder(NewCommands)


def issue(call: Call, serial: str) -> Reply:
    """Give a device a command, which is kept until the device is there, or until its time is over."""
    new = call.decode(_ONE)
    call.note(name=new.name)
    told = _asked(lambda: call.face.commands.issue(serial, **_told(call, new)))
    return Reply(told, 202)


def issue_many(call: Call) -> Reply:
    """Give several devices, a group or all of them the same command."""
    new = call.decode(_MANY)
    call.note(name=new.name)
    try:
        target = Target(device=new.device, devices=tuple(new.devices), group=new.group, all=new.all)
    except ValueError as error:
        given = next((name for name in FIELDS if getattr(new, name)), FIELDS[0])
        raise bad_field(given, str(error)) from None
    return Reply(_asked(lambda: call.face.commands.issue_many(target, **_told(call, new))), 202)


def show(call: Call, command: str) -> Item:
    """Return a command and what has become of it."""
    row = call.face.commands.get(command[:64])
    if row is None:
        raise ApiError(404, "there is no command of this id", details={"id": command[:64]})
    return command_json(row)


def index(call: Call) -> Item:
    """List commands, newest first: of one `device`, of one `batch`, in one `state`."""
    return _page(call, call.text("device"), call.text("batch"), call.choice("state", STATES))


def of_device(call: Call, serial: str) -> Item:
    """List the commands of a device, newest first; in one `state`."""
    known(call, serial)
    return _page(call, serial, None, call.choice("state", STATES))


def cancel(call: Call, command: str) -> Item:
    """End a command that is not over; what the device has begun by then is not undone."""
    assert call.who is not None
    by = call.who.title
    return command_json(_asked(lambda: call.face.commands.cancel(command[:64], by, call.client)))


OF_DEVICE = ("state", *PAGED)
"""Query parameters of a device's list."""


def _page(call: Call, serial: str | None, batch: str | None, state: str | None) -> Item:
    limit, cursor = call.limit(), cursor_of(call)
    return page_of(
        lambda: call.face.commands.find(serial=serial, batch=batch, state=state, limit=limit, cursor=cursor),
        command_json,
    )


def _told(call: Call, new: NewCommand) -> dict[str, Any]:
    assert call.who is not None
    about = {"name": new.name, "args": new.args, "timeout": new.timeout}
    return about | {"by": call.who.title, "address": call.client}


def _asked(ask: Callable[[], T]) -> T:
    """Return the answer, or raise the refusal as the API tells it."""
    try:
        return ask()
    except CommandRefusedError as error:
        raise ApiError(error.status, error.message, code=error.code, details=error.details) from None
