"""The file of a release: a plain tar of `manifest.json`, `signatures.json` and `wheels/*.whl`, in this order.

It is read as a stream of 512-byte headers (POSIX ustar) and never unpacked by a general tool: no links, no devices, no
extended headers, no path but those that the manifest spells, nothing larger than the manifest says. Nothing of it is
believed, and nothing is written, before a trusted key has signed the manifest.
"""

from __future__ import annotations

import base64
import binascii
import collections
import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Annotated, Final, NamedTuple, Self

import msgspec

from supervisor.release.errors import BadReleaseError
from supervisor.release.keys import PrivateKey, TrustedKeys
from supervisor.release.manifest import LARGEST_MANIFEST, LARGEST_RELEASE, Manifest, ReleaseFile, read_manifest

SUFFIX: Final = ".muster"
MANIFEST, SIGNATURES = "manifest.json", "signatures.json"
LARGEST_SIGNATURES: Final = 16_384
"""Bytes."""
LARGEST_ARCHIVE: Final = LARGEST_RELEASE + LARGEST_MANIFEST + LARGEST_SIGNATURES + 2**20
"""Bytes of a whole file."""
_BLOCK: Final = tarfile.BLOCKSIZE
_CHUNK: Final = 2**18
_PADDING: Final = tarfile.RECORDSIZE
"""Bytes of zeros that may follow the last file."""

Progress = Callable[[int], None]
"""Is told how many bytes have been read or written since the last time."""


class Signature(msgspec.Struct, frozen=True):
    """One signature over the manifest's bytes."""

    key_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
    signature: Annotated[str, msgspec.Meta(max_length=128)]
    """Base64 of 64 bytes."""


class _Signatures(msgspec.Struct, frozen=True):
    signatures: Annotated[tuple[Signature, ...], msgspec.Meta(max_length=16)] = ()


class _Member(NamedTuple):
    name: str
    offset: int
    """Of its content, bytes."""
    size: int


class Release:
    """An open release: `with Release(path) as release: release.verify(keys)`."""

    def __init__(self, path: Path) -> None:
        """Open a file and read what it says of itself; nothing of that is to be believed before `verify`.

        Raises:
            BadReleaseError: it is no release, too large, or not all of it is there.
            OSError: it cannot be read.

        """
        self.path = path
        self._file: IO[bytes] = path.open("rb")
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            self._signed = self._read(self._member(0, MANIFEST, LARGEST_MANIFEST))
            self.manifest: Manifest = read_manifest(self._signed)
            listed = self._member(self._next(MANIFEST, len(self._signed)), SIGNATURES, LARGEST_SIGNATURES)
            self.signatures = _read_signatures(self._read(listed))
            self._members = self._look_through(_end(listed))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def key_ids(self) -> list[str]:
        """Return who has signed, as the file says."""
        return [signature.key_id for signature in self.signatures]

    def verify(
        self,
        keys: TrustedKeys,
        *,
        running: str | None = None,
        allow_older: bool = False,
        platform: str | None = None,
        python: str | None = None,
        progress: Progress = lambda _count: None,
    ) -> str:
        """Check everything that there is to check, hashes and wheels last; return the key id that counted.

        Args:
            keys: who is trusted.
            running: the version that would be replaced; None checks no order.
            allow_older: whether it may go back to an older version.
            platform: see `supervisor.release.platform`; None checks none.
            python: version of the interpreter, `3.11.2`; None checks none.
            progress: is told the bytes that were hashed.

        Raises:
            BadReleaseError: with the first thing that is wrong.

        """
        key_id = self.check_signature(keys)
        self.check_fitness(running=running, allow_older=allow_older, platform=platform, python=python)
        for file in self.manifest.files:
            for chunk in self._stream(file):
                progress(len(chunk))
        self.unpacked(self.manifest.files)
        return key_id

    def unpacked(self, files: Iterable[ReleaseFile]) -> int:
        """Return the bytes that wheels unpack to; only to be asked once their hashes are known to be right.

        Raises:
            BadReleaseError: `bad_name`, `bomb`, `tampered`, see `check_wheel`.

        """
        from supervisor.release.wheels import check_wheel

        return sum(check_wheel(file.wheel, _Part(self._file, self._members[file.name])) for file in files)

    def check_signature(self, keys: TrustedKeys) -> str:
        """Return the id of a trusted key that has signed the manifest.

        Raises:
            BadReleaseError: `unsigned`; `wrong_key` for keys that nobody trusts here; `tampered`.

        """
        if not self.signatures:
            raise BadReleaseError("unsigned", "nobody has signed it")
        trusted = [signature for signature in self.signatures if signature.key_id in keys]
        if not trusted:
            raise BadReleaseError("wrong_key", f"it is signed by {', '.join(self.key_ids)}, which is not trusted here")
        for signature in trusted:
            try:
                raw = base64.b64decode(signature.signature, validate=True)
            except (binascii.Error, ValueError):
                raw = b""
            if keys[signature.key_id].verifies(raw, self._signed):
                return signature.key_id
        raise BadReleaseError("tampered", f"the signature of {trusted[0].key_id} is not one of this manifest")

    def check_fitness(
        self, *, running: str | None, allow_older: bool, platform: str | None, python: str | None
    ) -> None:
        """Check whether it may replace a version here; the arguments are those of `verify`.

        Raises:
            BadReleaseError: `older`, `too_old_to_replace`, `wrong_platform`.

        """
        from supervisor.release.versions import accepts, compare

        manifest = self.manifest
        if platform is not None and platform not in manifest.platforms:
            raise BadReleaseError("wrong_platform", f"it is for {', '.join(manifest.platforms)}, this is {platform}")
        if python is not None and manifest.requires_python and not accepts(manifest.requires_python, python):
            raise BadReleaseError("wrong_platform", f"it needs Python {manifest.requires_python}, this is {python}")
        if running is None:
            return
        if not allow_older and compare(manifest.version, running) <= 0:
            raise BadReleaseError("older", f"it is {manifest.version}, and {running} runs already")
        if manifest.replaces_from is not None and compare(running, manifest.replaces_from) < 0:
            raise BadReleaseError(
                "too_old_to_replace", f"it replaces {manifest.replaces_from} or newer, and {running} runs"
            )

    def extract(
        self, directory: Path, files: Sequence[ReleaseFile], progress: Progress = lambda _count: None
    ) -> list[Path]:
        """Write wheels into a directory, each checked while it is written, and on the disk when this returns.

        Raises:
            BadReleaseError: `tampered`, `truncated`; `no_space` for a full disk.
            OSError: the directory cannot be written.

        """
        written = []
        for file in files:
            path = directory / file.wheel
            try:
                with path.open("wb") as target:
                    for chunk in self._stream(file):
                        target.write(chunk)
                        progress(len(chunk))
                    target.flush()
                    os.fsync(target.fileno())
            except OSError as error:
                raise _explain(error) from error
            written.append(path)
        return written

    def _stream(self, file: ReleaseFile) -> Iterator[bytes]:
        """Yield a file's content; raises after the last byte when its hash is another."""
        member, digest = self._members[file.name], hashlib.sha256()
        for chunk in self._chunks(member):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != file.sha256:
            raise BadReleaseError("tampered", f"{file.name} is not the file that was signed: its hash is another")

    def _chunks(self, member: _Member) -> Iterator[bytes]:
        self._file.seek(member.offset)
        left = member.size
        while left:
            chunk = self._file.read(min(_CHUNK, left))
            if not chunk:
                raise BadReleaseError("truncated", f"it ends in the middle of {member.name}")
            left -= len(chunk)
            yield chunk

    def _read(self, member: _Member) -> bytes:
        return b"".join(self._chunks(member))

    def _look_through(self, offset: int) -> dict[str, _Member]:
        """Return where the files are: those of the manifest, in its order, and nothing else."""
        members = {}
        for file in self.manifest.files:
            member = self._member(offset, file.name, file.size)
            if member.size != file.size:
                raise BadReleaseError("tampered", f"{file.name} has {member.size} bytes, not {file.size}")
            members[file.name] = member
            offset = _end(member)
        if self.size < offset:
            raise BadReleaseError("truncated", f"it has {self.size} bytes, less than its manifest says")
        self._file.seek(offset)
        rest = self._file.read(2 * _PADDING)
        if len(rest) > _PADDING + 2 * _BLOCK or rest.strip(b"\0"):
            raise BadReleaseError("not_a_release", "there is more in it than its manifest says")
        return members

    def _next(self, name: str, size: int) -> int:
        return _end(_Member(name, _BLOCK, size))

    def _member(self, offset: int, name: str, most: int) -> _Member:
        """Return the member whose header is at `offset`, which has to be the one of this name."""
        self._file.seek(offset)
        header = self._file.read(_BLOCK)
        if len(header) < _BLOCK:
            if not offset:
                raise BadReleaseError("not_a_release", "it is no file of a release")
            raise BadReleaseError("truncated", f"it ends before {name}")
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError):
            raise BadReleaseError(
                "tampered" if offset else "not_a_release", f"where {name} should be there is no header of a file"
            ) from None
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise BadReleaseError("bad_name", f"where {name} should be there is no plain file")
        if info.name != name:
            raise BadReleaseError("bad_name", f"where {name} should be there is {info.name[:100]!r}")
        if not 0 <= info.size <= most:
            raise BadReleaseError("bomb", f"{name} has {info.size} bytes, {most} are allowed")
        return _Member(name, offset + _BLOCK, info.size)


def write_release(
    path: Path, manifest: Manifest, wheels: Path, signers: Iterable[PrivateKey] = (), signed: bytes = b""
) -> None:
    """Write a release, complete or not at all.

    Args:
        path: the new file; one of that name is replaced.
        manifest: what is in it.
        wheels: the directory with its wheels.
        signers: who signs.
        signed: the exact bytes of the manifest where they exist already; empty encodes it.

    Raises:
        OSError: a wheel is missing, or the file cannot be written.

    """
    raw = signed or manifest.encode()
    signatures = [_sign(key, raw) for key in signers]
    _write(path, raw, signatures, ((file, (wheels / file.wheel).open("rb")) for file in manifest.files))


def sign_release(path: Path, key: PrivateKey) -> None:
    """Add a signature to a release, in place of an earlier one by the same key.

    Raises:
        BadReleaseError: the file is no release.
        OSError: it cannot be replaced.

    """
    with Release(path) as release:
        kept = [signature for signature in release.signatures if signature.key_id != key.public.key_id]
        raw = release._signed  # noqa: SLF001 - the same module
        contents = ((file, _Part(release._file, release._members[file.name])) for file in release.manifest.files)  # noqa: SLF001
        for file in release.manifest.files:
            collections.deque(release._stream(file), maxlen=0)  # noqa: SLF001 - what is damaged is not signed
        _write(path, raw, [*kept, _sign(key, raw)], contents)


class _Part(io.RawIOBase):
    """A file within a release, to be read and looked through where it is."""

    def __init__(self, file: IO[bytes], member: _Member) -> None:
        self._file, self._member = file, member
        self._at = 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = (0, self._at, self._member.size)[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._member.size - self._at)
        self._file.seek(self._member.offset + self._at)
        found = self._file.read(left if size < 0 else min(size, left))
        self._at += len(found)
        return found


def _write(
    path: Path, raw: bytes, signatures: Sequence[Signature], contents: Iterable[tuple[ReleaseFile, IO[bytes] | _Part]]
) -> None:
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
                for name, content in (
                    (MANIFEST, raw),
                    (SIGNATURES, msgspec.json.encode(_Signatures(tuple(signatures)), order="deterministic")),
                ):
                    archive.addfile(_header(name, len(content)), io.BytesIO(content))
                for item, source in contents:
                    with source:
                        archive.addfile(_header(item.name, item.size), source)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _header(name: str, size: int) -> tarfile.TarInfo:
    """Return a header that tells nothing of who made the file, or when."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


def _sign(key: PrivateKey, raw: bytes) -> Signature:
    return Signature(key.public.key_id, base64.b64encode(key.sign(raw)).decode())


def _read_signatures(raw: bytes) -> tuple[Signature, ...]:
    try:
        return msgspec.json.decode(raw, type=_Signatures).signatures
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadReleaseError("not_a_release", f"its signatures cannot be read: {error}") from None


def _end(member: _Member) -> int:
    """Return the offset of the header that follows."""
    return member.offset + -(-member.size // _BLOCK) * _BLOCK


def _explain(error: OSError) -> Exception:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BadReleaseError("no_space", "the disk is full")
    return error
