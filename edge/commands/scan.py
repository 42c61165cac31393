"""`muster-edge scan`: queues scans through the same outbox as the scanners, whether the edge runs or not."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from edge.client import EdgeUnreachableError, queue_scan
from edge.commands.common import WRONG_USAGE, complain, make_parser, read_settings
from edge.home import Places
from edge.identity import identify
from edge.scans import BadCodeError, make_scan

if TYPE_CHECKING:
    from edge.settings import EdgeSettings

SCANNER = "manual"
"""What such a scan says it was read by."""


def main(arguments: Sequence[str]) -> int:
    """Queue each code; return 1 if one could not be kept."""
    parser = make_parser("scan", "Queue scans by hand or from a script. They are on the disk when this returns.")
    parser.add_argument("code", nargs="+", metavar="CODE", help="what was read; - reads one code per line from stdin")
    parser.add_argument("--symbology", metavar="NAME", help="what kind of code it is (default: found out)")
    parser.add_argument("--json", action="store_true", help="print each scan as JSON")
    given, settings = read_settings(parser, arguments)
    if settings is None:
        return WRONG_USAGE
    return _queue(settings, _codes(given.code), symbology=given.symbology, as_json=given.json)


def _codes(given: Sequence[str]) -> Iterable[str]:
    for code in given:
        if code == "-":
            yield from (line.rstrip("\r\n") for line in sys.stdin)
        else:
            yield code


def _queue(settings: EdgeSettings, codes: Iterable[str], *, symbology: str | None, as_json: bool) -> int:
    home = Places(settings.home)
    home.path.mkdir(mode=0o750, parents=True, exist_ok=True)
    device_id = identify(home.identity, configured=settings.device_id).device_id
    destinations = _destinations(settings, home, device_id)
    for code in codes:
        try:
            item = make_scan(device_id, code, symbology=symbology, scanner=SCANNER, now_us=time.time_ns() // 1000)
            queue_scan(home, item, destinations=destinations)
        except (BadCodeError, EdgeUnreachableError) as error:
            complain(str(error))
            return 1
        sys.stdout.write(f"{item.payload.decode() if as_json else item.id}\n")
        sys.stdout.flush()
    return 0


def _destinations(settings: EdgeSettings, home: Places, device_id: str) -> tuple[str, ...]:
    from edge.bearings import Bearings

    hub = Bearings(home, settings, device_id).hub()
    return ("server", "hub") if hub else ("server",)
