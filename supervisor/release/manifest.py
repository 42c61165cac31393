"""The manifest of a release: what it is, what it runs on, and the hash of every file. Its bytes are what is signed."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from supervisor.release.errors import BadReleaseError

FORMAT: Final = 1
MOST_FILES: Final = 400
LARGEST_FILE: Final = 256 * 2**20
"""Bytes of one wheel."""
LARGEST_RELEASE: Final = 512 * 2**20
"""Bytes of all of them."""
LARGEST_MANIFEST: Final = 256 * 2**10
"""Bytes."""

#: The name of a wheel (PEP 427) in the one directory that there is: no other path can be spelled.
_WHEEL = r"^wheels/[A-Za-z0-9_.!+]+-[A-Za-z0-9_.!+]+(-[0-9][A-Za-z0-9_.]*)?(-[A-Za-z0-9_.]+){3}\.whl\Z"
_VERSION = r"^[0-9][A-Za-z0-9.!+_-]{0,63}\Z"
_PLATFORM = r"^cp3[0-9]{1,2}-[a-z0-9_]{1,64}\Z"

Version = Annotated[str, msgspec.Meta(pattern=_VERSION)]
Platform = Annotated[str, msgspec.Meta(pattern=_PLATFORM)]
"""Python and machine, `cp311-linux_aarch64`; see `supervisor.release.platform`."""


class ReleaseFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One wheel."""

    name: Annotated[str, msgspec.Meta(pattern=_WHEEL, max_length=200)]
    size: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_FILE)]
    """Bytes."""
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    platforms: tuple[Platform, ...] = ()
    """Who installs it; empty: everybody."""

    @property
    def wheel(self) -> str:
        """Return the wheel's own file name."""
        return self.name.rpartition("/")[2]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a release says of itself. Later formats may add fields; older devices pass over them."""

    format: int
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
    """The distribution that it installs."""
    version: Version
    created: Annotated[str, msgspec.Meta(max_length=40)]
    """RFC 3339 UTC."""
    requires_python: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """PEP 440 specifiers, `>=3.11`."""
    platforms: Annotated[tuple[Platform, ...], msgspec.Meta(min_length=1, max_length=32)]
    requirements: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=200)], ...], msgspec.Meta(max_length=32)] = ()
    """What was asked of pip when it was built, `muster-fleet[edge,ota]==1.2.3`."""
    replaces_from: Version | None = None
    """The lowest version that it may replace."""
    files: Annotated[tuple[ReleaseFile, ...], msgspec.Meta(min_length=1, max_length=MOST_FILES)]

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(file.size for file in self.files)

    def files_for(self, platform: str) -> list[ReleaseFile]:
        """Return what a device of this platform installs."""
        return [file for file in self.files if not file.platforms or platform in file.platforms]

    def encode(self) -> bytes:
        """Return the bytes that are signed: sorted keys, no spaces; they are never made anew from what was read."""
        return msgspec.json.encode(self, order="deterministic")


def read_manifest(raw: bytes) -> Manifest:
    """Return a manifest.

    Raises:
        BadReleaseError: `not_a_release`, naming the field; `too_large`.

    """
    if len(raw) > LARGEST_MANIFEST:
        raise BadReleaseError("too_large", f"its manifest has more than {LARGEST_MANIFEST} bytes")
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.ValidationError as error:
        raise BadReleaseError("not_a_release", f"its manifest is not valid: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadReleaseError("not_a_release", "its manifest is no JSON") from None
    if manifest.format != FORMAT:
        raise BadReleaseError("not_a_release", f"its format is {manifest.format}, this program knows {FORMAT}")
    names = [file.name for file in manifest.files]
    if len(set(names)) != len(names):
        raise BadReleaseError("not_a_release", "its manifest names a file twice")
    if manifest.size > LARGEST_RELEASE:
        raise BadReleaseError("too_large", f"its files have more than {LARGEST_RELEASE} bytes")
    return manifest
