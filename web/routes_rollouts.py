"""Rollouts: start one, see how far it is, pause, resume, cancel and retry it; and the maintenance windows of sites."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args

import msgspec

from actors.targets import FIELDS, Target
from actors.topics import SERIAL
from actors.updates.messages import Order, Windows
from actors.updates.plan import LONGEST, USUAL_WAVES, Plan, Share, Waves
from actors.updates.states import STATES, Status
from actors.updates.windows import Window
from web.answers_rollouts import Rollout, RolloutDevices, Rollouts, SiteWindows
from web.answers_rollouts import Windows as AllWindows
from web.call import Call, Reply
from web.errors import ApiError, bad_field
from web.face import Item
from web.render import listing, plain
from web.rollouts import RolloutsRefusedError
from web.route import PAGED, Route
from web.routes_groups import site_name
from web.routes_history import cursor_of, page_of

T = TypeVar("T")

Seconds = Annotated[float, msgspec.Meta(gt=0, le=LONGEST)]
Serial = Annotated[str, msgspec.Meta(pattern=rf"^(?:{SERIAL.pattern})?\Z")]
_USUAL = Plan()


class Halt(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """When nobody more gets it."""

    failures: Annotated[float, msgspec.Meta(ge=0, le=1)] = _USUAL.failures
    """Of the devices that were offered it: more that failed, rolled back or fell silent."""
    silent_after: Seconds | None = None
    """Seconds without a word after which a device that has begun is silent."""


class NewRollout(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/rollouts`; exactly one of `device`, `devices`, `group` and `all` says who is meant."""

    release: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    """Its version, or its id."""
    device: Serial = ""
    devices: Annotated[list[Serial], msgspec.Meta(max_length=10_000)] = []
    group: Annotated[str, msgspec.Meta(max_length=64)] = ""
    all: bool = False
    share: Share = 1.0
    """Of them; which ones is left to chance."""
    waves: Waves = USUAL_WAVES
    """A canary, a quarter, the rest, unless told otherwise."""
    halt: Halt = msgspec.field(default_factory=Halt)
    deadlines: dict[str, Seconds] = {}
    """Seconds that a device may be in a state, whatever it says."""
    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = _USUAL.retries
    retry_after: Seconds = _USUAL.retry_after
    window: Window | Windows = ()
    """When its devices may begin, in place of the maintenance windows of their sites."""
    force: bool = False
    """Also in place of a newer version, and where this one was rolled back before."""
    trial: Annotated[float, msgspec.Meta(ge=60, le=86_400)] = _USUAL.trial
    """Seconds that the new version has on a device to reach this server."""
    call: bool = _USUAL.call
    """Whether devices that are online are told to ask at once; else each asks within the hour."""
    most_active: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = _USUAL.most_active
    """Devices that download and install at a time."""


class Again(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/rollouts/{id}/retry`."""

    devices: Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=10_000)] | None = None
    """Absent: all on which it has failed."""


class NewWindows(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `PUT /api/maintenance-windows/{site}`."""

    windows: Windows
    """None of them: at any time."""


_NEW = msgspec.json.Decoder(NewRollout)
_AGAIN = msgspec.json.Decoder(Again)
_WINDOWS = msgspec.json.Decoder(NewWindows)


def start(call: Call) -> Reply:
    """Bring a release to a device, several, a group or all: in waves, halted when too many fail."""
    new = call.decode(_NEW)
    target, plan = _target(new), _plan(new)
    windows = (new.window,) if isinstance(new.window, Window) else new.window
    by, address = _origin(call)
    made = _asked(
        lambda: call.face.rollouts.start(
            target, release=new.release, share=new.share, plan=plan, windows=windows, by=by, address=address
        )
    )
    return Reply(rollout_json(made), 201, {"Location": f"/api/rollouts/{made['id']}"})


def index(call: Call) -> Item:
    """List the rollouts, newest first; in one `status`."""
    status, limit, cursor = call.choice("status", get_args(Status)), call.limit(), cursor_of(call)
    return page_of(lambda: call.face.rollouts.items(status=status, limit=limit, cursor=cursor), rollout_json)


def show(call: Call, rollout: str) -> Item:
    """Return a rollout: how many devices are in which state, of each wave, and why it is halted."""
    return rollout_json(_asked(lambda: call.face.rollouts.get(rollout[:64])))


def devices(call: Call, rollout: str) -> Item:
    """List the devices of a rollout by serial; in one `state`."""
    state, limit, cursor = call.choice("state", tuple(STATES)), call.limit(), cursor_of(call)
    ask = call.face.rollouts.devices
    return page_of(lambda: _asked(lambda: ask(rollout[:64], state=state, limit=limit, cursor=cursor)), device_json)


def order(name: Order, sentence: str) -> Callable[..., Item]:
    """Return the handler of an order."""

    def handle(call: Call, rollout: str) -> Item:
        return rollout_json(_asked(lambda: call.face.rollouts.command(rollout[:64], name, *_origin(call))))

    handle.__doc__ = sentence
    handle.__name__ = name
    return handle


pause = order("pause", "Offer it to nobody more; devices that have begun go on.")
resume = order("resume", "Go on after a pause or a halt; what has failed by then counts no more.")
cancel = order("cancel", "End it; devices that have begun may end what they began.")


def retry(call: Call, rollout: str) -> Item:
    """Offer it anew to devices on which it has failed, also to those that have rolled it back."""
    again = call.decode(_AGAIN)
    serials = None if again.devices is None else tuple(again.devices)
    return rollout_json(_asked(lambda: call.face.rollouts.retry(rollout[:64], serials, *_origin(call))))


def windows(call: Call) -> Item:
    """List the maintenance windows by site; the devices of any other site may be updated at any time."""
    return listing(_asked(call.face.rollouts.windows))


def put_windows(call: Call, site: str) -> Item:
    """Set when the devices of a site may be updated, instead of whatever was set."""
    new = call.decode(_WINDOWS)
    return _asked(lambda: call.face.rollouts.put_windows(site_name(site), new.windows, *_origin(call)))


def rollout_json(row: Item) -> Item:
    """Return a rollout; what is not known is null."""
    shown: Item = plain(row)
    return shown | {"reason": row["reason"] or None, "by": row["by"] or None}


def device_json(row: Item) -> Item:
    """Return a device of a rollout; what is not known is null."""
    shown: Item = plain(row)
    return shown | {"reason": row["reason"] or None}


def _target(new: NewRollout) -> Target:
    try:
        return Target(device=new.device, devices=tuple(new.devices), group=new.group, all=new.all)
    except ValueError as error:
        given = next((name for name in FIELDS if getattr(new, name)), FIELDS[0])
        raise bad_field(given, str(error)) from None


def _plan(new: NewRollout) -> Plan:
    same: dict[str, Any] = {name: getattr(new, name) for name in Plan.__struct_fields__ if hasattr(new, name)}
    try:
        return Plan(**(same | msgspec.structs.asdict(new.halt)))
    except ValueError as error:
        raise bad_field("deadlines", str(error)) from None


def _origin(call: Call) -> tuple[str, str]:
    assert call.who is not None
    return call.who.title, call.client


def _asked(ask: Callable[[], T]) -> T:
    """Return the answer, or raise the refusal as the API tells it."""
    try:
        return ask()
    except RolloutsRefusedError as error:
        raise ApiError(error.status, error.message, code=error.code, details=error.details) from None


ROUTES = (
    Route("GET", "/api/rollouts", "read", index, Rollouts, query=("status", *PAGED)),
    Route("POST", "/api/rollouts", "operate", start, Rollout, body=NewRollout, status=201),
    Route("GET", "/api/rollouts/<rollout>", "read", show, Rollout),
    Route("GET", "/api/rollouts/<rollout>/devices", "read", devices, RolloutDevices, query=("state", *PAGED)),
    Route("POST", "/api/rollouts/<rollout>/pause", "operate", pause, Rollout),
    Route("POST", "/api/rollouts/<rollout>/resume", "operate", resume, Rollout),
    Route("POST", "/api/rollouts/<rollout>/cancel", "operate", cancel, Rollout),
    Route("POST", "/api/rollouts/<rollout>/retry", "operate", retry, Rollout, body=Again),
    Route("GET", "/api/maintenance-windows", "read", windows, AllWindows),
    Route("PUT", "/api/maintenance-windows/<site>", "operate", put_windows, SiteWindows, body=NewWindows),
)
"""Who may call what."""
