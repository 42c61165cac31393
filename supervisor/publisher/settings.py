"""What a publisher is told: flags over environment over the section `[publisher]` of `muster.toml`.

Broker, API token, data directory and prefix are read as the server reads them (`supervisor.server.config`), so that one
file and one set of variables serve both on one machine.
"""

from __future__ import annotations

import re
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from actors.publisher import Station
from supervisor.process.rundir import runtime_directory
from supervisor.publisher.places import Places
from supervisor.publisher.section import LONGEST_ID, Publisher
from supervisor.server.config import SYSTEM_FILE, Config, ConfigError, load_config


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a publisher process needs; immutable, complete, checked."""

    publisher: Publisher
    """With `id` and `prefix` filled in."""
    places: Places
    home: Path
    """The directory of all publishers of this machine; each has its own below it, by its id."""
    client_id: str
    """Of the MQTT connection; empty draws one."""
    log: str
    once: bool = False
    """One reading of each station, delivered, and the end."""

    def station(self, publisher_id: str) -> Station:
        """Return one station."""
        own = self.publisher
        return Station(
            publisher_id=publisher_id,
            prefix=own.prefix,
            interval=own.interval,
            once=self.once,
            memory=self.home / own.id / "stations" / f"{publisher_id}.json",
        )


def load_settings(
    flags: Mapping[str, Any], environ: Mapping[str, str], *, cwd: Path, once: bool = False, hostname: str | None = None
) -> Settings:
    """Read every layer.

    Args:
        flags: by name as in `Publisher`, and `config`, `data_dir`, `broker`, `log`; None means not given.
        environ: the environment variables.
        cwd: where `muster.toml` is looked for and paths begin.
        once: whether one reading is all that is wanted.
        hostname: of this machine, unless asked for.

    Raises:
        ConfigError: naming source, key and reason.

    """
    config = load_config({name: flags.get(name) for name in ("config", "data_dir", "log")}, environ, cwd=cwd)
    section = _section(flags.get("config") or environ.get("MUSTER_CONFIG"), cwd)
    given = {name: flags[name] for name in Publisher.__struct_fields__ if flags.get(name) is not None}
    _convert(section, "the section [publisher]")
    for name, value in given.items():
        _convert({name: value}, f"flag --{name.replace('_', '-')}")
    own = _convert({**section, **given}, "the publisher's settings")
    own = msgspec.structs.replace(
        own,
        id=own.id or default_id(socket.gethostname() if hostname is None else hostname),
        prefix=own.prefix or next(iter(config.prefixes), "harit-samarth"),
        file=str(cwd / own.file) if own.file else "",
    )
    config = _with_broker(config, flags.get("broker"))
    return Settings(
        publisher=own,
        places=_places(config, own, environ, cwd),
        home=config.data_path / "publisher",
        client_id=config.brokers[0].client_id,
        log=config.log,
        once=once,
    )


def default_id(hostname: str) -> str:
    """Return `soil-` and the host's name, as far as a serial number can bear it."""
    name = re.sub(r"[^A-Za-z0-9._:-]", "-", hostname.partition(".")[0])
    return f"soil-{name or 'station'}"[: LONGEST_ID - 5]


def _section(explicit: str | None, cwd: Path) -> dict[str, Any]:
    """Return the section of the file that `load_config` has read and found to be TOML."""
    paths = [cwd / explicit] if explicit else [path for path in (cwd / "muster.toml", SYSTEM_FILE) if path.is_file()]
    for path in paths:
        section: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8")).get("publisher", {})
        return section
    return {}


def _convert(patch: Mapping[str, Any], source: str) -> Publisher:
    try:
        return msgspec.convert(patch, Publisher)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {str(error)[:1].lower()}{str(error)[1:]}.") from None


def _with_broker(config: Config, url: str | None) -> Config:
    if not url:
        return config
    try:
        return config.with_broker_url(url)
    except ValueError as error:
        raise ConfigError(f"flag --broker: {error}.") from None


def _places(config: Config, own: Publisher, environ: Mapping[str, str], cwd: Path) -> Places:
    server = own.server or environ.get("MUSTER_SERVER_URL", "")
    token = _read_token(cwd / own.token_file) if own.token_file else config.api_token
    return Places(
        broker=config.brokers[0] if config.broker_given else None,
        server=server.rstrip("/"),
        token=token,
        rundir=runtime_directory(environ),
        mode=own.mode,
    )


def _read_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise ConfigError(f"the token file {path}: cannot be read: {error.strerror}.") from None
    if not token or not token.isascii() or not token.isprintable():
        raise ConfigError(f"the token file {path}: holds no token.")
    return token
