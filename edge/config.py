"""Where the settings of an edge come from: flags over environment over the section `[edge]` of a TOML file.

The file may be the server's own: its other sections are left to the server. Each layer is checked alone, so that a
refusal names its source, the key and the reason in one sentence.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from actors.link.options import BrokerURLError
from actors.version import __version__
from edge.settings import EdgeConfigError, EdgeSettings
from supervisor.process import wrong_value
from supervisor.process.data_dir import default_data_dir

FILES = (Path("muster.toml"), Path("/etc/muster/edge.toml"), Path("/etc/muster/muster.toml"))
"""Where the file is looked for, relative to the working directory; the first that is there counts."""
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")

logger = logging.getLogger(__name__)

Patch = dict[str, Any]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"`{text}` is not a number") from None


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"`{text}` is not a whole number")
    return int(text)


#: Variable -> (key, how to read it).
_VARIABLES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "MUSTER_DEVICE_ID": ("device_id", str),
    "MUSTER_HEARTBEAT": ("heartbeat", _number),
    "MUSTER_SERVER_URL": ("server_url", lambda text: text.rstrip("/")),
    "MUSTER_CA_FILE": ("ca_file", str),
    "MUSTER_CANDIDATES": ("candidates", _names),
    "MUSTER_ENROLMENT_KEY": ("enrolment_key", str),
    "MUSTER_ENROLMENT_KEY_FILE": ("enrolment_key_file", str),
    "MUSTER_API_TOKEN": ("api_token", str),
    "MUSTER_HUB_CONNECTION_STRING": ("hub_connection_string", str),
    "MUSTER_HUB_CA_FILE": ("hub_ca_file", str),
    "MUSTER_LOG": ("log", str),
    "MUSTER_LOG_FILE": ("log_file", str),
    "MUSTER_DATA_DIR": ("data_dir", str),
    "MQTT_CLIENT_ID": ("broker.client_id", str),
    "MQTT_KEEPALIVE": ("broker.keepalive", _whole),
}
#: A key in one layer takes the place of the file that a lower layer names, and the other way round.
_INSTEAD_OF = {"enrolment_key": "enrolment_key_file", "enrolment_key_file": "enrolment_key"}
#: Flag of `muster-edge run` -> key; a flag's text is read as the variable's.
_FLAGS = {
    "device_id": "device_id",
    "server": "server_url",
    "ca_file": "ca_file",
    "broker": "broker.url",
    "enrolment_key_file": "enrolment_key_file",
    "log": "log",
    "log_file": "log_file",
    "data_dir": "data_dir",
}
_PATHS = ("ca_file", "enrolment_key_file", "hub_ca_file", "log_file")


def load_settings(
    flags: Mapping[str, Any], environ: Mapping[str, str], *, cwd: Path, strict: bool = True
) -> EdgeSettings:
    """Read every layer.

    Args:
        flags: by name as in the command: `config`, `device_id`, `server`, `data_dir`, ...; None means not given.
        environ: the environment variables; an empty one counts as not given.
        cwd: where `muster.toml` is looked for and paths begin.
        strict: whether a key that is not known is refused; else it is left out, with a warning.

    Raises:
        EdgeConfigError: naming source, key and reason.

    """
    merged: Patch = {}
    for source, patch in _layers(flags, environ, cwd):
        if not strict:
            _leave_unknown(patch, source)
        _convert(patch, source)
        merged = _merge(merged, patch)
    settings = _convert(merged, "the configuration as a whole")
    return _complete(settings, environ, cwd)


def _layers(flags: Mapping[str, Any], environ: Mapping[str, str], cwd: Path) -> Iterable[tuple[str, Patch]]:
    yield _file_layer(flags.get("config") or environ.get("MUSTER_CONFIG"), cwd)
    if broker := _broker_url(environ):
        yield f"variable {broker[0]}", {"broker": {"url": broker[1]}}
    for name, (key, read) in _VARIABLES.items():
        if text := environ.get(name, ""):
            try:
                yield f"variable {name}", _patch(key, read(text.strip()))
            except ValueError as error:
                raise EdgeConfigError(f"variable {name}: {error}.") from None
    for flag, key in _FLAGS.items():
        given = flags.get(flag)
        if given:
            yield f"flag --{flag.replace('_', '-')}", _patch(key, given.rstrip("/") if flag == "server" else given)


def _file_layer(explicit: str | None, cwd: Path) -> tuple[str, Patch]:
    paths = [cwd / explicit] if explicit else [cwd / path for path in FILES if (cwd / path).is_file()]
    if not paths:
        return "no file", {}
    import tomllib  # only who has a file pays for its parser

    source = f"file {paths[0]}"
    try:
        section = tomllib.loads(paths[0].read_text(encoding="utf-8")).get("edge", {})
    except OSError as error:
        raise EdgeConfigError(f"{source}: cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EdgeConfigError(f"{source}: is not valid TOML: {error}.") from None
    if not isinstance(section, dict):
        raise EdgeConfigError(f"{source}: key edge: is not a section.")
    return f"{source}: section [edge]", section


def _broker_url(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return a variable and the broker's URL by it; a user of the common names fills in what a URL leaves out."""
    user, password = environ.get("MQTT_USERNAME", ""), environ.get("MQTT_PASSWORD", "")
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "") + "@" if user else ""
    if url := environ.get("MUSTER_BROKER_URL", ""):
        scheme, separator, rest = url.partition("://")
        return "MUSTER_BROKER_URL", url if "@" in rest else f"{scheme}{separator}{login}{rest}"
    host = environ.get("MQTT_BROKER_HOST", "")
    if not host:
        return None
    tls = (environ.get("MQTT_USE_TLS") or "false").lower()
    if tls not in (*_TRUE, *_FALSE):
        raise EdgeConfigError(f"variable MQTT_USE_TLS: `{tls}` is neither true nor false.")
    scheme = "mqtts" if tls in _TRUE else "mqtt"
    port = environ.get("MQTT_BROKER_PORT", "")
    address = f"[{host}]" if ":" in host else host
    return "MQTT_BROKER_HOST", f"{scheme}://{login}{address}" + (f":{port}" if port else "")


def _patch(key: str, value: Any) -> Patch:
    section, dot, leaf = key.partition(".")
    return {section: {leaf: value}} if dot else {section: value}


def _merge(below: Patch, above: Patch) -> Patch:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        merged.pop(_INSTEAD_OF.get(key, ""), None)
    return merged


def _leave_unknown(patch: Patch, source: str) -> None:
    """Take out the keys that this version does not know, each with a warning.

    An edge that updates itself may have to go back to the version before with a file that was written for the one
    after: it must not refuse to start for that. The command `muster-edge` is always that of the installation.
    """
    while True:
        try:
            msgspec.convert(patch, EdgeSettings)
        except (msgspec.ValidationError, BrokerURLError) as error:
            reason, key = wrong_value.split(str(error))
            unknown, section = wrong_value.unknown_name(reason), _section(patch, key)
            if not unknown or not isinstance(section, dict) or unknown not in section:
                return  # who converts it tells what is wrong
            section.pop(unknown)
            told = wrong_value.join(key, unknown)
            logger.warning("%s: key %s: is not known to version %s, and does nothing", source, told, __version__)
        else:
            return


def _section(patch: Patch, key: str) -> Any:
    """Return what stands at a key such as `sensors[0].mqtt`; None if that leads nowhere."""
    found: Any = patch
    try:
        for number, name in re.findall(r"\[(\d+)\]|([^.\[\]]+)", key):
            found = found[int(number) if number else name]
    except (LookupError, TypeError):
        return None
    return found


def _convert(patch: Patch, source: str) -> EdgeSettings:
    try:
        return msgspec.convert(patch, EdgeSettings)
    except (msgspec.ValidationError, BrokerURLError) as error:
        raise EdgeConfigError(f"{source}: {wrong_value.sentence(str(error))}.") from None


def _complete(settings: EdgeSettings, environ: Mapping[str, str], cwd: Path) -> EdgeSettings:
    """Fill in what depends on the user and on the working directory, and the key that stands in a file."""
    data_dir = Path(settings.data_dir).expanduser() if settings.data_dir else default_data_dir(environ)
    paths = {name: str(cwd / getattr(settings, name)) for name in _PATHS if getattr(settings, name)}
    settings = msgspec.structs.replace(settings, data_dir=str(cwd / data_dir), **paths)
    if not settings.enrolment_key_file:
        return settings
    return msgspec.structs.replace(settings, enrolment_key=_read_secret(Path(settings.enrolment_key_file)))


def _read_secret(path: Path) -> str:
    try:
        secret = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise EdgeConfigError(f"key enrolment_key_file: {path} cannot be read: {error.strerror}.") from None
    if not secret or not secret.isprintable():
        raise EdgeConfigError(f"key enrolment_key_file: {path} holds no key.")
    return secret
