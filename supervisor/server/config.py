"""Where the configuration comes from: a TOML file, over it environment variables, over them flags.

`load_config` is a pure function of its arguments. Each layer is checked alone, so that a refusal names its source (the
file, the variable or the flag), the key and the reason in one sentence.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from supervisor.process.data_dir import default_data_dir
from supervisor.process.wrong_value import sentence

from .access.settings import ProgramUser
from .settings import (
    Broker,
    Config,
    Database,
    EmbeddedBroker,
    Enrolment,
    Http,
    Hub,
    Limits,
    Mdns,
    OfflineAfterFor,
    Publishing,
    Tls,
)
from .values import broker_url, parse_listen, redact_url

__all__ = [
    "Broker",
    "Config",
    "ConfigError",
    "Database",
    "EmbeddedBroker",
    "Enrolment",
    "Http",
    "Hub",
    "Limits",
    "Mdns",
    "OfflineAfterFor",
    "Publishing",
    "Tls",
    "load_config",
    "redact_url",
]

SYSTEM_FILE = Path("/etc/muster/muster.toml")
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")

Patch = dict[str, Any]
T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


class ConfigError(Exception):
    """The configuration cannot be used; the message is one sentence with source, key and reason."""


class Layer(NamedTuple):
    """A partial configuration and where it came from."""

    source: str
    """`file muster.toml`, `variable MUSTER_HTTP`, `flag --http`."""
    patch: Patch


# -- what one text value becomes -------------------------------------------------------------------------------------


def _as_is(text: str) -> str:
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"`{text}` is not a number") from None


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError(f"`{text}` is not a whole number")
    return int(text)


def _truth(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"`{text}` is neither true nor false")


def _sites(text: str) -> str | list[str]:
    return text if text == "all" else _names(text)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


#: Text setting -> (key in the file, how to read it). The same names serve variables and flags.
_SETTINGS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "HTTP": ("http", parse_listen),
    "DATABASE_URL": ("database.url", _as_is),
    "DATA_DIR": ("data_dir", _as_is),
    "OFFLINE_AFTER": ("offline_after", _number),
    "SITES": ("sites", _sites),
    "PRIMARY": ("primary", _truth),
    "SHARED_TOPICS": ("shared_topics", _truth),
    "PREFIXES": ("prefixes", _names),
    "TIMEZONE": ("timezone", _as_is),
    "API_TOKEN": ("api_token", _as_is),
    "ENROLMENT_KEY": ("enrolment_key", _as_is),
    "ENROLMENT_KEY_FILE": ("enrolment_key_file", _as_is),
    "LOG": ("log", _as_is),
    "BROKER_PORT": ("embedded_broker.port", _integer),
    "BROKER": ("embedded_broker.implementation", _as_is),
}
#: The common MQTT names that are no part of the broker's URL.
_MQTT_SETTINGS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "MQTT_CLIENT_ID": ("client_id", _as_is),
    "MQTT_KEEPALIVE": ("keepalive", _integer),
    "MQTT_TIMEOUT": ("timeout", _number),
    "MQTT_QOS": ("publishing.qos", _integer),
    "MQTT_RETAIN": ("publishing.retain", _truth),
}
#: Understood elsewhere: by the edge, by the commands, by the runtime directory.
_FOREIGN = (
    "MUSTER_SERVER_URL",
    "MUSTER_DEVICE_ID",
    "MUSTER_HEARTBEAT",
    "MUSTER_RUNTIME_DIR",
    "MUSTER_CONFIG",
    "MUSTER_CA_FILE",
    "MUSTER_CANDIDATES",
    "MUSTER_HUB_CONNECTION_STRING",
    "MUSTER_HUB_CA_FILE",
    "MUSTER_LOG_FILE",
    "MUSTER_SEALING_KEY_FILE",
)
_BROKER_KEYS = ("client_id", "keepalive", "timeout")
#: A variable with a secret takes the place of the file that a lower layer names, and the other way round.
_INSTEAD_OF = {"enrolment_key": "enrolment_key_file", "enrolment_key_file": "enrolment_key"}


def load_config(flags: Mapping[str, str | None], environ: Mapping[str, str], *, cwd: Path) -> Config:
    """Read every layer and return the one configuration that they make together.

    Args:
        flags: Given on the command line, by name: `config` (path of the file), `http`, `data_dir`, `offline_after`,
            `log`, `broker_port`, ... as text; None means not given.
        environ: The environment variables.
        cwd: The directory in which `muster.toml` is looked for.

    Raises:
        ConfigError: naming source, key and reason.

    """
    layers = [*_file_layers(flags.get("config") or environ.get("MUSTER_CONFIG"), cwd)]
    layers += [*_environment_layers(environ), *_flag_layers(flags)]
    merged: Patch = {}
    for layer in layers:
        _convert(layer.patch, layer.source)
        merged = _merge(merged, layer.patch)
    config = _convert(merged, "the configuration as a whole")
    return _with_defaults(_with_secrets(config, cwd), environ, cwd)


# -- the layers ------------------------------------------------------------------------------------------------------


def _file_layers(explicit: str | None, cwd: Path) -> list[Layer]:
    path = find_file(explicit, cwd)
    return [] if path is None else [_read_file(path)]


def find_file(explicit: str | None, cwd: Path) -> Path | None:
    """Return the configuration's file: the one that is named, else the first that is there, else None."""
    if explicit:
        return cwd / explicit
    return next((path for path in (cwd / "muster.toml", SYSTEM_FILE) if path.is_file()), None)


def _read_file(path: Path) -> Layer:
    source = f"file {path}"
    try:
        return Layer(source, tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: is not valid TOML: {error}.") from None


def _environment_layers(environ: Mapping[str, str]) -> list[Layer]:
    _refuse_misspelt(environ)
    layers = [*_broker_url_layers(environ)]
    for name, (key, read) in _MQTT_SETTINGS.items():
        if environ.get(name):
            layers.append(_layer(f"variable {name}", key, read, environ[name]))
    for suffix, (key, read) in _SETTINGS.items():
        name = f"MUSTER_{suffix}"
        if environ.get(name):
            layers.append(_layer(f"variable {name}", key, read, environ[name]))
    return layers


def _refuse_misspelt(environ: Mapping[str, str]) -> None:
    """Refuse a variable that looks like one of ours; others are left alone (container platforms set some)."""
    known = [f"MUSTER_{suffix}" for suffix in _SETTINGS] + ["MUSTER_BROKER_URL", *_FOREIGN]
    for name in environ:
        if name.startswith("MUSTER_") and name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            if close:
                raise ConfigError(f"variable {name}: is not known, did you mean {close[0]}?")


def _broker_url_layers(environ: Mapping[str, str]) -> list[Layer]:
    """`MUSTER_BROKER_URL` wins over the common names; a user and a password of theirs fill what it leaves out."""
    url = environ.get("MUSTER_BROKER_URL", "")
    user, password = environ.get("MQTT_USERNAME", ""), environ.get("MQTT_PASSWORD", "")
    if url:
        source = "variable MUSTER_BROKER_URL"
        _convert({"brokers": [{"url": url}]}, source)
        broker = Broker(configured_url=url)
        if user and not broker.username:
            url = broker_url(broker.host, broker.port, tls=broker.uses_tls, username=user, password=password)
        return [Layer(source, {"brokers": [{"url": url}]})]
    if not environ.get("MQTT_BROKER_HOST"):
        return []
    tls = _read("variable MQTT_USE_TLS", _truth, environ.get("MQTT_USE_TLS") or "false")
    port_text = environ.get("MQTT_BROKER_PORT")
    port = _read("variable MQTT_BROKER_PORT", _port, port_text) if port_text else None
    url = broker_url(environ["MQTT_BROKER_HOST"], port, tls=tls, username=user, password=password)
    return [Layer("variable MQTT_BROKER_HOST", {"brokers": [{"url": url}]})]


def _port(text: str) -> int:
    port = _integer(text)
    if not 0 < port <= 65_535:
        raise ValueError(f"`{text}` is not a port between 1 and 65535")
    return port


def _flag_layers(flags: Mapping[str, str | None]) -> list[Layer]:
    layers = []
    for name, text in flags.items():
        if text is None or name == "config":
            continue
        key, read = _SETTINGS[name.upper()]
        layers.append(_layer(f"flag --{name.replace('_', '-')}", key, read, text))
    return layers


def _layer(source: str, key: str, read: Callable[[str], Any], text: str) -> Layer:
    value = _read(source, read, text)
    if key in _BROKER_KEYS:
        return Layer(source, {"brokers": [{key: value}]})
    patch: Patch = {}
    section, dot, leaf = key.partition(".")
    patch[section] = {leaf: value} if dot else value
    if key in _INSTEAD_OF:
        patch[_INSTEAD_OF[key]] = ""
    return Layer(source, patch)


def _read(source: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text.strip())
    except ValueError as error:
        raise ConfigError(f"{source}: {error}.") from None


# -- putting them together -------------------------------------------------------------------------------------------


def _merge(below: Patch, above: Patch) -> Patch:
    """Return `above` over `below`: tables merge by key; a variable's broker changes the first one of the file."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _merge(old, value)
        elif key == "brokers" and old:
            merged[key] = [_merge(old[0], value[0]), *old[1:]]
        else:
            merged[key] = value
    return merged


def _convert(patch: Patch, source: str) -> Config:
    try:
        return msgspec.convert(patch, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {sentence(str(error))}.") from None


def _with_secrets(config: Config, cwd: Path) -> Config:
    """Read the files that hold a secret each."""
    config = _read_secret(config, "", "enrolment_key", cwd)
    return msgspec.structs.replace(
        config,
        enrolment=_read_secret(config.enrolment, "enrolment.", "password", cwd),
        hub=_read_secret(config.hub, "hub.", "service_connection_string", cwd),
        broker_access=msgspec.structs.replace(config.broker_access, users=tuple(_program_users(config, cwd))),
    )


def _program_users(config: Config, cwd: Path) -> Iterator[ProgramUser]:
    for number, user in enumerate(config.broker_access.users):
        key = f"broker_access.users[{number}]."
        known = _read_secret(user, key, "password", cwd)
        if not known.password:
            raise ConfigError(f"key {key}password_file: is missing: {user.name} needs a password.")
        yield known


def _read_secret(section: S, prefix: str, name: str, cwd: Path) -> S:
    """Return the section with the secret of the file that its key `{name}_file` names, if it names one."""
    given = getattr(section, f"{name}_file")
    if not given:
        return section
    key = f"key {prefix}{name}_file"
    if getattr(section, name):
        raise ConfigError(f"{key}: {prefix}{name} is given too, leave one of them out.")
    path = cwd / Path(given).expanduser()
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"{key}: the file {path} cannot be read: {reason}.") from None
    if not secret:
        raise ConfigError(f"{key}: the file {path} is empty.")
    try:
        return msgspec.structs.replace(section, **{name: secret})
    except ValueError as error:
        raise ConfigError(f"{key}: the file {path}: {error}.") from None


def _with_defaults(config: Config, environ: Mapping[str, str], cwd: Path) -> Config:
    """Fill in the paths that depend on the user."""
    data_dir = Path(config.data_dir).expanduser() if config.data_dir else default_data_dir(environ)
    data_dir = cwd / data_dir
    database = config.database if config.database.url else Database(url=f"sqlite:///{data_dir / 'muster.db'}")
    return msgspec.structs.replace(config, data_dir=str(data_dir), database=database)
