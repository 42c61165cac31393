"""`muster-edge scan-test`: shows what the scanners read, through the very actors that read them for the edge.

Nothing is kept or sent: where the edge has its outbox there is a printer here.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from actors.barcodes import identify
from actors.outbox import Put
from actors.runtime import Directory, PooledActor, Runtime
from edge.commands.common import WRONG_USAGE, complain, make_parser, read_settings
from edge.scanner.devices import Device, Verdict, judge, list_devices
from edge.scanner.settings import ScannerSettings
from edge.scanner.tree import ScannerParts, scanners_spec
from supervisor import ChildSpec, Root, Supervisor

PRINTER = "printer"
CONTROL_PICTURES = {code: 0x2400 + code for code in range(32)}
"""Control characters to the characters that stand for them (`\x1d` to `␝`), for the eye."""
STOP_TIMEOUT = 5.0


def main(arguments: Sequence[str]) -> int:
    """Run the command on the arguments behind its name; return 0 for done, 1 for failed, 2 for wrong usage."""
    options, edge = read_settings(_parser(), arguments)
    if edge is None:
        return WRONG_USAGE
    show = Show(as_json=options.json)
    if options.stdin:
        return _read_lines(show)
    devices = list_devices(edge.scanner)
    only = None if options.device is None else options.device.resolve()
    if only is not None and only not in (device.path.resolve() for device in devices):
        known = ", ".join(str(device.path) for device in devices) or "none"
        complain(f"{options.device} is no input device; there are: {known}.")
        return 1
    if only is None and not any(judge(device, edge.scanner).is_scanner for device in devices):
        _note("No scanner is plugged in; waiting for one.")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("edge.scanner").setLevel(logging.INFO)
    return _read_scanners(edge.scanner, show, only)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "scan-test",
        "Show what the scanners read, until Ctrl-C; nothing is kept or sent. Stop the edge first: it has its scanners"
        " for itself.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per code")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--device", metavar="D", type=Path, help="read this device, whatever it is, and no other")
    source.add_argument("--stdin", action="store_true", help="judge the lines of the standard input instead")
    return parser


class Show:
    """Prints codes."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def code(self, fields: Mapping[str, Any]) -> None:
        """Print one; `fields` are those of a scan."""
        shown = {
            name: fields[name] for name in ("code", "symbology", "valid", "scanner", "timestamp") if name in fields
        }
        if self._as_json:
            line = msgspec.json.encode(shown).decode()
        else:
            verdict = {True: "valid", False: "WRONG CHECK DIGIT", None: ""}[fields["valid"]]
            line = "  ".join(filter(None, (_visible(fields["code"]), fields["symbology"], verdict)))
        print(line, flush=True)  # noqa: T201 - what the command is for


class Printer(PooledActor):
    """Stands where the outbox is: prints what it is given and says that it has it."""

    def __init__(self, show: Show) -> None:
        super().__init__()
        self._show = show

    def on_receive(self, message: Any) -> None:
        """Print the scans of a Put."""
        if isinstance(message, Put):
            for item in message.items:
                self._show.code(msgspec.json.decode(item.payload))
            if message.reply_to is not None:
                message.reply_to.set(len(message.items))


def _read_lines(show: Show) -> int:
    for line in sys.stdin:
        code = line.rstrip("\r\n")
        if code:
            symbology, valid = identify(code)
            show.code({"code": code, "symbology": symbology, "valid": valid})
    return 0


def _read_scanners(settings: ScannerSettings, show: Show, only: Path | None) -> int:
    """Read until Ctrl-C: all scanners, or one device whether it is a scanner or not."""

    def choose(device: Device) -> Verdict:
        return Verdict(device.path.resolve() == only, "another one was named") if only else judge(device, settings)

    runtime, directory = Runtime.system(), Directory()
    settings = msgspec.structs.replace(settings, enabled=True)
    parts = ScannerParts(runtime, directory, settings, "scan-test", outbox=PRINTER, choose=choose)
    children = (ChildSpec(PRINTER, lambda: Printer(show)), scanners_spec(parts))
    # What a supervisor logs of an ordered stop says nothing to who pressed Ctrl-C.
    logging.getLogger("supervisor").setLevel(logging.ERROR)
    runtime.start()
    root = Root(runtime, Supervisor(runtime=runtime, directory=directory, children=children))
    try:
        root.wait_exit()
    except KeyboardInterrupt:
        _note("")
    finally:
        root.stop(STOP_TIMEOUT)
        runtime.stop()
    return 0 if root.exit is None or root.exit.error is None else 1


def _visible(code: str) -> str:
    return code.translate(CONTROL_PICTURES)


def _note(line: str) -> None:
    """Say something that is no code."""
    sys.stderr.write(f"{line}\n")
