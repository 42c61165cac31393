"""What `muster doctor` says of safety: who could read, pass for or break something, and how to mend that."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import re
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from packaging.version import InvalidVersion, Version

from actors.announcer import own_addresses
from actors.clock_quality import clock_quality
from actors.storage.resealing import sealed_with
from actors.version import __version__
from supervisor.backup.configuration import configuration_files, configuration_places
from supervisor.backup.databases import HISTORY, connected, known_migrations
from supervisor.backup.errors import BackupError
from supervisor.backup.make import last_backup
from supervisor.process.redaction import secrets_in
from supervisor.process.rundir import ServerFiles
from supervisor.release.errors import KeyFileError
from supervisor.release.keys import load_trusted
from supervisor.server.config import Broker, Config, find_file
from supervisor.server.sealing import KeyFile, SealingError
from supervisor.server.settings import LOOPBACK

from .client import ApiClient, ApiError
from .running import Check

BACKUP_DAYS: Final = 7.0
"""A backup that is older is complained of."""
FEWEST_CHARACTERS: Final = 8
"""Different ones in a key that nobody can guess."""
_COMMON: Final = re.compile(r"passw|secret|changeme|muster|admin|123456|qwert|letmein|test", re.IGNORECASE)
_MOST_NAMED: Final = 3
_NO_DATABASE: Final = "there is no database to ask"


def check_safety(config: Config, environ: Mapping[str, str], cwd: Path, running: ServerFiles | None) -> Iterator[Check]:
    """Yield what can be found without a connection to a broker.

    Args:
        config: of the server.
        environ: of this process.
        cwd: where its configuration is looked for.
        running: the server of this user, where one runs.

    """
    yield check_modes(config, environ, cwd)
    yield check_listener(config, running)
    yield from check_proxies(config)
    yield from check_keys(config, running)
    yield check_sealing(config, environ)
    yield check_migrations(config)
    yield check_backup(config)
    yield check_release_keys(config)
    yield check_clock()
    if running is not None:
        yield from check_edges(running)


# -- files -----------------------------------------------------------------------------------------------------------


def check_modes(config: Config, environ: Mapping[str, str], cwd: Path) -> Check:
    """Look for files with secrets that others may read: in the data directory, and those of the configuration."""
    open_paths = [*_open_data(config.data_path), *_open_configuration(config, environ, cwd)]
    if not open_paths:
        return Check("file modes", "ok", "what is secret is for its owner alone")
    named = ", ".join(map(str, open_paths[:_MOST_NAMED]))
    more = f" and {len(open_paths) - _MOST_NAMED} more" if len(open_paths) > _MOST_NAMED else ""
    cure = " ".join(f"{'700' if path.is_dir() else '600'} {path}" for path in open_paths[:1])
    return Check(
        "file modes",
        "failed",
        f"others may read {named}{more}",
        f"run `chmod {cure}` and the like; a secret that was open is to be changed, too",
    )


def _open_data(data_dir: Path) -> Iterator[Path]:
    """Yield the data directory if others may enter it, and what in it they may read then."""
    try:
        if not data_dir.is_dir() or not _mode(data_dir) & 0o001:
            return
        yield from (path for path in sorted(data_dir.rglob("*")) if path.is_file() and _mode(path) & 0o004)
    except OSError:
        return


def _open_configuration(config: Config, environ: Mapping[str, str], cwd: Path) -> Iterator[Path]:
    """Yield the files of the configuration that hold a secret and that all may read."""
    file = find_file(environ.get("MUSTER_CONFIG"), cwd)
    secrets = [secret.encode() for secret in secrets_in(config) if len(secret) >= FEWEST_CHARACTERS]
    for path in configuration_files(configuration_places(file, config, cwd))[0]:
        try:
            if _mode(path) & 0o004:
                content = path.read_bytes()
                if b"PRIVATE KEY-----" in content or any(secret in content for secret in secrets):
                    yield path
        except OSError:
            continue


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- who may come in -------------------------------------------------------------------------------------------------


def check_listener(config: Config, running: ServerFiles | None = None) -> Check:
    """Look whether tokens and passwords cross a network in the clear.

    Args:
        config: of the server.
        running: the server of this user, which `--lan` may have opened, whatever the configuration says.

    """
    http = config.http
    if http.is_loopback:
        if running is not None and (reached := _reached_at(running.url)):
            if running.url.startswith("https:"):
                return Check("listener", "ok", f"the page is encrypted ({reached})")
            return Check("listener", "warning", f"tokens reach {reached} in the clear", "start it with --lan --tls")
        return Check("listener", "ok", f"the page is for this machine alone ({http.host})")
    if http.tls.cert:
        return Check("listener", "ok", f"the page is encrypted ({http.host})")
    cure = "set `http.tls`, or put a reverse proxy with TLS in front and name it in `http.proxies`"
    if http.proxies:
        return Check("listener", "ok", f"the page is in the clear on {http.host}, behind {', '.join(http.proxies)}")
    return Check("listener", "warning", f"tokens reach {http.host}:{http.port} in the clear", cure)


def _reached_at(url: str) -> str:
    """Return where the server answers other machines, too; empty where it is on loopback alone."""
    port = urlsplit(url).port
    for address in own_addresses("0.0.0.0", ()):  # noqa: S104 - nothing listens here
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
            return f"{address}:{port}"
    return ""


def check_proxies(config: Config) -> Iterator[Check]:
    """Look whether everybody is believed on where he comes from."""
    wide = [text for text in config.http.proxies if ipaddress.ip_network(text, strict=False).prefixlen < 8]
    if wide:
        cure = "name the proxies' own addresses in `http.proxies`"
        yield Check("proxies", "failed", f"`{wide[0]}` lets callers say where they come from", cure)
    elif config.http.proxies:
        yield Check("proxies", "ok", ", ".join(config.http.proxies))


def check_anonymous(broker: Broker, refusal: str, *, is_open: bool) -> Check:
    """Judge what a broker has said to somebody without credentials.

    Args:
        broker: which one.
        refusal: its reason; empty when it has let him in.
        is_open: whether other machines reach this server, so that devices of theirs are expected.

    """
    name = f"anonymous {broker.name}"
    if refusal:
        return Check(name, "ok", "the broker wants credentials")
    if broker.host in LOOPBACK and not is_open:
        return Check(name, "ok", "open to every program of this machine")
    cure = "set `allow_anonymous false` and a `password_file` in mosquitto.conf, or run `muster install server`"
    return Check(name, "failed", f"{broker.host}:{broker.port} lets in whoever comes", cure)


def check_keys(config: Config, running: ServerFiles | None) -> Iterator[Check]:
    """Look whether the fleet's key and the admin's token can be guessed."""
    fleet = config.enrolment_key or (running.enrolment_key if running is not None else "")
    for name, secret, key in (("fleet key", fleet, "enrolment_key"), ("admin token", config.api_token, "api_token")):
        if not secret:
            continue
        if reason := weakness(secret):
            cure = f"set `{key}` to the output of `python3 -c 'import secrets; print(secrets.token_urlsafe(32))'`"
            yield Check(name, "failed", f"it {reason}", cure)
        else:
            yield Check(name, "ok", "hard to guess")


def weakness(secret: str) -> str:
    """Return why a secret can be guessed, empty where nothing speaks for it."""
    if len(secret) < 16:
        return f"has {len(secret)} characters, 16 are the least"
    if len(set(secret)) < FEWEST_CHARACTERS:
        return f"has only {len(set(secret))} different characters"
    if secret.isdigit():
        return "is a number"
    if len(secret) < 32 and _COMMON.search(secret):
        return "holds a word that whoever guesses tries first"
    return ""


# -- what is kept ----------------------------------------------------------------------------------------------------


def check_sealing(config: Config, environ: Mapping[str, str]) -> Check:
    """Look whether everything that is to be sealed in the database is, with the newest key."""
    keys = KeyFile.of(config.data_path, environ)
    noted = _ask_database(config, sealed_with)
    if noted is None:
        return Check("sealing", "ok", _NO_DATABASE)
    lost = "restore the file from a backup, see docs/backup.md"
    if not keys.path.exists():
        if noted:
            return Check("sealing", "failed", f"the key {keys.path} is gone: nobody can read what it seals", lost)
        return Check("sealing", "warning", f"there is no key {keys.path} yet", "start the server once")
    try:
        ring = keys.load()
    except SealingError as error:
        return Check("sealing", "failed", str(error).rstrip("."), "see docs/backup.md")
    if noted and noted not in ring:
        return Check("sealing", "failed", f"values are sealed with the key {noted}, not in {keys.path}", lost)
    if noted != ring.current:
        cure = "start the server: it seals them one after the other"
        return Check("sealing", "warning", "not every value is sealed with the newest key yet", cure)
    return Check("sealing", "ok", f"every value is sealed with the key {noted}")


def check_migrations(config: Config) -> Check:
    """Compare the tables with what this release makes of them."""
    applied = _ask_database(config, lambda database: frozenset(_applied(database)))
    if applied is None:
        return Check("migrations", "ok", _NO_DATABASE)
    if unknown := sorted(applied - known_migrations()):
        cure = "install the release that made them"
        return Check("migrations", "failed", f"the tables are of a newer release ({unknown[-1]})", cure)
    if pending := sorted(known_migrations() - applied):
        cure = "make a backup, then start the server, which applies them"
        return Check("migrations", "warning", f"{len(pending)} are pending, up to {pending[-1]}", cure)
    return Check("migrations", "ok", f"{len(applied)} applied, none pending")


def check_backup(config: Config, now: dt.datetime | None = None) -> Check:
    """Look when the last backup was made."""
    moment = now or dt.datetime.now(dt.UTC)
    cure = "run `muster backup FILE --key-file KEY` every night"
    last = last_backup(config.data_path)
    try:
        made = (config.data_path / "instance").stat().st_mtime
    except OSError:
        return Check("backup", "ok", "there is nothing to back up yet")
    if last is None:
        age = (moment.timestamp() - made) / 86_400
        if age < BACKUP_DAYS:
            return Check("backup", "ok", "none yet, of a server that is new")
        return Check("backup", "warning", f"none was ever made in {age:.0f} days", cure)
    age = (moment.timestamp() - last.at) / 86_400
    if age > BACKUP_DAYS:
        return Check("backup", "warning", f"the last one is {age:.0f} days old: {last.file}", cure)
    return Check("backup", "ok", f"{last.file}, {age * 24:.0f} h old")


def check_release_keys(config: Config) -> Check:
    """Look who may sign what devices install."""
    cure = "put the `.pub` of those who may release into it, see docs/releases.md"
    place = config.data_path / "release-keys"
    try:
        count = len(load_trusted([place])) + len(config.updates.keys)
    except KeyFileError as error:
        return Check("release keys", "failed", str(error).rstrip("."), cure)
    if count:
        return Check("release keys", "ok", f"{count} may sign releases")
    if any((config.data_path / "releases").glob("*.muster")):
        return Check("release keys", "failed", f"there are releases, and {place} trusts nobody's signature", cure)
    return Check("release keys", "ok", "none: this server hands out no updates")


def check_clock() -> Check:
    """Look whether the clock is set by somebody who knows."""
    if clock_quality() == "ntp":
        return Check("clock", "ok", "synchronised")
    cure = "run `timedatectl set-ntp true`; certificates, tokens and readings go by it"
    return Check("clock", "warning", "nothing synchronises the clock of this machine", cure)


def check_edges(running: ServerFiles) -> Iterator[Check]:
    """Look for edges of a release that is older than the server's."""
    try:
        with ApiClient(running.url, running.token, timeout=5.0, ca_file=running.ca_file) as client:
            devices = list(client.pages("/api/devices"))
    except ApiError:
        return  # told of already
    old = sorted(device["serial"] for device in devices if _is_older(device))
    if old:
        named = ", ".join(old[:_MOST_NAMED]) + (f" and {len(old) - _MOST_NAMED} more" if len(old) > _MOST_NAMED else "")
        cure = "update them, see docs/rollouts.md"
        yield Check("edges", "warning", f"{len(old)} run an older release than {__version__}: {named}", cure)
    else:
        yield Check("edges", "ok", "none is older than the server")


def _is_older(device: Mapping[str, Any]) -> bool:
    told = (device.get("system_info") or {}).get("version")
    try:
        return isinstance(told, str) and Version(told) < Version(__version__)
    except InvalidVersion:
        return False


# -- the database ----------------------------------------------------------------------------------------------------


def _ask_database(config: Config, question: Any) -> Any:
    """Return the answer; None where there is no database, or none that can be asked: that is told elsewhere."""
    url = config.database.url
    if url.startswith("sqlite:") and not Path(unquote(urlsplit(url).path)[1:]).exists():
        return None
    try:
        with connected(url, read_only=True) as database:
            return question(database) if database.table_exists(HISTORY) else None
    except BackupError:
        return None


def _applied(database: Any) -> Iterator[str]:
    for (name,) in database.execute_sql(f"SELECT name FROM {HISTORY}").fetchall():  # noqa: S608 - a constant
        yield str(name)
