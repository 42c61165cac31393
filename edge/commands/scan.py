"""`muster-edge scan`: queues scans through the same outbox as the scanners, whether the edge runs or not."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge.client import EdgeUnreachableError, queue_scan
from edge.commands.common import WRONG_USAGE, complain, make_parser, read_settings
from edge.home import become_owner
from edge.identity import IdentityError
from edge.scans import BadCodeError, new_scan

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
    try:
        become_owner(Path(settings.data_dir))
    except OSError as error:
        complain(f"The data directory {settings.data_dir} cannot be used: {error.strerror}.")
        return 1
    return _queue(settings, _codes(given.code), symbology=given.symbology, as_json=given.json)


def _codes(given: Sequence[str]) -> Iterable[str]:
    for code in given:
        if code == "-":
            lines = (line.rstrip("\r\n") for line in sys.stdin)
            yield from (line for line in lines if line.strip())
        else:
            yield code


def _queue(settings: EdgeSettings, codes: Iterable[str], *, symbology: str | None, as_json: bool) -> int:
    for code in codes:
        try:
            scan = new_scan(code, symbology=symbology, scanner=SCANNER, now_us=time.time_ns() // 1000)
            kept = queue_scan(settings, scan)
        except (BadCodeError, EdgeUnreachableError, IdentityError) as error:
            complain(str(error))
            return 1
        sys.stdout.write(f"{kept if as_json else json.loads(kept)['scan_id']}\n")
        sys.stdout.flush()
    return 0
