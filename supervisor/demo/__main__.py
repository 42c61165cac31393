"""`python -m supervisor.demo`: starts a few processes, each of which is a part of the simulated fleet."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence

from supervisor.server.child import ChildProcess, python_module

from .fleet import PREFIX, Spec, plan_fleet
from .schedule import Schedule

_FAMILIES = ("pis", "dataloggers", "gateways", "stations")
#: Exit code of a process that SIGKILL ended.
_KILLED = 128 + signal.SIGKILL
#: Seconds between two devices' first appearances: one after the other is easier to watch.
_STAGGER = 0.4
#: Seconds for the goodbyes of a part to be sent; a connection that takes none any more ends with the process.
_GOODBYE_WITHIN = 1.0
#: Seconds that a part has between SIGTERM and SIGKILL: the demo, which waits for its parts, has more.
_PART_GRACE = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the whole fleet, or with `--part K/N` one process's share of it, until SIGTERM or SIGINT."""
    options = _parse(arguments)
    if not options.broker:
        sys.stderr.write("python -m supervisor.demo: --broker URL (or MUSTER_BROKER_URL) is needed.\n")
        return 2
    sizes = (getattr(options, family) for family in _FAMILIES)
    fleet = plan_fleet(*sizes, seed=options.seed, prefix=options.prefix)
    if options.part:
        part, parts = (int(number) for number in options.part.split("/"))
        return run_part(fleet[part::parts], options)
    return _run_parts(options)


def run_part(specs: Sequence[Spec], options: argparse.Namespace) -> int:
    """Run some devices in this process."""
    from .families import build_device

    schedule = Schedule()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: schedule.stop())
    devices = [build_device(spec, options.broker, schedule, speed=options.speed, seed=options.seed) for spec in specs]
    for spec, device in zip(specs, devices, strict=True):
        schedule.after(spec.number * _STAGGER / options.speed, device.start)
    schedule.run()
    goodbyes = [device.leave() for device in devices]
    deadline = time.monotonic() + _GOODBYE_WITHIN
    for goodbye in goodbyes:
        goodbye.wait(max(0.0, deadline - time.monotonic()))
    return 0


def _run_parts(options: argparse.Namespace) -> int:
    """Start the parts and wait; if one of them ends by itself, end with it."""
    # No Event: setting one in a signal handler waits for ever if the signal comes while the main thread tests it.
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked.append(number))
    parts = [_part(options, part) for part in range(options.processes)]
    for part in parts:
        part.start()
    while not asked and all(part.running for part in parts):
        time.sleep(0.1)
    for part in parts:
        part.ask_stop()
    for part in parts:
        part.stop()
    deaf = [part.name for part in parts if part.wait() == _KILLED]
    if deaf:
        sys.stderr.write(f"Killed, because it did not end by itself: {', '.join(deaf)}.\n")
    return 0 if asked and not deaf else 1


def _part(options: argparse.Namespace, part: int) -> ChildProcess:
    same = [f"--{name}={getattr(options, name)}" for name in (*_FAMILIES, "prefix", "speed", "seed")]
    command, env = python_module("supervisor.demo", f"--part={part}/{options.processes}", *same)
    env["MUSTER_BROKER_URL"] = options.broker
    return ChildProcess(f"demo part {part}", command, env=env, grace=_PART_GRACE)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m supervisor.demo", description=__doc__)
    parser.add_argument("--broker", default=os.environ.get("MUSTER_BROKER_URL", ""), help="mqtt://host:port")
    parser.add_argument("--pis", type=int, default=6)
    parser.add_argument("--dataloggers", type=int, default=4)
    parser.add_argument("--gateways", type=int, default=3)
    parser.add_argument("--stations", type=int, default=4)
    parser.add_argument("--prefix", default=PREFIX, help="where the stations publish: {prefix}/sensor/data")
    parser.add_argument("--speed", type=float, default=1.0, help="2 is twice as lively")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--part", default="", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
