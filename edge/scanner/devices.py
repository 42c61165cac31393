"""Which input devices there are, and which of them are scanners. Opens none: the kernel describes them in sysfs.

A scanner plays a keyboard, and so does a keyboard, which must never be taken from its user. A device is a scanner if

1. it can type the digits and Enter, and has no mouse button,
2. no `exclude` pattern matches it,
3. an `include` pattern matches it; or it hangs on USB or Bluetooth and its vendor makes scanners and nothing else, or
   its name says that it is one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from edge.scanner import keys
from edge.scanner.settings import ScannerSettings

_BUSES = frozenset({0x03, 0x05})
"""USB and Bluetooth (`linux/input.h`): what a scanner may hang on."""
_BTN_LEFT = 0x110
_WORD = 8 * struct.calcsize("L")
"""Bits in one word of a capability bitmap: those of a `long` of the process that reads it."""
_VENDORS = {
    0x0536: "Hand Held Products",
    0x05E0: "Symbol, Zebra",
    0x05F9: "PSC, Datalogic",
    0x065A: "Opticon",
    0x067E: "Intermec",
    0x080C: "Datalogic",
    0x0C2E: "Metrologic, Honeywell",
    0x1EAB: "Newland",
    0x27DD: "Mindeo",
    0x2DD6: "Mindeo",
}
"""USB vendor ids of makers of scanners."""
_NAMES = re.compile(
    r"bar[ _-]?code|scanner|scan[ _-]?engine|usbscn|\bimager\b|\bkbw\b"
    r"|datalogic|honeywell scan|metrologic|mindeo|netum|newland|opticon|symbol tech|zebra tech",
    re.IGNORECASE,
)
"""What the names of scanners contain (KBW: keyboard wedge)."""
_LONGEST_ID = 64

Stamp = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """One node `event*`; a device plugged in again is another one, though it bears the same id."""

    path: Path
    node: Stamp
    """Device number, inode and time of the node: tells it from its successor of the same name."""
    id: str
    """The same whenever this device is in this port, or has a serial number: `symbol-bar-code-scanner-1.2.0`."""
    name: str
    vendor: int
    product: int
    bus: int
    links: tuple[str, ...] = ()
    """Names in `by-id` and `by-path`."""
    types_digits: bool = False
    """Has the digits and Enter."""
    types_letters: bool = False
    is_mouse: bool = False

    @property
    def usb_id(self) -> str:
        """`vendor:product`, as lsusb shows it."""
        return f"{self.vendor:04x}:{self.product:04x}"

    def matches(self, patterns: tuple[str, ...]) -> bool:
        """Return whether a pattern fits the name, the id, `vendor:product`, the path or a link, in any case."""
        names = [name.lower() for name in (self.name, self.id, self.usb_id, str(self.path), *self.links)]
        return any(fnmatchcase(name, pattern.lower()) for pattern in patterns for name in names)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a device is read."""

    is_scanner: bool
    why: str
    """A part of a sentence."""


def judge(device: Device, settings: ScannerSettings) -> Verdict:
    """Return whether a device is a scanner, and why."""
    if not device.types_digits or device.is_mouse:
        return Verdict(is_scanner=False, why="it cannot type digits and Enter, or is a mouse")
    if device.matches(settings.exclude):
        return Verdict(is_scanner=False, why="a pattern in `exclude` matches it")
    if device.matches(settings.include):
        return Verdict(is_scanner=True, why="a pattern in `include` matches it")
    if device.bus not in _BUSES:
        return Verdict(is_scanner=False, why="it hangs neither on USB nor on Bluetooth")
    if device.vendor in _VENDORS:
        return Verdict(is_scanner=True, why=f"its vendor makes scanners ({_VENDORS[device.vendor]})")
    if _NAMES.search(device.name):
        return Verdict(is_scanner=True, why="its name says so")
    return Verdict(is_scanner=False, why="it may be a keyboard; if it is a scanner, name it in `include`")


def stamp(settings: ScannerSettings) -> Stamp:
    """Return what changes whenever a device or a link to one appears or goes; cheap.

    Times alone would not do: two changes within one tick of the kernel's clock leave the same one.
    """
    directory = Path(settings.device_dir)
    times = (_modified(path) for path in (directory, directory / "by-id", directory / "by-path"))
    return (*times, *(path.name for path in _entries(directory)))


def list_devices(settings: ScannerSettings) -> list[Device]:
    """Return all devices that the kernel describes, in the order of their numbers; each has an id of its own."""
    directory = Path(settings.device_dir)
    links = _links(directory)
    found: dict[str, Device] = {}
    for path in sorted(directory.glob("event*"), key=lambda path: (len(path.name), path.name)):
        device = _describe(path, Path(settings.sys_dir) / path.name / "device", links.get(path.name, ()), found)
        if device is not None:
            found[device.id] = device
    return list(found.values())


def _describe(path: Path, sys: Path, links: tuple[str, ...], taken: dict[str, Device]) -> Device | None:
    """Return the device of a node; None if it has just gone, or the kernel does not say what it is."""
    try:
        status = path.stat()
        name = _read(sys / "name")
        bits = _bits(_read(sys / "capabilities" / "key"))
        bus, vendor, product = (_hex(sys / "id" / field) for field in ("bustype", "vendor", "product"))
    except OSError:
        return None
    device_id = _make_id(name, _read_or_empty(sys / "phys"), _read_or_empty(sys / "uniq"), path.name)
    return Device(
        path=path,
        node=(status.st_rdev, status.st_ino, status.st_ctime_ns),
        id=f"{device_id}-{path.name}" if device_id in taken else device_id,
        name=name,
        vendor=vendor,
        product=product,
        bus=bus,
        links=links,
        types_digits=_all_in(keys.DIGITS | {keys.KEYS["enter"]}, bits),
        types_letters=_all_in(keys.LETTERS, bits),
        is_mouse=bool(bits >> _BTN_LEFT & 1),
    )


def _make_id(name: str, phys: str, uniq: str, node: str) -> str:
    """Return an id of letters, digits, dots and hyphens: of the name and the serial number, else the port.

    Args:
        name: as the device calls itself.
        phys: `usb-3f980000.usb-1.2/input0`: controller, port, interface; empty for devices made of software.
        uniq: serial number, or Bluetooth address; empty where it has none.
        node: name of the node, for what has neither.

    """
    port, _, interface = phys.rpartition("/input")
    where = ".".join(part for part in (uniq or port.rpartition("-")[2], interface) if part)
    words = re.findall(r"[a-z0-9.]+", f"{name} {where or node}".lower())
    return "-".join(words)[-_LONGEST_ID:].strip("-.") or node


def _links(directory: Path) -> dict[str, tuple[str, ...]]:
    """Return the name of a node to the links that point to it."""
    found: dict[str, tuple[str, ...]] = {}
    for link in _entries(directory / "by-id", directory / "by-path"):
        target = link.resolve().name
        found[target] = (*found.get(target, ()), str(link), link.name)
    return found


def _entries(*directories: Path) -> Iterator[Path]:
    for directory in directories:
        try:
            yield from sorted(directory.iterdir())
        except OSError:
            continue


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").strip()


def _read_or_empty(path: Path) -> str:
    try:
        return _read(path)
    except OSError:
        return ""


def _hex(path: Path) -> int:
    try:
        return int(_read(path), 16)
    except ValueError:
        return 0


def _bits(text: str) -> int:
    """Return a capability bitmap as one number: words in hexadecimal, the highest first."""
    number = 0
    for word in text.split():
        try:
            number = number << _WORD | int(word, 16)
        except ValueError:
            return 0
    return number


def _all_in(wanted: frozenset[int], bits: int) -> bool:
    return all(bits >> code & 1 for code in wanted)
