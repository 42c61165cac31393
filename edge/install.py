"""`muster-edge install` and `uninstall`: this machine, or an image of one, becomes an edge that starts by itself.

What is made is listed in `plan_edge`. Everything is imported at once: `uninstall` removes the files it runs from.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from actors.installation import HOME
from actors.link.options import BrokerURLError
from actors.version import __version__
from edge.settings import EdgeSettings
from edge.update import launcher
from supervisor.installer import (
    Command,
    Data,
    Directory,
    File,
    Installer,
    InstallError,
    Link,
    Plan,
    Service,
    Source,
    Stale,
    Step,
    Target,
    Unit,
    User,
    Venv,
    tmpfiles,
)
from supervisor.release.errors import KeyFileError
from supervisor.release.keys import PublicKey, load_public

NAME = "muster-edge"
PREFIX = f"/opt/{NAME}"
VENV = f"{PREFIX}/venv"
MANIFEST = f"{PREFIX}/manifest.json"
STATE = f"/var/lib/{NAME}"
LOGS = f"/var/log/{NAME}"
CONFIG = "/etc/muster/edge.toml"
KEYS = "/etc/muster/release-keys"
UPDATES = f"{STATE}/update"
LAUNCHER = f"{PREFIX}/launcher.py"
SYSTEM_PYTHON = "/usr/bin/python3"
"""What the launcher runs with: no update touches it, and none can break it."""
KEY_FILE = "/etc/muster/edge-enrolment-key"
CA_FILE = "/etc/muster/edge-ca.pem"
SYSTEM = "/etc/systemd/system"
GROUPS = ("input", "video")
"""Groups of the service's user: scanners are `input`, the Pi's firmware (temperature, throttling) is `video`."""
SHORTEST_KEY = 16
"""Characters of the fleet's key that a server demands."""
OF_ONE_DEVICE = ("device_id", "api_token", "hub_connection_string")
"""Keys of the configuration that no image for many machines may have."""

#: USB vendors of barcode scanners, those by which `edge.scanner.devices` knows one.
SCANNER_VENDORS = ("0536", "05e0", "05f9", "065a", "067e", "080c", "0c2e", "1eab", "27dd", "2dd6")

_UDEV = f"""\
# Scanners are keyboards to the kernel. The service `muster-edge` reads them as a member of the group `input`.
ACTION=="remove", GOTO="muster_end"
SUBSYSTEM=="input", KERNEL=="event*", ENV{{ID_INPUT_KEYBOARD}}=="1", GROUP="input", MODE="0660"
# A scanner that sleeps loses the first characters of a code.
SUBSYSTEM=="usb", ENV{{DEVTYPE}}=="usb_device", ATTR{{idVendor}}=="{"|".join(SCANNER_VENDORS)}", \
TEST=="power/control", ATTR{{power/control}}="on"
LABEL="muster_end"
""".encode()


class Choices(NamedTuple):
    """What whoever installs has chosen, now or in an earlier run."""

    server: str = ""
    """The server's URL; empty lets the device look for it."""
    log_file: bool = False
    """Log to a file, not to the journal."""
    key: str = ""
    """The fleet's key."""
    ca: str = ""
    """The authorities to trust, PEM."""
    release_keys: tuple[str, ...] = ()
    """Keys of those whose releases this device installs, each a line."""
    updates: bool = True
    """Let the launcher start the edge, so that it can update itself."""
    scanner: bool = True
    """Read scanners, for which evdev has to be built."""
    golden: bool = False
    """Prepare an image: nothing is started, and no identity is left."""

    def __repr__(self) -> str:
        return f"Choices(server={self.server!r}, golden={self.golden})"


def main(arguments: Sequence[str]) -> int:
    """Run `install ...` or `uninstall ...`; return 0 for done, 1 for failed, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        target = Target(options.root)
        installer = Installer(target, MANIFEST, lambda line: print(line, flush=True))  # noqa: T201 - its output
        if options.command == "uninstall":
            installer.uninstall(purge=options.purge)
        else:
            _install(installer, target, options)
    except InstallError as error:
        sys.stderr.write(f"muster-edge: {error}\n")
        return 1
    return 0


def _install(installer: Installer, target: Target, options: argparse.Namespace) -> None:
    choices = choose(options, installer.manifest.remembered)
    extras = ("edge", *(["scanner"] if choices.scanner else []), *(["ota"] if choices.updates else []))
    source = Source.choose(options.source, options.wheel_dir, extras, home=HOME, version=__version__)
    if choices.golden:
        refuse_identity(target.path(CONFIG))
    if choices.updates and target.is_live and not os.access(SYSTEM_PYTHON, os.X_OK):
        raise InstallError(
            f"{SYSTEM_PYTHON}, which starts the edge so that it can update itself, is missing;"
            " run `apt install python3`, or install with --no-updates."
        )
    plan = plan_edge(choices, source)
    if options.dry_run:
        installer.describe(plan)
        return
    installer.install(plan)
    for line in _farewell(choices, target):
        print(line, flush=True)  # noqa: T201 - its output


def choose(options: argparse.Namespace, remembered: dict[str, str]) -> Choices:
    """Return the choices of the flags; where a flag is missing, those of the last run.

    Raises:
        InstallError: a file that was named cannot be used.

    """
    return Choices(
        server=options.server if options.server is not None else remembered.get("server", ""),
        log_file=options.log_file or remembered.get("log_file") == "yes",
        key=_read_key(options.enrolment_key_file) if options.enrolment_key_file else remembered.get("key", ""),
        ca=_read_ca(options.ca) if options.ca else remembered.get("ca", ""),
        release_keys=_release_keys(options.release_key, remembered.get("release_keys", "")),
        updates=not options.no_updates and remembered.get("updates") != "no",
        scanner=not options.no_scanner and remembered.get("scanner") != "no",
        golden=options.golden,
    )


def plan_edge(choices: Choices, source: Source) -> Plan:
    """Return everything that makes a machine an edge."""
    user = User(NAME, home=STATE, groups=GROUPS)
    service = _service(choices)
    files = _configuration(choices)
    steps: list[Step] = [
        Directory(PREFIX),
        Command("reload of systemd", undo_command=("systemctl", "daemon-reload")),
        Command("reload of udev", undo_command=("udevadm", "control", "--reload")),
        File(f"/etc/sysusers.d/{NAME}.conf", user.sysusers()),
        user,
        Directory("/etc/muster"),
        *files,
        File(f"/etc/tmpfiles.d/{NAME}.conf", tmpfiles(files)),
        File("/etc/udev/rules.d/70-muster-scanner.rules", _UDEV),
        Venv(VENV, source, commands=((NAME, "edge"),)),
        *_updates(choices, source),
        Link(f"/usr/local/bin/{NAME}", to=f"{VENV}/bin/{NAME}"),
        File(f"{SYSTEM}/{service.unit}", service.text),
        Link(f"{SYSTEM}/multi-user.target.wants/{service.unit}", to=f"{SYSTEM}/{service.unit}"),
        Command("udev rules", command=("udevadm", "control", "--reload")),
        Command("devices of udev", command=("udevadm", "trigger", "--subsystem-match=input", "--subsystem-match=usb")),
    ]
    data = [Data(path, wipe=choices.golden) for path in (STATE, LOGS)]
    unit = Unit(service.unit, start=not choices.golden)
    # An image is emptied when nothing runs any more that could fill it again.
    steps += [unit, *data] if choices.golden else [*data, unit]
    return Plan(steps, _remember(choices))


def _updates(choices: Choices, source: Source) -> list[Step]:
    """Return what lets an edge update itself. What is installed by hand runs, whatever updates have brought before."""
    if not choices.updates:
        return []
    keys = [PublicKey.read(line) for line in choices.release_keys]
    return [
        File(LAUNCHER, Path(launcher.__file__).read_bytes()),
        Directory(KEYS),
        *(File(f"{KEYS}/{key.key_id}.pub", key.line.encode(), keep=True) for key in keys),
        Stale(UPDATES, ("current", "state.json", "updater.json"), source.fingerprint),
    ]


def refuse_identity(path: Path) -> None:
    """Refuse a configuration that makes every machine of an image the same one.

    Raises:
        InstallError: naming the key.

    """
    try:
        section = tomllib.loads(path.read_text(encoding="utf-8")).get("edge", {})
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise InstallError(f"{path} cannot be read: {error}.") from None
    for key in OF_ONE_DEVICE:
        if section.get(key):
            raise InstallError(f"{path} sets `{key}`, which belongs to one device; remove it from an image for many.")


def _service(choices: Choices) -> Service:
    run = f"run --config {CONFIG}"
    launch = f"{SYSTEM_PYTHON} -I {LAUNCHER} --home {UPDATES} --factory {VENV}/bin/python run -- {run}"
    return Service(
        name=NAME,
        description="Muster edge: presence, scanners and sensors of this device",
        command=launch if choices.updates else f"{VENV}/bin/python -P -m edge {run}",
        user=NAME,
        after=("network.target",),
        # One arena: a long-lived process with a few threads keeps its memory small.
        environment=("MALLOC_ARENA_MAX=1",),
        extra=(
            f"SupplementaryGroups={' '.join(GROUPS)}",
            # A driver of a sensor may need more: add it with `systemctl edit muster-edge`.
            "DevicePolicy=closed",
            "DeviceAllow=char-input rw",
            "DeviceAllow=/dev/vcio rw",
        ),
    )


def _configuration(choices: Choices) -> list[File]:
    """Return what lies in /etc/muster."""
    section = {
        "data_dir": STATE,
        "server_url": choices.server.rstrip("/"),
        "enrolment_key_file": KEY_FILE if choices.key else "",
        "ca_file": CA_FILE if choices.ca else "",
        "log_file": f"{LOGS}/edge.log" if choices.log_file else "",
    }
    lines = ["# Written by `muster-edge install`; what is changed here by hand is kept.", "[edge]"]
    lines += [f"{key} = {_quote(value)}" for key, value in section.items() if value]
    if choices.ca:
        lines += ["", "[edge.broker]", f"ca_file = {_quote(CA_FILE)}"]
    if not choices.scanner:
        lines += ["", "[edge.scanner]", "enabled = false"]
    text = "\n".join(lines) + "\n"
    try:
        msgspec.convert(tomllib.loads(text)["edge"], EdgeSettings)
    except (msgspec.ValidationError, BrokerURLError, ValueError) as error:
        raise InstallError(f"The configuration would not be valid: {error}.") from None
    files = [File(CONFIG, text.encode(), mode=0o640, group=NAME, keep=True)]
    if choices.key:
        files.append(File(KEY_FILE, f"{choices.key}\n".encode(), mode=0o640, group=NAME, keep=True))
    if choices.ca:
        files.append(File(CA_FILE, choices.ca.encode(), keep=True))
    return files


def _remember(choices: Choices) -> dict[str, str]:
    return {
        "server": choices.server,
        "log_file": "yes" if choices.log_file else "",
        "key": choices.key,
        "ca": choices.ca,
        "release_keys": "\n".join(choices.release_keys),
        "updates": "" if choices.updates else "no",
        "scanner": "" if choices.scanner else "no",
    }


def _read_key(path: Path) -> str:
    key = _read(path).strip()
    if len(key) < SHORTEST_KEY or not key.isprintable():
        raise InstallError(f"{path} holds no enrolment key: {SHORTEST_KEY} printable characters at least are needed.")
    return key


def _release_keys(given: Sequence[Path], remembered: str) -> tuple[str, ...]:
    """Return the keys of the files that were given, and those of the last run, each once."""
    try:
        keys = [key for path in given for key in load_public(path)]
    except KeyFileError as error:
        raise InstallError(str(error)) from None
    if given and not keys:
        raise InstallError(f"{given[0]} holds no release key; `muster release keygen` makes one.")
    known = {PublicKey.read(line).key_id: line for line in remembered.splitlines()}
    return tuple((known | {key.key_id: key.line.strip() for key in keys}).values())


def _read_ca(path: Path) -> str:
    pem = _read(path)
    if "-----BEGIN CERTIFICATE-----" not in pem or "PRIVATE KEY" in pem:
        raise InstallError(f"{path} is no file of certificates in PEM (and nothing else).")
    return pem


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InstallError(f"{path} cannot be read: {error}.") from None


def _quote(value: str) -> str:
    """Return a TOML string: the escapes of JSON are those of TOML."""
    return json.dumps(value, ensure_ascii=False)


def _farewell(choices: Choices, target: Target) -> list[str]:
    lines = []
    if not choices.key:
        lines.append("note: without --enrolment-key-file this device cannot enrol with a server of another machine")
    if choices.updates and not choices.release_keys:
        lines.append(f"note: without --release-key this device installs no update; keys may be put into {KEYS} later")
    if choices.golden:
        lines.append("The image carries no identity: each machine that boots it finds its own.")
    elif target.is_live:
        lines.append("Running. `sudo muster-edge status` shows how it is, `journalctl -u muster-edge` what it says.")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="muster-edge")
    commands = parser.add_subparsers(dest="command", required=True)
    install = commands.add_parser("install", help="make this machine an edge that starts by itself")
    install.add_argument("--golden", action="store_true", help="prepare an image: start nothing, leave no identity")
    install.add_argument("--server", metavar="URL", help="the server; without, the device looks for it")
    install.add_argument("--enrolment-key-file", type=Path, metavar="FILE", help="file with the fleet's key")
    install.add_argument("--ca", type=Path, metavar="FILE", help="authorities to trust, PEM")
    install.add_argument("--log-file", action="store_true", help=f"log to {LOGS}/edge.log, not to the journal")
    install.add_argument(
        "--release-key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="public key of who may release updates; may be repeated",
    )
    install.add_argument("--no-updates", action="store_true", help="without the launcher: it never updates itself")
    install.add_argument("--no-scanner", action="store_true", help="without evdev: no barcode scanners")
    install.add_argument("--from", dest="source", default="", metavar="SOURCE", help="wheel, directory or requirement")
    install.add_argument("--wheel-dir", default="", metavar="DIR", help="take everything from these wheels, offline")
    install.add_argument("--dry-run", action="store_true", help="print what would be done, do nothing")
    uninstall = commands.add_parser("uninstall", help="remove what install has made")
    uninstall.add_argument("--purge", action="store_true", help="data and changed configuration, too")
    for command in (install, uninstall):
        command.add_argument("--root", type=Path, metavar="DIR", help="a directory that stands for the root")
    return parser
