"""`muster install server` and `muster uninstall server`: this machine becomes a server that starts by itself."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any

import click

from actors.installation import HOME
from actors.version import __version__
from supervisor.installer import Installer, InstallError, Source, Target
from supervisor.server.embedded import find_mosquitto
from supervisor.server.service import EXTRAS, KEY_FILE, MANIFEST, TOKEN_FILE, Choices, plan_server
from supervisor.server.service_certificates import CA_FILE

_ROOT = click.option("--root", type=click.Path(path_type=Path), help="A directory that stands for the root.")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")


@click.group(short_help="Install a server that starts by itself.")
def install() -> None:
    """Make this machine a server; `sudo muster install server`."""


@install.command("server")
@click.option("--tls", is_flag=True, help="Encrypt broker and page; makes the certificates.")
@click.option("--domain", metavar="NAME", help="How devices reach this machine.  [its host name]")
@click.option("--port", type=click.IntRange(1, 65_535), help="Where the page and the API listen.  [5000]")
@click.option("--log-file", is_flag=True, help="Log to /var/log/muster, not to the journal.")
@click.option("--new-password", is_flag=True, help="Change the devices' password of the broker: they enrol anew.")
@click.option("--from", "given", default="", metavar="SOURCE", help="Wheel, directory or requirement to install.")
@click.option("--wheel-dir", default="", metavar="DIR", help="Take everything from these wheels, offline.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, do nothing.")
@_ROOT
def install_server(
    *, new_password: bool, given: str, wheel_dir: str, dry_run: bool, root: Path | None, **flags: Any
) -> None:
    """Set up server, Mosquitto and systemd on this machine, or in a directory.

    What an earlier run was told holds on: a run without flags repeats it. What was changed by hand in the configuration
    is kept.
    """
    target = Target(root)
    installer = Installer(target, MANIFEST, click.echo)
    remembered = dict(installer.manifest.remembered)
    if new_password:
        remembered["last_devices_password"] = remembered.pop("devices_password", "")
    choices = choose(flags, remembered)
    if target.is_live and find_mosquitto() is None:
        raise InstallError("Mosquitto is not installed: run `sudo apt install mosquitto` and try again.")
    source = Source.choose(given, wheel_dir, EXTRAS, home=HOME, version=__version__)
    plan = plan_server(choices, source, target, remembered)
    if dry_run:
        installer.describe(plan)
        return
    installer.install(plan)
    scheme = "https" if choices.https else "http"
    click.echo(f"The page: {scheme}://HOST:{choices.port}/ with the token in {TOKEN_FILE}.")
    click.echo(f"Devices enrol with the key in {KEY_FILE}" + (f" and trust {CA_FILE}." if choices.tls else "."))


@click.group(short_help="Remove what `muster install` has made.")
def uninstall() -> None:
    """Remove what `muster install` has made."""


@uninstall.command("server")
@click.option("--purge", is_flag=True, help="Data and changed configuration, too.")
@_ROOT
def uninstall_server(*, purge: bool, root: Path | None) -> None:
    """Remove exactly what `muster install server` has made."""
    Installer(Target(root), MANIFEST, click.echo).uninstall(purge=purge)


def choose(flags: dict[str, Any], remembered: dict[str, str]) -> Choices:
    """Return the choices of the flags; where a flag is missing, those of the last run.

    Raises:
        InstallError: the domain is neither a name nor an address.

    """
    domain = remembered.get("domain", "") if flags["domain"] is None else flags["domain"]
    if domain and not _is_place(domain):
        raise InstallError(f"--domain `{domain}` is neither a name nor an address.")
    return Choices(
        tls=flags["tls"] or remembered.get("tls") == "yes",
        domain=domain,
        port=flags["port"] or int(remembered.get("port", "5000")),
        log_file=flags["log_file"] or remembered.get("log_file") == "yes",
        https=flags["tls"] or remembered.get("https") == "yes",
    )


def _is_place(domain: str) -> bool:
    """Tell whether this is an address, or a name whose last part is no number (those are taken for addresses)."""
    try:
        ipaddress.ip_address(domain)
    except ValueError:
        named = len(domain) <= 253 and _DOMAIN.fullmatch(domain) is not None
        return named and not domain.rpartition(".")[2].isdecimal()
    return True
