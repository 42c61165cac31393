"""What makes a machine a Muster server: the plan of `muster install server`."""

from __future__ import annotations

import json
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from supervisor.installer import (
    Command,
    Data,
    Directory,
    File,
    InstallError,
    Link,
    Plan,
    Service,
    Source,
    Step,
    Target,
    Unit,
    User,
    Venv,
    tmpfiles,
)
from supervisor.installer.step import Record
from supervisor.pki.names import own_name
from supervisor.server.access.dynsec_file import find_plugin
from supervisor.server.access.files import PASSWORDS, RIGHTS
from supervisor.server.access.roster import OUTSIDE, ServerUsers
from supervisor.server.access.users import DYNSEC, start_files
from supervisor.server.mosquitto import (
    DEVICES,
    DEVICES_CA,
    DEVICES_CRL,
    SERVER,
    Access,
    ClientTrust,
    Listener,
    TlsFiles,
    drop_in,
)
from supervisor.server.service_certificates import (
    BROKER,
    BROKER_GROUP,
    CA_FILE,
    HTTP_FILE,
    TLS,
    Site,
    device_authority,
    read_again,
    server_certificates,
)
from supervisor.server.settings import DEFAULT_PREFIXES
from supervisor.server.values import broker_url

NAME = "muster"
PREFIX = f"/opt/{NAME}"
VENV = f"{PREFIX}/venv"
MANIFEST = f"{PREFIX}/manifest.json"
STATE = f"/var/lib/{NAME}"
LOGS = f"/var/log/{NAME}"
CONFIG = "/etc/muster/muster.toml"
KEY_FILE = "/etc/muster/enrolment-key"
TOKEN_FILE = "/etc/muster/admin-token"  # noqa: S105 - a path
PKI = f"{STATE}/pki"
"""The authority that signs for devices, in the server's own data."""
SYSTEM = "/etc/systemd/system"
ACCESS = f"{BROKER}/access"
"""Of the server, which writes there who may use the broker, and of the broker's plugin."""
_ACCESS_MODE = 0o2770
RELOAD = f"{NAME}-broker"
"""Units that have Mosquitto read those files again when they change: the server itself may send it no signal."""
PLAIN_PORT, TLS_PORT, CERTIFICATE_PORT = 1883, 8883, 8884
EXTRAS = ("server", "postgres", "mysql")

_LOGROTATE = f"""\
{LOGS}/*.log {{
    su {NAME} {NAME}
    daily
    rotate 7
    missingok
    notifempty
    compress
    delaycompress
    copytruncate
}}
""".encode()


_DIRECTORIES = (
    f"z {BROKER} 0750 root {BROKER_GROUP} -\nz {ACCESS} {_ACCESS_MODE:04o} {NAME} {BROKER_GROUP} -\n".encode()
)
_RELOAD_PATH = f"""\
[Unit]
Description=Users of the broker that Muster has changed

[Path]
PathChanged={ACCESS}/{PASSWORDS}
PathChanged={ACCESS}/{RIGHTS}
PathChanged={ACCESS}/{DEVICES_CRL}

[Install]
WantedBy=multi-user.target
""".encode()
_RELOAD_SERVICE = b"""\
[Unit]
Description=Have the broker read its users again
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=systemctl reload mosquitto.service
"""


class Choices(NamedTuple):
    """What whoever installs has chosen, now or in an earlier run."""

    tls: bool = False
    """Encrypt what devices say to the broker."""
    domain: str = ""
    """The name or address by which devices reach this machine; empty: its host name."""
    port: int = 5000
    """Where the page and the API listen."""
    log_file: bool = False
    """Log to a file, not to the journal."""
    https: bool = False
    """Encrypt the page and the API as well; not for an installation of the release before, until it is asked for."""

    @property
    def site(self) -> Site:
        """What of them concerns certificates."""
        return Site(self.domain, self.https)

    def remember(self) -> dict[str, str]:
        """Return them for the manifest."""
        flags = {"tls": "yes" if self.tls else "", "log_file": "yes" if self.log_file else ""}
        flags["https"] = "yes" if self.https else ""
        return {**flags, "domain": self.domain, "port": str(self.port)}


class Secrets(NamedTuple):
    """What the installation makes up, once."""

    server_password: str
    devices_password: str
    enrolment_key: str
    admin_token: str

    def __repr__(self) -> str:
        return "Secrets(...)"

    @classmethod
    def recall(cls, remembered: Mapping[str, str], found: Mapping[str, str]) -> Secrets:
        """Return those of the last run, else those of a configuration that outlived one, else new ones."""
        known = {**found, **{name: text for name, text in remembered.items() if text}}
        return cls(*(known.get(name) or secrets.token_urlsafe(32) for name in cls._fields))


@dataclass(frozen=True)
class Settings(File):
    """The configuration: what was changed in it by hand is kept, as long as it fits what the broker is told."""

    agreement: tuple[tuple[str, str, str], ...] = field(default=(), repr=False)
    """Keys with the value that the last run gave them and the one that they need now: what the broker is told, too."""

    def check(self, target: Target, before: Record | None) -> None:
        """Refuse to change the broker's side alone, before anything is done."""
        super().check(target, before)
        if not self.is_changed(target, before):
            return
        said = _parse(target)
        stale = [key for key, old, new in self.agreement if old != new and _look_up(said, key) == old]
        if stale:
            names = " and ".join(f"`{key}`" for key in stale)
            raise InstallError(
                f"{self.path} was changed by hand and is kept, but {names} in it would not be right any more; move the"
                " file away, install again, and repeat your changes in the new one."
            )


def plan_server(choices: Choices, source: Source, target: Target, remembered: Mapping[str, str]) -> Plan:
    """Return everything that makes a machine a server.

    Args:
        choices: of whoever installs.
        source: where pip takes Muster from.
        target: where, to find certificates and hashes that are good still.
        remembered: of the manifest.

    """
    forgotten = {"devices_password"} if "server_password" in remembered else set()
    found = {name: text for name, text in _find_secrets(target).items() if name not in forgotten}
    made_up = Secrets.recall(remembered, found)
    service = _service(choices)
    user = User(NAME, home=STATE)
    mechanism = "dynsec" if find_plugin(target.root) else "files"
    seed, trusted = device_authority(PKI, ACCESS, choices.site, target) if choices.tls else (None, [])
    files = [*_configuration(choices, made_up, _agreed(remembered), mechanism)]
    files += [*trusted, *_broker_files(choices, made_up, target)]
    steps: list[Step] = [
        Directory(PREFIX),
        Command("reload of systemd", undo_command=("systemctl", "daemon-reload")),
        Command("restart of the broker", undo_command=("systemctl", "try-restart", "mosquitto.service")),
        File(f"/etc/sysusers.d/{NAME}.conf", user.sysusers()),
        user,
        Data(STATE),
        *([seed] if seed is not None else []),
        Directory("/etc/muster"),
        *([Directory(TLS, mode=0o700)] if choices.tls else []),
        Directory(BROKER, mode=0o750, group=BROKER_GROUP),
        Directory(ACCESS, mode=_ACCESS_MODE, group=BROKER_GROUP),
        *files,
        Command("owner of the broker's users", command=("chown", f"{NAME}:{BROKER_GROUP}", ACCESS)),
        File(f"/etc/tmpfiles.d/{NAME}.conf", tmpfiles(files) + _DIRECTORIES),
        *([File(f"/etc/logrotate.d/{NAME}", _LOGROTATE)] if choices.log_file else []),
        Venv(VENV, source, commands=((NAME, "supervisor.cli"),)),
        Link(f"/usr/local/bin/{NAME}", to=f"{VENV}/bin/{NAME}"),
        File(f"{SYSTEM}/{service.unit}", service.text),
        Link(f"{SYSTEM}/multi-user.target.wants/{service.unit}", to=f"{SYSTEM}/{service.unit}"),
        File(f"{SYSTEM}/{RELOAD}.service", _RELOAD_SERVICE),
        File(f"{SYSTEM}/{RELOAD}.path", _RELOAD_PATH),
        Link(f"{SYSTEM}/multi-user.target.wants/{RELOAD}.path", to=f"{SYSTEM}/{RELOAD}.path"),
        Command("broker", command=("systemctl", "restart", "mosquitto.service")),
        Data(LOGS),
        Unit(f"{RELOAD}.path"),
        Unit(service.unit),
    ]
    return Plan(steps, {**choices.remember(), **made_up._asdict()})


def _service(choices: Choices) -> Service:
    log = f"append:{LOGS}/{NAME}.log"
    return Service(
        name=NAME,
        description="Muster server: the roll call of a fleet",
        command=f"{VENV}/bin/python -P -m supervisor.cli server --config {CONFIG}",
        user=NAME,
        after=("network-online.target", "mosquitto.service"),
        environment=(f"MUSTER_RUNTIME_DIR=/run/{NAME}",),
        extra=(
            f"RuntimeDirectory={NAME}",
            "RuntimeDirectoryMode=0700",
            "PrivateDevices=yes",
            f"ReadWritePaths=-{ACCESS}",
            "LimitNOFILE=65536",
            *((f"StandardOutput={log}", f"StandardError={log}") if choices.log_file else ()),
        ),
    )


def _agreement(choices: Choices, made_up: Secrets) -> dict[str, str]:
    """Return the values by dotted key in which configuration and broker have to agree."""
    host = choices.domain or own_name()
    outside = named = ""
    if choices.tls:
        outside, named = (broker_url(host, port, tls=True) for port in (TLS_PORT, CERTIFICATE_PORT))
    elif choices.domain:
        outside = broker_url(host, PLAIN_PORT, tls=False)
    return {
        "brokers.0.url": broker_url(
            "127.0.0.1", PLAIN_PORT, tls=False, username=SERVER, password=made_up.server_password
        ),
        "enrolment.password": made_up.devices_password,
        "enrolment.broker_url": outside,
        "pki.broker_url": named,
    }


def _agreed(remembered: Mapping[str, str]) -> dict[str, str]:
    """Return what they agreed in after the last run, as far as that is known."""
    if "server_password" not in remembered:
        return {}
    choices = Choices(tls=remembered.get("tls") == "yes", domain=remembered.get("domain", ""))
    agreed = _agreement(choices, Secrets(*(remembered.get(name, "") for name in Secrets._fields)))
    if "devices_password" not in remembered:  # it is being changed
        agreed["enrolment.password"] = remembered.get("last_devices_password", "")
    return agreed


def _configuration(choices: Choices, made_up: Secrets, before: Mapping[str, str], mechanism: str) -> list[File]:
    """Return what lies in /etc/muster."""
    told = _agreement(choices, made_up)
    outside = told["enrolment.broker_url"]
    lines = [
        "# Written by `muster install server`; what is changed here by hand is kept.",
        f"data_dir = {_quote(STATE)}",
        f"api_token = {_quote(made_up.admin_token)}",
        f"enrolment_key_file = {_quote(KEY_FILE)}",
        "",
        "[http]",
        'host = "0.0.0.0"',
        f"port = {choices.port}",
        *([f"tls = {{ cert = {_quote(HTTP_FILE)}, ca = {_quote(CA_FILE)} }}"] if choices.https else []),
        "",
        "[[brokers]]",
        f"url = {_quote(told['brokers.0.url'])}",
        "",
        "# What devices are given when they enrol.",
        "[enrolment]",
        f"username = {_quote(DEVICES)}",
        f"password = {_quote(made_up.devices_password)}",
        *([f"broker_url = {_quote(outside)}"] if outside else []),
        *([f"hosts = [{_quote(choices.domain)}]"] if choices.domain else []),
    ]
    lines += [
        "",
        "# Each device gets a user of its own there.",
        "[broker_access]",
        f"mechanism = {_quote(mechanism)}",
        f"directory = {_quote(ACCESS)}",
    ]
    if choices.tls:
        lines += [
            "",
            "# Each device gets a certificate, by which the broker knows it in place of its password.",
            "[pki]",
            f"directory = {_quote(PKI)}",
            f"broker_url = {_quote(told['pki.broker_url'])}",
            f"ca = {_quote(CA_FILE)}",
        ]
    agreement = tuple((key, before.get(key, value), value) for key, value in told.items())
    return [
        Settings(CONFIG, ("\n".join(lines) + "\n").encode(), mode=0o640, group=NAME, keep=True, agreement=agreement),
        File(KEY_FILE, f"{made_up.enrolment_key}\n".encode(), mode=0o640, group=NAME, keep=True),
        File(TOKEN_FILE, f"{made_up.admin_token}\n".encode(), mode=0o600, keep=True),
    ]


def _broker_files(choices: Choices, made_up: Secrets, target: Target) -> list[File]:
    """Return what Mosquitto reads, and what devices have to trust."""
    plugin = find_plugin(target.root)
    # What the server has changed since, it has noted.
    users = ServerUsers(
        target.path(f"{STATE}/{OUTSIDE}"),
        server=(SERVER, made_up.server_password),
        devices=made_up.devices_password,
        prefixes=_prefixes(target),
    ).now
    texts = start_files(target.path(ACCESS), users, dynsec=bool(plugin), anonymous=False)
    files = [File(f"{ACCESS}/{name}", text.encode(), mode=0o640, group=BROKER_GROUP) for name, text in texts.items()]
    listeners = [Listener(PLAIN_PORT)]
    if choices.tls:
        files += server_certificates(choices.site, target)
        tls = TlsFiles(ca=f"{BROKER}/ca.pem", cert=f"{BROKER}/server.pem", key=f"{BROKER}/server.key")
        # In the clear only on this machine, for the server itself.
        clients = ClientTrust(f"{ACCESS}/{DEVICES_CA}", f"{ACCESS}/{DEVICES_CRL}")
        named = Listener(CERTIFICATE_PORT, tls=tls, clients=clients)
        listeners = [Listener(PLAIN_PORT, "127.0.0.1"), Listener(TLS_PORT, tls=tls), named]
    access = Access(f"{ACCESS}/{PASSWORDS}", f"{ACCESS}/{RIGHTS}", plugin, f"{ACCESS}/{DYNSEC}")
    text = drop_in(listeners, access)
    return [*files, File("/etc/mosquitto/conf.d/muster.conf", text.encode())]


def _prefixes(target: Target) -> Sequence[str]:
    """Return the prefixes of sensors that are configured by now: who adds one installs again."""
    return [str(prefix) for prefix in _parse(target).get("prefixes", DEFAULT_PREFIXES)]


def _find_secrets(target: Target) -> dict[str, str]:
    """Return what a configuration says that was kept when its installation was removed."""
    said = _parse(target)
    return {
        "server_password": unquote(urlsplit(_look_up(said, "brokers.0.url")).password or ""),
        "devices_password": _look_up(said, "enrolment.password"),
        "enrolment_key": read_again(target, KEY_FILE).decode(errors="replace").strip(),
        "admin_token": _look_up(said, "api_token"),
    }


def _parse(target: Target) -> dict[str, Any]:
    try:
        return tomllib.loads(read_again(target, CONFIG).decode())
    except ValueError as error:
        raise InstallError(f"{CONFIG} is not valid TOML ({error}); mend it and try again.") from None


def _look_up(said: Any, key: str) -> str:
    """Return the text at a dotted key, empty where there is none."""
    for part in key.split("."):
        if isinstance(said, list):
            said = said[int(part)] if int(part) < len(said) else None
        else:
            said = said.get(part) if isinstance(said, dict) else None
    return said if isinstance(said, str) else ""


def _quote(value: str) -> str:
    """Return a TOML string: the escapes of JSON are those of TOML."""
    return json.dumps(value, ensure_ascii=False)
