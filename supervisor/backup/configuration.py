"""The files by which a server is configured: the TOML file, what lies beside it in `/etc/muster`, what it names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from supervisor.server.config import SYSTEM_FILE, Config

#: Fields with the name of a file, beside those that end in `_file`.
_FILE_FIELDS: Final = frozenset({"ca", "cert", "key"})


def configuration_places(file: Path | None, config: Config, cwd: Path) -> tuple[Path, ...]:
    """Return the files, and the directory of the system's configuration where that is the one in use.

    Args:
        file: the TOML file, None without one.
        config: what it says, with what the environment has added.
        cwd: to which the names in it are relative.

    """
    named = [cwd / Path(name).expanduser() for name in _named_files(config)]
    own = [] if file is None else [file.parent if file == SYSTEM_FILE else file]
    return tuple(dict.fromkeys([*own, *named]))


def configuration_files(places: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Return the files of these places, and those that cannot be read."""
    found = [
        path
        for place in places
        for path in (sorted(place.rglob("*")) if place.is_dir() else [place])
        if path.is_file() and not path.is_symlink()
    ]
    files = list(dict.fromkeys(path.absolute() for path in found))
    left_out = [f"{path}: cannot be read" for path in files if not os.access(path, os.R_OK)]
    return [path for path in files if os.access(path, os.R_OK)], left_out


def _named_files(section: Any) -> Iterator[str]:
    """Yield the names of files in a section and below."""
    if isinstance(section, msgspec.Struct):
        for name in section.__struct_fields__:
            value = getattr(section, name)
            if isinstance(value, str):
                if value and (name.endswith("_file") or name in _FILE_FIELDS):
                    yield value
            else:
                yield from _named_files(value)
    elif isinstance(section, tuple | list):
        for item in section:
            yield from _named_files(item)
    elif isinstance(section, dict):
        for item in section.values():
            yield from _named_files(item)
