"""`python -m supervisor.demo`: starts a few processes, each of which is a part of the simulated fleet."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from supervisor.server.child import ChildProcess, python_module

from .fleet import Spec, plan_fleet
from .schedule import Schedule

#: Seconds between two devices' first appearances: one after the other is easier to watch.
_STAGGER = 0.4
#: Seconds for all connections of a part to end; what is left ends with the process.
_STOP_WITHIN = 0.7


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the whole fleet, or with `--part K/N` one process's share of it, until SIGTERM or SIGINT."""
    options = _parse(arguments)
    if not options.broker:
        sys.stderr.write("python -m supervisor.demo: --broker URL (or MUSTER_BROKER_URL) is needed.\n")
        return 2
    fleet = plan_fleet(options.pis, options.dataloggers, options.gateways, seed=options.seed)
    if options.part:
        part, parts = (int(number) for number in options.part.split("/"))
        return run_part(fleet[part::parts], options)
    return _run_parts(options)


def run_part(specs: Sequence[Spec], options: argparse.Namespace) -> int:
    """Run some devices in this process."""
    from .device import build_device

    schedule = Schedule()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: schedule.stop())
    devices = [build_device(spec, options.broker, schedule, speed=options.speed, seed=options.seed) for spec in specs]
    for spec, device in zip(specs, devices, strict=True):
        schedule.after(spec.number * _STAGGER / options.speed, device.start)
    schedule.run()
    for device in devices:
        device.leave()
    _stop_together(devices)
    return 0


def _stop_together(devices: Sequence[Any]) -> None:
    """End all connections at the same time: without its broker each of them may take a second to notice."""
    stoppers = [threading.Thread(target=device.stop, daemon=True) for device in devices]
    for stopper in stoppers:
        stopper.start()
    deadline = time.monotonic() + _STOP_WITHIN
    for stopper in stoppers:
        stopper.join(max(0.0, deadline - time.monotonic()))


def _run_parts(options: argparse.Namespace) -> int:
    """Start the parts and wait; if one of them ends by itself, end with it."""
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    parts = [_part(options, part) for part in range(options.processes)]
    for part in parts:
        part.start()
    while all(part.running for part in parts) and not done.wait(0.2):
        continue
    for part in parts:
        part.ask_stop()
    for part in parts:
        part.stop()
    return 0 if done.is_set() else 1


def _part(options: argparse.Namespace, part: int) -> ChildProcess:
    sizes = [f"--{name}={getattr(options, name)}" for name in ("pis", "dataloggers", "gateways", "speed", "seed")]
    command, env = python_module("supervisor.demo", f"--part={part}/{options.processes}", *sizes)
    return ChildProcess(f"demo part {part}", command, env={**env, "MUSTER_BROKER_URL": options.broker})


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m supervisor.demo", description=__doc__)
    parser.add_argument("--broker", default=os.environ.get("MUSTER_BROKER_URL", ""), help="mqtt://host:port")
    parser.add_argument("--pis", type=int, default=6)
    parser.add_argument("--dataloggers", type=int, default=4)
    parser.add_argument("--gateways", type=int, default=3)
    parser.add_argument("--speed", type=float, default=1.0, help="2 is twice as lively")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--part", default="", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
