"""The scanners' part of the edge's tree, one literal: who keeps what was read, who reads, who looks for devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from actors.runtime import Directory, Runtime
from edge.scanner.board import ScannerBoard, ScannerStatus
from edge.scanner.devices import Device, Verdict, judge
from edge.scanner.reader import ScannerReader
from edge.scanner.saver import ScanSaver
from edge.scanner.settings import ScannerSettings
from edge.scanner.watcher import ScannerWatcher
from supervisor import ChildSpec, DynamicSupervisor, Supervisor

SAVER, READERS, WATCHER = "scanner.saver", "scanner.readers", "scanner.watcher"
MOST_SCANNERS = 32
"""Each has a thread."""
HANG_AFTER = 30.0
"""Seconds that one round of a scanner's actor may take; all of them take milliseconds."""


@dataclass(frozen=True, slots=True)
class ScannerParts:
    """What the scanners need of the edge."""

    runtime: Runtime
    directory: Directory
    """Where the outbox is found, and our own names."""
    settings: ScannerSettings
    device_id: str
    outbox: str = "outbox"
    """Name of the outbox in the directory."""
    board: ScannerBoard = field(default_factory=ScannerBoard)
    choose: Callable[[Device], Verdict] | None = None
    """Which devices are read; None follows the settings."""


def scanners_spec(parts: ScannerParts) -> ChildSpec:
    """Return the child `scanners`; it runs nothing when scanners are switched off."""
    return ChildSpec("scanners", lambda: _scanners(parts) if parts.settings.enabled else None)


def _scanners(parts: ScannerParts) -> Supervisor:
    return Supervisor(
        runtime=parts.runtime,
        directory=parts.directory,
        children=(
            ChildSpec(SAVER, lambda: _saver(parts)),
            ChildSpec(READERS, lambda: _readers(parts)),
            ChildSpec(WATCHER, lambda: _watcher(parts), hang_after=HANG_AFTER),
        ),
    )


def _saver(parts: ScannerParts) -> ScanSaver:
    return ScanSaver(outbox=parts.outbox, directory=parts.directory, runtime=parts.runtime, board=parts.board)


def _readers(parts: ScannerParts) -> DynamicSupervisor:
    """Return the supervisor of the readers: one that keeps crashing is parked and disturbs no other."""
    parts.board.scanners.clear()  # those of an earlier incarnation of the supervisor have ended with it
    return DynamicSupervisor(
        runtime=parts.runtime,
        per_child=True,
        max_children=MOST_SCANNERS,
        template=ChildSpec(
            "scanner", lambda _id, device: _reader(parts, device), restart="transient", hang_after=HANG_AFTER
        ),
    )


def _reader(parts: ScannerParts, device: Device) -> ScannerReader:
    """Return a reader; from now on the board says that the scanner has one. Counts survive a crash."""
    status = parts.board.scanners.get(device.id)
    if status is None or status.device.node != device.node:
        status = parts.board.scanners[device.id] = ScannerStatus(device=device)
    return ScannerReader(
        status,
        settings=parts.settings,
        device_id=parts.device_id,
        saver=SAVER,
        directory=parts.directory,
        runtime=parts.runtime,
        board=parts.board,
    )


def _watcher(parts: ScannerParts) -> ScannerWatcher:
    return ScannerWatcher(
        settings=parts.settings,
        choose=parts.choose or (lambda device: judge(device, parts.settings)),
        readers=READERS,
        directory=parts.directory,
        runtime=parts.runtime,
        board=parts.board,
    )
