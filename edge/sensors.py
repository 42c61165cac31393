"""The stations of an edge: what `muster sensor-publisher` does, as actors of this device over its outbox."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge.settings import SensorSettings
from supervisor import ChildSpec, Intensity, Supervisor

if TYPE_CHECKING:
    from actors.publisher import PublisherActor
    from edge.parts import EdgeParts


def sensors(parts: EdgeParts) -> Supervisor | None:
    """Return the supervisor of the stations, None where there are none: then nothing of them is loaded."""
    if not parts.sensors:
        return None
    return Supervisor(
        runtime=parts.runtime,
        intensity=Intensity(restarts=max(20, 2 * len(parts.sensors)), within=60.0),
        directory=parts.directory,
        children=tuple(
            ChildSpec(
                f"sensor.{name}", lambda name=name, settings=settings: sensor(parts, name, settings), hang_after=30.0
            )
            for name, settings in parts.sensors.items()
        ),
    )


def sensor(parts: EdgeParts, name: str, settings: SensorSettings) -> PublisherActor:
    """Return one station."""
    from actors.drivers import DriverOptions, stable_seed
    from actors.publisher import PublisherActor, Station, StationBoard
    from edge.late_driver import LateDriver

    return PublisherActor(
        Station(
            publisher_id=name,
            prefix=settings.prefix,
            interval=settings.interval,
            memory=parts.home.stations / f"{name}.json",
        ),
        lambda options: LateDriver(settings.driver, options),
        DriverOptions(
            publisher_id=name,
            seed=stable_seed(name) if settings.seed is None else settings.seed,
            file=Path(settings.file) if settings.file else None,
            speed=settings.speed,
            loop=settings.loop,
        ),
        outbox="outbox",
        directory=parts.directory,
        runtime=parts.runtime,
        board=parts.boards.stations.setdefault(name, StationBoard()),
    )
