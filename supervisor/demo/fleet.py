"""Who is in the simulated fleet: a pure function of its size and a seed."""

from __future__ import annotations

import random
from typing import Literal, NamedTuple

Family = Literal["pi", "datalogger", "gateway", "sensor"]
Habit = Literal["steady", "silent", "crashing", "leaving", "garbling", "roaming", "drying", "glitching"]

SITES = ("plant-1", "greenhouse")
DATALOGGER_TYPES = ("monstro", "soil", "climate")
HOSTNAMES = ("packing", "dock-a", "dock-b", "cold-store", "seedlings", "workshop", "office", "gate")
PLACES = ("north", "south", "east", "west")
PREFIX = "harit-samarth"

# The first device of each family is steady; with the default fleet every habit occurs, and the first minute shows one
# device going by its last will and one by its silence, and both coming back.
_HABITS: dict[Family, tuple[Habit, ...]] = {
    "pi": ("steady", "crashing", "garbling", "roaming", "leaving", "silent"),
    "datalogger": ("steady", "silent", "garbling", "steady"),
    "gateway": ("steady", "crashing", "steady"),
    "sensor": ("steady", "drying", "garbling", "glitching"),
}


class Spec(NamedTuple):
    """One simulated device."""

    number: int
    """Its place in the fleet, from 0; also the order of appearance."""
    family: Family
    serial: str
    name: str
    """Hostname of a Pi, id in the topics of a site device, publisher of a soil station."""
    site: str
    """Empty for a Pi; the prefix of the topic of a soil station."""
    type: str
    habit: Habit
    bound: bool
    """Whether a Pi uses the topics `devices/{id}/...` instead of the shared ones."""


def plan_fleet(
    pis: int, dataloggers: int, gateways: int, stations: int, *, seed: int, prefix: str = PREFIX
) -> list[Spec]:
    """Return the fleet; the same arguments give the same serials, so that a second run meets known devices."""
    drawn = random.Random(seed)  # noqa: S311 - a simulation
    members = [_plan_pi(index, drawn) for index in range(pis)]
    members += [_plan_datalogger(index, drawn) for index in range(dataloggers)]
    members += [_plan_gateway(index, drawn) for index in range(gateways)]
    members += [_plan_station(index, prefix) for index in range(stations)]
    drawn.shuffle(members)
    return [member._replace(number=number) for number, member in enumerate(members)]


def _plan_pi(index: int, drawn: random.Random) -> Spec:
    round_number, place = divmod(index, len(HOSTNAMES))
    name = f"pi-{HOSTNAMES[place]}{round_number + 1 if round_number else ''}"
    return Spec(0, "pi", f"{drawn.getrandbits(48):012x}", name, "", "raspberry_pi", _habit("pi", index), index % 4 == 2)


def _plan_datalogger(index: int, drawn: random.Random) -> Spec:
    site = SITES[index % len(SITES)]
    kind = DATALOGGER_TYPES[index % len(DATALOGGER_TYPES)]
    serial = f"DL{drawn.randrange(10**6):06d}-{index}"
    return Spec(0, "datalogger", serial, str(index + 1), site, kind, _habit("datalogger", index), bound=False)


def _plan_gateway(index: int, drawn: random.Random) -> Spec:
    site = SITES[index % len(SITES)]
    serial = f"GW{drawn.randrange(10**6):06d}-{index}"
    return Spec(0, "gateway", serial, str(index + 1), site, "", _habit("gateway", index), bound=False)


def _plan_station(index: int, prefix: str) -> Spec:
    round_number, place = divmod(index, len(PLACES))
    name = f"soil-{PLACES[place]}{round_number + 1 if round_number else ''}"
    return Spec(0, "sensor", name, name, prefix, "soil", _habit("sensor", index), bound=False)


def _habit(family: Family, index: int) -> Habit:
    habits = _HABITS[family]
    return habits[index % len(habits)]
