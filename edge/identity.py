"""Who this board is: the same after every reboot, on every interface, with a new card in the same board.

In this order: the serial number of the CPU; the MAC of a permanent interface; an id that is drawn once. It is kept in a
record. A record that came with a copied card is not believed: it lists the permanent MACs of the board it was made on,
and a board that has others is another board.
"""

from __future__ import annotations

import logging
import re
import secrets
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from supervisor.process.private_file import write_private

logger = logging.getLogger(__name__)

Source = Literal["configured", "cpu", "mac", "generated"]

_CPUINFO_SERIAL = re.compile(r"^Serial\s*:\s*([0-9A-Fa-f]+)\s*$", re.MULTILINE)
_SERIAL = re.compile(r"[0-9A-Za-z]{4,64}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_PERMANENT = "0"
"""`addr_assign_type` of a MAC that the hardware brought along (NET_ADDR_PERM, linux/netdevice.h)."""


class IdentityError(Exception):
    """It cannot be told who this board is; the message is one sentence."""


class Identity(msgspec.Struct, frozen=True):
    """The id of a device and where it is from."""

    device_id: str
    source: Source
    macs: tuple[str, ...] = ()
    """The permanent MACs of the board, as they were when the id was chosen."""


class Board(NamedTuple):
    """Where a board says who it is; another root for tests."""

    root: Path = Path("/")

    def cpu_serial(self) -> str:
        """Return the serial number of the CPU in small letters; empty where there is none."""
        for text in (self._read("proc/device-tree/serial-number"), self._cpuinfo_serial()):
            serial = text.strip("\0 \n").lower()
            if _SERIAL.fullmatch(serial) and serial.strip("0"):
                return serial
        return ""

    def permanent_macs(self) -> tuple[str, ...]:
        """Return the MACs of the interfaces that are hardware: on board before USB, wired before wireless."""
        found = []
        for interface in (self.root / "sys/class/net").glob("*"):
            mac = _read(interface / "address").lower()
            hardware = (interface / "device").exists() and _read(interface / "addr_assign_type") == _PERMANENT
            # The second bit of the first byte marks an address that somebody has made up (IEEE 802, 8.2).
            if hardware and _MAC.fullmatch(mac) and not int(mac[:2], 16) & 2:
                usb = "/usb" in str((interface / "device").resolve())
                wireless = (interface / "wireless").exists()
                found.append((usb, wireless, interface.name, mac))
        return tuple(mac for *_, mac in sorted(found))

    def boot_id(self) -> str:
        """Return what the kernel drew at this boot; empty where it does not tell."""
        return self._read("proc/sys/kernel/random/boot_id").strip()

    def _cpuinfo_serial(self) -> str:
        match = _CPUINFO_SERIAL.search(self._read("proc/cpuinfo"))
        return match[1] if match else ""

    def _read(self, path: str) -> str:
        return _read(self.root / path, strip=False)


def identify(record: Path, *, configured: str = "", board: Board | None = None, strict: bool = False) -> Identity:
    """Return who we are, and keep it where it could not be found out again.

    Args:
        record: the file of the record; its directory exists.
        configured: wins over everything, and is not kept.
        board: where the board says who it is.
        strict: whether a record that may not be read or written is an error. A command needs the identity of the edge
            and no other; an edge that runs goes on with another one rather than not at all.

    Raises:
        IdentityError: `strict`, and the identity depends on a record that cannot be used.

    """
    board = board or Board()
    macs = board.permanent_macs()
    if configured:
        return Identity(configured, "configured", macs)
    serial = board.cpu_serial()
    if serial:
        return _keep(record, Identity(serial, "cpu", macs))
    if strict:
        _check(record)
    known = _recall(record, macs)
    if known is not None:
        return known
    if macs:
        return _keep(record, Identity(macs[0].replace(":", ""), "mac", macs))
    return _keep(record, Identity(f"edge-{secrets.token_hex(8)}", "generated"), strict=strict)


def _check(record: Path) -> None:
    try:
        record.read_bytes()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise IdentityError(
            f"The identity of this device in {record} cannot be read ({error.strerror}); ask as the user of the edge,"
            " or start the edge."
        ) from None


def _recall(record: Path, macs: tuple[str, ...]) -> Identity | None:
    """Return the identity of the record, unless it is that of another board."""
    try:
        known = msgspec.json.decode(record.read_bytes(), type=Identity)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        logger.warning("The identity in %s cannot be read (%s); a new one is found.", record, error)
        return None
    shared = set(macs) & set(known.macs)
    if not shared and (known.source == "cpu" or (macs and known.macs)):
        logger.warning("The identity %s in %s is that of another board; a new one is found.", known.device_id, record)
        return None
    if macs and not known.macs:  # it was drawn before an interface was there; from now on it belongs to this board
        return _keep(record, msgspec.structs.replace(known, macs=macs))
    return known


def _keep(record: Path, identity: Identity, *, strict: bool = False) -> Identity:
    """Write the record if it says something else; a disk that refuses it costs an identity that was drawn, no more."""
    content = msgspec.json.encode(identity)
    try:
        if not record.exists() or record.read_bytes() != content:
            write_private(record, content, durable=True)
    except OSError as error:
        if strict:
            raise IdentityError(f"The identity of this device cannot be kept in {record} ({error.strerror}).") from None
        logger.error("The identity cannot be kept in %s: %s.", record, error.strerror)  # noqa: TRY400 - says it all
    return identity


def _read(path: Path, *, strip: bool = True) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.strip() if strip else text
