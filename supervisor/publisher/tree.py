"""The publisher's tree, one literal: started from top to bottom, stopped from bottom to top."""

from __future__ import annotations

import secrets
from pathlib import Path

from pykka import Actor

from actors.drivers import DriverError, DriverOptions, find_driver, stable_seed
from actors.link.status import LinkBoard
from actors.outbox import Outbox, OutboxBoard
from actors.publisher import KIND, PublisherActor, StationBoard
from actors.runtime import Directory, Runtime
from actors.sight import Sight
from actors.uplink.actor import Uplink, Wake
from actors.uplink.board import UplinkBoard, UplinkStatus
from actors.uplink.link import LinkWatch, UplinkLink, uplink_routes
from supervisor import BackoffPolicy, ChildSpec, Intensity, Supervisor
from supervisor.publisher.home import Home
from supervisor.publisher.report import Reporter
from supervisor.publisher.settings import Settings

GIVE_UP = Intensity(restarts=20, within=60.0)
"""Restarts after which the process ends, to be started anew from outside."""
QUICK = BackoffPolicy(base=0.05, cap=5.0)
PATHS = {KIND: "/api/soil-health/analyze"}
"""Kind of item to the path it is posted to."""
DESTINATION = "server"


class Parts:
    """What the actors share; made once, outliving every actor."""

    def __init__(self, settings: Settings, home: Home, runtime: Runtime) -> None:
        self.settings = settings
        self.home = home
        self.runtime = runtime
        self.directory = Directory()
        self.make_driver = find_driver(settings.publisher.driver)
        self.outbox_board = OutboxBoard()
        self.link_board = LinkBoard.of("link")
        self.link_watch = LinkWatch()
        self.uplink_board = UplinkBoard(status=UplinkStatus(configured=settings.publisher.mode))
        self.stations = {name: StationBoard() for name in settings.publisher.stations()}
        self.sight = Sight("link", runtime.clock.monotonic())
        self.sight.on_change = lambda _sight: self.directory.tell("uplink", Wake())
        self.client_id = settings.client_id or f"muster-pub-{secrets.token_hex(4)}"
        self.has_broker = settings.places.broker() is not None


def publisher_tree(parts: Parts) -> Supervisor:
    """Return the tree, not yet started."""
    return Supervisor(
        runtime=parts.runtime,
        name="publisher",
        intensity=GIVE_UP,
        backoff=QUICK,
        directory=parts.directory,
        children=(
            ChildSpec("outbox", lambda: outbox(parts), shutdown=10.0, hang_after=60.0),
            ChildSpec("link", lambda: link(parts), hang_after=30.0),
            ChildSpec("uplink", lambda: uplink(parts), shutdown=2.0, hang_after=60.0),
            ChildSpec("reporter", lambda: reporter(parts), hang_after=30.0),
            ChildSpec("stations", lambda: stations(parts)),
        ),
    )


def outbox(parts: Parts) -> Outbox:
    """Return the outbox of all stations."""
    return Outbox(
        parts.home.outbox,
        parts.runtime.clock,
        parts.outbox_board,
        destinations=(DESTINATION,),
        directory=parts.directory,
        notify=("uplink",),
    )


def link(parts: Parts) -> Actor | None:
    """Return the link to the broker, where there is one."""
    places = parts.settings.places
    options = places.broker()
    if options is None:
        return None
    return UplinkLink(
        watch=parts.link_watch,
        has_moved=lambda: places.broker() != options,
        name="link",
        client_id=parts.client_id,
        options=options,
        routes=uplink_routes(list(parts.stations), "uplink"),
        directory=parts.directory,
        clock=parts.runtime.clock,
        sight=parts.sight,
        board=parts.link_board,
    )


def uplink(parts: Parts) -> Uplink:
    """Return who empties the outbox."""
    settings = parts.settings
    return Uplink(
        name="uplink",
        link="link",
        outbox="outbox",
        destination=DESTINATION,
        configured=settings.publisher.mode,
        paths=PATHS,
        locate=settings.places.server,
        directory=parts.directory,
        runtime=parts.runtime,
        sight=parts.sight,
        watch=parts.link_watch,
        link_board=parts.link_board,
        board=parts.uplink_board,
        can_publish=parts.has_broker,
    )


def reporter(parts: Parts) -> Reporter:
    """Return who writes the state file."""
    return Reporter(
        parts.home,
        publisher_id=parts.settings.publisher.id,
        places=parts.settings.places,
        directory=parts.directory,
        runtime=parts.runtime,
        link=parts.link_board,
        uplink=parts.uplink_board,
        stations=parts.stations,
    )


def stations(parts: Parts) -> Supervisor:
    """Return the supervisor of the stations: they fail on their own, so it takes many to give up."""
    return Supervisor(
        runtime=parts.runtime,
        intensity=Intensity(restarts=max(20, 2 * len(parts.stations)), within=60.0),
        directory=parts.directory,
        children=tuple(
            ChildSpec(f"station.{name}", lambda name=name, number=number: station(parts, name, number), hang_after=30.0)
            for number, name in enumerate(parts.stations)
        ),
    )


def driver_options(parts: Parts, publisher_id: str, number: int) -> DriverOptions:
    """Return what the driver of one station is made from."""
    own = parts.settings.publisher
    return DriverOptions(
        publisher_id=publisher_id,
        seed=stable_seed(publisher_id) if own.seed is None else own.seed + number,
        file=Path(own.file) if own.file else None,
        speed=own.speed,
        loop=own.loop,
    )


def check_driver(parts: Parts) -> None:
    """Make a driver as the first station will, so that what is wrong with it is said before anything starts.

    Raises:
        DriverError: with the reason.

    """
    options = driver_options(parts, next(iter(parts.stations)), 0)
    try:
        parts.make_driver(options)
    except DriverError:
        raise
    except Exception as error:
        raise DriverError(f"the driver `{parts.settings.publisher.driver}` cannot be made: {error!r}.") from error


def station(parts: Parts, publisher_id: str, number: int) -> PublisherActor:
    """Return one station."""
    return PublisherActor(
        parts.settings.station(publisher_id),
        parts.make_driver,
        driver_options(parts, publisher_id, number),
        outbox="outbox",
        directory=parts.directory,
        runtime=parts.runtime,
        board=parts.stations[publisher_id],
    )
