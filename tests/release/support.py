"""Wheels of nothing, releases of them, and archives that no honest program writes."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

from supervisor.release.archive import write_release
from supervisor.release.keys import PrivateKey
from supervisor.release.manifest import Manifest, ReleaseFile
from supervisor.release.platform import own_platform


def make_wheel(
    directory: Path,
    name: str = "thing",
    version: str = "1.0",
    *,
    requires: tuple[str, ...] = (),
    extra: dict | None = None,
    tag: str = "py3-none-any",
) -> Path:
    """Write a wheel that pip installs; `extra` are more files in it, by name."""
    path = directory / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    requirements = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        f"Requires-Python: >=3.9\nProvides-Extra: edge\nProvides-Extra: scanner\n{requirements}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        **(extra or {}),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for inner, text in files.items():
            archive.writestr(inner, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{inner},,\n" for inner in [*files, f"{info}/RECORD"]))
    return path


def listed(path: Path, **changes) -> ReleaseFile:
    """The entry of a wheel in a manifest."""
    content = path.read_bytes()
    facts = {"name": f"wheels/{path.name}", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return ReleaseFile(**(facts | changes))


def make_manifest(wheels: list[Path], **changes) -> Manifest:
    facts = {
        "format": 1,
        "name": "thing",
        "version": "1.0",
        "created": "2026-01-01T00:00:00.000Z",
        "platforms": (own_platform(),),
        "files": tuple(listed(wheel) for wheel in wheels),
    }
    return Manifest(**(facts | changes))


def make_release(directory: Path, *signers: PrivateKey, wheels: list[Path] | None = None, **changes) -> Path:
    """Write a release of one wheel, or of these."""
    wheels = wheels or [make_wheel(directory)]
    path = directory / "thing.muster"
    write_release(path, make_manifest(wheels, **changes), wheels[0].parent, signers)
    return path


def raw_archive(path: Path, *members: tuple[tarfile.TarInfo | str, bytes], kind: int = tarfile.USTAR_FORMAT) -> Path:
    """Write a tar of anything."""
    with tarfile.open(path, "w", format=kind) as archive:
        for header, content in members:
            info = tarfile.TarInfo(header) if isinstance(header, str) else header
            if info.isreg():
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def members_of(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        return [(info.name, archive.extractfile(info).read()) for info in archive]
