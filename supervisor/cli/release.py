"""`muster release`: build, sign and check the file by which devices are updated."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import click

from supervisor.release.archive import Release, sign_release
from supervisor.release.build import EXTRAS, Recipe, build_release
from supervisor.release.errors import BadReleaseError, KeyFileError
from supervisor.release.keys import PrivateKey, load_trusted
from supervisor.release.platform import own_platform

from .common import print_json
from .releases import delete, list_, revoke, upload

_PATH = click.Path(path_type=Path)
_RELEASE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PLATFORM = re.compile(r"cp3\d+-[a-z]+_\w+")
_KEY_PLACES = (Path("release-key.pub"), Path("/etc/muster/release-keys"))
"""Where `verify` looks for keys when it is given none."""


def _check_platforms(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for text in given:
        if not _PLATFORM.fullmatch(text):
            raise click.BadParameter(f"`{text}` is no platform, such as `{own_platform()}`, which is this machine's.")
    return given


@click.group(short_help="Build, sign, check and upload releases of the edge.")
def release() -> None:
    """Build, sign, check and upload releases of the edge.

    A release is one file with the wheels of an edge and of all that it needs. Devices install one only if somebody has
    signed it whose public key they hold.
    """


@release.command()
@click.option("--out", type=_PATH, default=Path(), help="Directory for the two files; else the current one.")
@click.option("--name", default="release-key", show_default=True, help="Of the files, without their suffixes.")
@click.option("--comment", default="", help="Whose key it is; stands in the public file.")
@click.option("--passphrase-file", type=_PATH, help="Seal the private key with the first line of this file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def keygen(*, out: Path, name: str, comment: str, passphrase_file: Path | None, as_json: bool) -> None:
    """Make a key: NAME.pem, which signs and stays with you, and NAME.pub, which every device gets."""
    key = PrivateKey.generate(" ".join(comment.split()))
    private, public = out / f"{name}.pem", out / f"{name}.pub"
    if public.exists():
        raise KeyFileError(f"{public} exists; a key is never overwritten.")
    key.save(private, _passphrase(passphrase_file))
    public.write_text(key.public.line, encoding="utf-8")
    if as_json:
        print_json({"key_id": key.public.key_id, "private": str(private), "public": str(public)})
        return
    click.echo(f"{private}: signs releases. Keep it off every server and device, and keep a copy.")
    click.echo(
        f"{public}: key {key.public.key_id}. Devices trust it after `muster-edge install --release-key {public}`."
    )


@release.command()
@click.argument("source", type=_PATH)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    callback=_check_platforms,
    help="`cp311-linux_aarch64`, repeatable; else this machine's.",
)
@click.option("--out", type=_PATH, default=Path("dist"), show_default=True, help="Directory for the release.")
@click.option("--replaces-from", default="", metavar="VERSION", help="The lowest version that it may replace.")
@click.option("--wheels", type=_PATH, help="A directory of wheels that are taken before the index's.")
@click.option("--offline", is_flag=True, help="Take everything from --wheels.")
@click.option("--extra", "extras", multiple=True, help=f"Extras of Muster, repeatable; else {', '.join(EXTRAS)}.")
@click.option("--key", type=_PATH, help="Sign it with this private key.")
@click.option("--passphrase-file", type=_PATH, help="Opens the private key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def build(
    *,
    source: Path,
    platforms: tuple[str, ...],
    out: Path,
    replaces_from: str,
    wheels: Path | None,
    offline: bool,
    extras: tuple[str, ...],
    key: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Make a release of SOURCE, a directory with Muster's sources or a wheel of it."""
    signers = [PrivateKey.load(key, _passphrase(passphrase_file))] if key else []
    recipe = Recipe(
        source=source,
        platforms=platforms or (own_platform(),),
        extras=extras or EXTRAS,
        replaces_from=replaces_from,
        wheels=wheels,
        offline=offline,
    )
    path = build_release(
        recipe, out, now_us=time.time_ns() // 1000, signers=signers, say=lambda line: click.echo(line, err=True)
    )
    _show(path, as_json=as_json)
    if not signers and not as_json:
        click.echo(f"It is not signed yet: muster release sign {path} --key release-key.pem")


@release.command()
@click.argument("path", type=_RELEASE, metavar="FILE")
@click.option("--key", type=_PATH, required=True, help="The private key.")
@click.option("--passphrase-file", type=_PATH, help="Opens the private key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def sign(*, path: Path, key: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Add a signature to a release; several may sign."""
    sign_release(path, PrivateKey.load(key, _passphrase(passphrase_file)))
    _show(path, as_json=as_json)


@release.command()
@click.argument("path", type=_RELEASE, metavar="FILE")
@click.option("--key", "keys", type=_PATH, multiple=True, help="Public key, or a directory of them; repeatable.")
@click.option("--running", metavar="VERSION", help="Check that it may replace this version.")
@click.option("--platform", help="Check that it is for this platform.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(*, path: Path, keys: tuple[Path, ...], running: str | None, platform: str | None, as_json: bool) -> int:
    """Check signature, hashes and contents of a release, as a device does; exit code 1 if it must not be installed."""
    trusted = load_trusted(keys or _KEY_PLACES)
    try:
        with Release(path) as opened:
            key_id = opened.verify(trusted, running=running, platform=platform)
    except BadReleaseError as error:
        if as_json:
            print_json({"path": str(path), "valid": False, "code": error.code, "reason": str(error)})
        else:
            click.echo(f"muster: {path} must not be installed ({error.code}): {error}.", err=True)
        return 1
    _show(path, as_json=as_json, valid=True, key_id=key_id, comment=trusted[key_id].comment)
    return 0


for _command in (upload, list_, revoke, delete):
    release.add_command(_command)


def _show(path: Path, *, as_json: bool, **more: Any) -> None:
    """Print what a release says of itself."""
    with Release(path) as opened:
        manifest = opened.manifest
        told = {
            "path": str(path),
            "name": manifest.name,
            "version": manifest.version,
            "size": opened.size,
            "platforms": manifest.platforms,
            "replaces_from": manifest.replaces_from,
            "signed_by": opened.key_ids,
            "files": len(manifest.files),
            **more,
        }
    if as_json:
        print_json(told)
        return
    signed = f"signed by {', '.join(opened.key_ids)}" if opened.key_ids else "not signed"
    valid = f"; valid, by {more['key_id']} {more['comment']}".rstrip() if more else ""
    click.echo(
        f"{path}: {manifest.name} {manifest.version}, {opened.size / 2**20:.1f} MB, {len(manifest.files)} wheels"
    )
    click.echo(f"  for {', '.join(manifest.platforms)}; {signed}{valid}")


def _passphrase(path: Path | None) -> bytes | None:
    """Return the first line of a file."""
    if path is None:
        return None
    try:
        line = path.read_bytes().partition(b"\n")[0].strip()
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}.") from None
    if not line:
        raise KeyFileError(f"{path} holds no passphrase: its first line is empty.")
    return line
