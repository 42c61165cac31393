"""Real releases of Muster in little time: one wheel is built, every version is a copy of it with another number."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import sysconfig
import zipfile
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path

from supervisor.release.archive import write_release
from supervisor.release.keys import PrivateKey
from supervisor.release.manifest import Manifest
from supervisor.release.platform import own_platform
from tests.release.support import listed


def make_version(
    wheel: Path, directory: Path, version: str, changed: Mapping[str, str] | None = None, *, lent: bool = True
) -> Path:
    """Copy Muster's wheel as another version; `changed` are modules with other content, by path.

    With `lent` it finds what it depends on among the test's own packages.
    """
    made = directory / f"muster_fleet-{version}-py3-none-any.whl"
    old = re.match(r"(muster_fleet-[^-]+)-", wheel.name)[1]
    contents = dict(changed or {})
    contents["actors/version.py"] = f'"""The version."""\n\n__version__ = "{version}"\n'
    if lent:
        contents["lent.pth"] = sysconfig.get_path("purelib") + "\n"
    files: dict[str, bytes] = {}
    with zipfile.ZipFile(wheel) as source:
        for name in source.namelist():
            inner = name.replace(f"{old}.dist-info", f"muster_fleet-{version}.dist-info")
            text = source.read(name)
            if inner.endswith("METADATA"):
                text = re.sub(rb"^Version: .*$", f"Version: {version}".encode(), text, count=1, flags=re.MULTILINE)
            if not inner.endswith("RECORD"):
                files[inner] = text
    files |= {name: text.encode() for name, text in contents.items()}
    return _write_wheel(made, files, f"muster_fleet-{version}.dist-info/RECORD")


def repack(name: str, directory: Path) -> Path:
    """Make a wheel of a package that the tests run with: no index is asked."""
    found = distribution(name)
    info = next(file.parts[0] for file in found.files if file.name == "METADATA")
    tag = re.search("^Tag: (.*)$", found.read_text("WHEEL"), re.MULTILINE)[1]
    files = {
        str(file): file.locate().read_bytes()
        for file in found.files
        if file.parts[0] != ".." and file.suffix != ".pyc" and file.name not in ("RECORD", "INSTALLER", "REQUESTED")
    }
    return _write_wheel(directory / f"{info.removesuffix('.dist-info')}-{tag}.whl", files, f"{info}/RECORD")


def _write_wheel(path: Path, files: Mapping[str, bytes], record: str) -> Path:
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            target.writestr(name, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            writer.writerow((name, f"sha256={digest}", len(content)))
        writer.writerow((record, "", ""))
        target.writestr(record, rows.getvalue())
    return path


def pack(wheels: list[Path], directory: Path, version: str, *signers: PrivateKey, **changes) -> Path:
    """Make a release of wheels, of which the first is Muster's."""
    manifest = {
        "format": 1,
        "name": "muster-fleet",
        "version": version,
        "created": "2026-01-01T00:00:00.000Z",
        "platforms": (own_platform(),),
        "files": tuple(listed(wheel) for wheel in wheels),
    }
    path = directory / f"muster-fleet-{version}.muster"
    write_release(path, Manifest(**(manifest | changes)), wheels[0].parent, signers)
    return path


class Shop:
    """Builds releases of one key."""

    def __init__(self, directory: Path, wheel: Path) -> None:
        self.directory, self.key = directory, PrivateKey.generate("the tests")
        self.wheel = wheel

    def make(self, version: str, changed: Mapping[str, str] | None = None, *, key: PrivateKey | None = None) -> Path:
        directory = self.directory / f"{version}-{len(list(self.directory.iterdir()))}"
        directory.mkdir()
        return pack([make_version(self.wheel, directory, version, changed)], directory, version, key or self.key)
