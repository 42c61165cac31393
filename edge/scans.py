"""What a scan is: one item for the outbox, made the same way for a scanner, a script and a hand."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import msgspec

from actors.barcodes import identify
from actors.clock_quality import clock_quality
from actors.outbox_file import Item
from actors.timestamps import rfc3339

KIND = "scan"
"""The kind of our items in the outbox."""
LONGEST_CODE = 4096
"""Characters; the server refuses a longer one."""
LONGEST_NAME = 64
"""Characters of a symbology and of a scanner; the server refuses a longer symbology."""
CONTROLS = "\t\x04\x1c\x1d\x1e\x1f"
"""Control characters that codes contain: tab, and those of ISO/IEC 15434 (EOT, FS, GS, RS, US)."""
_NO_CONTROLS = str.maketrans("", "", CONTROLS)


class BadCodeError(ValueError):
    """The code cannot be a scan; the message is one sentence."""


Name = Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]


class NewScan(msgspec.Struct, frozen=True):
    """What was read by hand or by a script, before it is known whose scan it is."""

    code: Annotated[str, msgspec.Meta(max_length=LONGEST_CODE)]
    scan_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{12}-[0-9a-f]{16}\Z")]
    symbology: Name | None = None
    scanner: Name = ""


def new_scan(code: str, *, symbology: str | None = None, scanner: str = "", now_us: int) -> NewScan:
    """Return what was read under an id of its own: offered twice it is kept once.

    Raises:
        BadCodeError: see `check_code`; or the symbology is too long, or not printable.

    """
    check_code(code)
    check_symbology(symbology)
    return NewScan(code, make_scan_id(now_us), symbology, scanner)


def make_scan_id(now_us: int) -> str:
    """Return an id that begins with the time and never comes twice."""
    return f"{now_us // 1000:012x}-{secrets.token_hex(8)}"


def make_scan(
    device_id: str,
    code: str,
    *,
    symbology: str | None = None,
    scanner: str = "",
    clock: str | None = None,
    now_us: int,
    scan_id: str = "",
) -> Item:
    """Return a scan as the outbox keeps it.

    Args:
        device_id: who scanned; the topic bears it.
        code: the text, see `check_code`.
        symbology: what the code is, where somebody knows; None reads it off the text.
        scanner: which scanner read it.
        clock: the quality of our clock, `ntp` or `unsynced`; None asks the machine.
        now_us: when, microseconds since 1970 UTC.
        scan_id: its id; empty draws one.

    Raises:
        BadCodeError: the code is empty, too long or has control characters, or the symbology is no name.

    """
    check_code(code)
    check_symbology(symbology)
    found = identify(code)
    scan_id = scan_id or make_scan_id(now_us)
    body: dict[str, Any] = {
        "scan_id": scan_id,
        "device_id": device_id,
        "code": code,
        "symbology": found.symbology if symbology is None else symbology,
        "valid": found.valid if symbology in (None, found.symbology) else None,
        "timestamp": rfc3339(now_us),
        "scanner": scanner,
        "clock": clock or clock_quality(),
    }
    return Item(scan_id, KIND, scan_topic(device_id), msgspec.json.encode(body), now_us)


def scan_topic(device_id: str) -> str:
    """Return the topic of a device's scans."""
    return f"devices/{device_id}/scans"


def check_code(code: str) -> None:
    """Refuse what can be no code: empty, too long, or with control characters beside `CONTROLS`.

    Raises:
        BadCodeError: with the reason.

    """
    if not 0 < len(code) <= LONGEST_CODE:
        raise BadCodeError(f"a code has 1 to {LONGEST_CODE} characters, not {len(code)}.")
    if not code.translate(_NO_CONTROLS).isprintable():
        raise BadCodeError("a code has only printable characters, tabs and separators (ASCII 4 and 28 to 31).")


def check_symbology(symbology: str | None) -> None:
    """Refuse what the server would not take as the name of a symbology.

    Raises:
        BadCodeError: with the reason.

    """
    if symbology is not None and (len(symbology) > LONGEST_NAME or not symbology.isprintable()):
        raise BadCodeError(f"a symbology has at most {LONGEST_NAME} printable characters.")
