"""Building a release: Muster's wheel and, for each platform, the wheels of all that it needs."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import Final
from zipfile import BadZipFile, ZipFile

from actors.timestamps import rfc3339
from supervisor.release.archive import SUFFIX, write_release
from supervisor.release.keys import PrivateKey
from supervisor.release.manifest import FORMAT, Manifest, ReleaseFile
from supervisor.release.platform import own_platform, pip_options
from supervisor.release.versions import is_version

EXTRAS: Final = ("edge", "scanner", "ota")
OPTIONAL: Final = ("scanner",)
"""Extras that are left out for a platform for which the index has no wheel: evdev has none for ARM."""
_PIP_TIMEOUT: Final = 900
"""Seconds."""


class BuildError(Exception):
    """A release cannot be built; the message says why, with the last lines of pip."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What goes into a release."""

    source: Path
    """A directory with Muster's sources, or a wheel of it."""
    platforms: Sequence[str]
    extras: Sequence[str] = EXTRAS
    replaces_from: str = ""
    wheels: Path | None = None
    """A directory with wheels that are taken before the index's."""
    offline: bool = False
    """Ask no index."""


def build_release(
    recipe: Recipe, directory: Path, *, now_us: int, signers: Sequence[PrivateKey] = (), say: Callable[[str], None]
) -> Path:
    """Build a release in a directory and return its path.

    Args:
        recipe: what goes into it.
        directory: where the file is made, `NAME-VERSION.muster`.
        now_us: microseconds since 1970, for its record.
        signers: who signs; without any it has to be signed later.
        say: is told, a line each, what is being done and what was left out.

    Raises:
        BuildError: pip finds no wheel, the source is none, or a version is not one.
        OSError: the disk.

    """
    if recipe.replaces_from and not is_version(recipe.replaces_from):
        raise BuildError(f"`{recipe.replaces_from}` is no version.")
    with tempfile.TemporaryDirectory(prefix="muster-release-") as scratch:
        pool = Path(scratch) / "pool"
        pool.mkdir()
        main = _own_wheel(recipe, Path(scratch), say)
        name, version, python = _describe(main)
        found: dict[str, list[str]] = {}
        for platform in recipe.platforms:
            for wheel in _collect(recipe, main, platform, pool, say):
                found.setdefault(wheel, []).append(platform)
        manifest = Manifest(
            format=FORMAT,
            name=name,
            version=version,
            created=rfc3339(now_us),
            requires_python=python,
            platforms=tuple(recipe.platforms),
            requirements=(f"{name}[{','.join(recipe.extras)}]=={version}",),
            replaces_from=recipe.replaces_from or None,
            files=_list(pool, found, recipe.platforms),
        )
        path = directory / f"{name}-{version}{SUFFIX}"
        directory.mkdir(parents=True, exist_ok=True)
        write_release(path, manifest, pool, signers)
    return path


def _own_wheel(recipe: Recipe, scratch: Path, say: Callable[[str], None]) -> Path:
    """Return the wheel of Muster itself, built where the source is a directory."""
    source = recipe.source.absolute()
    if source.is_file() and source.suffix == ".whl":
        return source
    if not any((source / name).is_file() for name in ("pyproject.toml", "setup.py")):
        raise BuildError(f"{recipe.source} is neither a wheel nor a directory with a pyproject.toml.")
    say(f"building the wheel of {source}")
    made = scratch / "own"
    # An index that must not be asked has no setuptools to build with either.
    options = ["--no-build-isolation", "--no-index"] if recipe.offline else []
    _pip("wheel", "--no-deps", "--wheel-dir", str(made), *options, str(source))
    wheels = list(made.glob("*.whl"))
    if len(wheels) != 1:
        raise BuildError(f"{source} became {len(wheels)} wheels, not one.")
    return wheels[0]


def _describe(wheel: Path) -> tuple[str, str, str]:
    """Return name, version and required Python of a wheel (the core metadata, PEP 566)."""
    try:
        with ZipFile(wheel) as archive:
            inner = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            told = HeaderParser().parsestr(archive.read(inner).decode("utf-8", "replace"))
    except (BadZipFile, StopIteration, OSError):
        raise BuildError(f"{wheel} is no wheel.") from None
    return str(told["Name"]), str(told["Version"]), str(told["Requires-Python"] or "")


def _collect(recipe: Recipe, main: Path, platform: str, pool: Path, say: Callable[[str], None]) -> list[str]:
    """Put what a platform needs into the pool; return the names of the files."""
    left_out: tuple[str, ...] = ()
    while True:
        extras = [extra for extra in recipe.extras if extra not in left_out]
        say(f"collecting {main.name}[{','.join(extras)}] for {platform}")
        try:
            return _download(recipe, f"{main}[{','.join(extras)}]", platform, pool)
        except BuildError as error:
            rest = [extra for extra in extras if extra in OPTIONAL]
            if not rest:
                raise
            left_out = (*left_out, rest[0])
            say(f"left out for {platform}: `{rest[0]}`, for which there is no wheel ({_last(str(error))})")


def _download(recipe: Recipe, requirement: str, platform: str, pool: Path) -> list[str]:
    sources = ["--find-links", str(recipe.wheels.absolute())] if recipe.wheels else []
    if recipe.offline:
        sources.append("--no-index")
    with tempfile.TemporaryDirectory(dir=pool.parent) as place:
        if platform == own_platform():
            # Here, what has no wheel can be compiled.
            _pip("wheel", "--wheel-dir", place, *sources, requirement)
        else:
            _pip("download", "--dest", place, "--only-binary", ":all:", *pip_options(platform), *sources, requirement)
        names = []
        for wheel in Path(place).glob("*.whl"):
            wheel.replace(pool / wheel.name)
            names.append(wheel.name)
    return names


def _list(pool: Path, found: Mapping[str, Sequence[str]], platforms: Sequence[str]) -> tuple[ReleaseFile, ...]:
    files = []
    for name in sorted(found):
        content = (pool / name).read_bytes()
        everybody = set(found[name]) == set(platforms)
        files.append(
            ReleaseFile(
                name=f"wheels/{name}",
                size=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                platforms=() if everybody else tuple(found[name]),
            )
        )
    return tuple(files)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise BuildError(f"pip took longer than {_PIP_TIMEOUT} seconds.") from None
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise BuildError("pip: " + " ".join(errors[-3:] or ["it said nothing"]))


def _last(text: str) -> str:
    return text.rpartition("ERROR: ")[2][:200]
