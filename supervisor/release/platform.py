"""What a device runs on, in one word, and which wheels that takes."""

from __future__ import annotations

import struct
import sys
import sysconfig

#: The newest glibc (2.N) whose wheels a release takes; Debian 12 and Raspberry Pi OS "bookworm" have 2.36.
_NEWEST_GLIBC = 36
_OLDEST_GLIBC = 17
#: A 32-bit userland on a 64-bit kernel is told the kernel's machine.
_NARROW = {"linux_aarch64": "linux_armv7l", "linux_x86_64": "linux_i686"}


def own_platform() -> str:
    """Return the platform of this interpreter: `cp311-linux_aarch64`."""
    machine = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    if struct.calcsize("P") == 4:
        machine = _NARROW.get(machine, machine)
    return f"cp{sys.version_info.major}{sys.version_info.minor}-{machine}"


def pip_options(platform: str) -> list[str]:
    """Return the options by which pip downloads for another platform."""
    python, _, machine = platform.partition("-")
    options = ["--implementation", "cp", "--python-version", python.removeprefix("cp")]
    for abi in (python, "abi3", "none"):
        options += ["--abi", abi]
    for tag in _tags(machine):
        options += ["--platform", tag]
    return options


def _tags(machine: str) -> list[str]:
    system, _, processor = machine.partition("_")
    if system != "linux":
        return [machine]
    glibc = [f"manylinux_2_{minor}_{processor}" for minor in range(_NEWEST_GLIBC, _OLDEST_GLIBC - 1, -1)]
    return [*glibc, f"manylinux2014_{processor}", machine]
