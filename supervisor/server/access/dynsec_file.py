"""The file of Mosquitto's plugin for dynamic security, as we write it before the broker starts.

While the broker runs, the plugin alone writes it, and we speak to the plugin (`dynsec`). Roles: `server` may do
everything, `device` reads what all devices are told, `site` publishes for sites and sensors, and each device has a role
of its own: Mosquitto 2.0 knows no `%u` here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from supervisor.server.access.accounts import Account, own_topics, site_topics, told_topics
from supervisor.server.mosquitto import BrokerUser

logger = logging.getLogger(__name__)

PLUGINS: Final = (
    "/usr/lib/*/mosquitto_dynamic_security.so",
    "/usr/lib/mosquitto_dynamic_security.so",
    "/usr/local/lib/mosquitto_dynamic_security.so",
    "/opt/homebrew/lib/mosquitto_dynamic_security.so",
)
CONTROL: Final = "$CONTROL/dynamic-security/v1"
SERVER_ROLE, DEVICE_ROLE, SITE_ROLE = "server", "device", "site"
OWN_ROLE: Final = "device:"
"""Begins the name of a role of one device."""
DEFAULTS: Final = {
    "publishClientSend": False,
    "publishClientReceive": False,
    "subscribe": False,
    "unsubscribe": True,
}
"""Where no rule says otherwise."""
ROUNDS: Final = 101
"""What the plugin takes; our passwords are random, and no number of rounds makes them safer."""
_SALT_BYTES, _HASH_BYTES = 12, 64

Json = dict[str, Any]


def find_plugin(root: Path = Path("/")) -> str:
    """Return the path of the plugin, empty where it is not installed."""
    found = (path for pattern in PLUGINS for path in sorted(root.glob(pattern[1:])))
    return next((f"/{path.relative_to(root)}" for path in found), "")


def acls(write: Iterable[str] = (), read: Iterable[str] = ()) -> list[Json]:
    """Return the rules that let somebody publish, and subscribe and receive."""
    kinds = [("publishClientSend", topic) for topic in write]
    kinds += [(kind, topic) for topic in read for kind in ("publishClientReceive", "subscribePattern")]
    return [{"acltype": kind, "topic": topic, "priority": 0, "allow": True} for kind, topic in kinds]


def base_roles(prefixes: Sequence[str]) -> dict[str, list[Json]]:
    """Return the rules of the roles that several users have, by name."""
    everything = ("#", "$SYS/#", "$CONTROL/#")
    told = told_topics(prefixes)
    return {
        SERVER_ROLE: acls(everything, everything),
        # Who subscribes `server/#` receives what it may and nothing else.
        DEVICE_ROLE: acls(read=told) + [rule for rule in acls(read=["server/#"]) if rule["acltype"] != _RECEIVE],
        SITE_ROLE: acls(site_topics(prefixes)),
    }


_RECEIVE = "publishClientReceive"


def own_rules(account: Account) -> list[Json]:
    """Return the rules of the role that one device has for itself."""
    own = own_topics(account.serial, account.serial)
    return acls(own, [*own, *account.topics])


def own_roles(account: Account) -> list[Json]:
    """Return the names of a device's roles as the plugin wants them."""
    names = [f"{OWN_ROLE}{account.serial}", DEVICE_ROLE, *([SITE_ROLE] if account.publishes else [])]
    return [{"rolename": name} for name in names]


def prepare(path: Path, servers: Sequence[BrokerUser], prefixes: Sequence[str]) -> bytes:
    """Return what the file has to hold when the broker starts: what is there, with our server and our roles.

    A file that cannot be read is as good as none: devices are told to the broker anew.
    """
    return render(_read(path), servers, prefixes)


def render(said: Json, servers: Sequence[BrokerUser], prefixes: Sequence[str]) -> bytes:
    """Return a file with these servers, the roles of this release, and all devices that were in it."""
    roles = base_roles(prefixes)
    clients = {client["username"]: client for client in said.get("clients", ()) if "username" in client}
    kept = [client for client in clients.values() if not _has_role(client, SERVER_ROLE)]
    whole = {
        "defaultACLAccess": DEFAULTS,
        "clients": [*(_server(user, clients.get(user.name)) for user in servers), *kept],
        "groups": said.get("groups", []),
        "roles": [
            *({"rolename": name, "acls": rules} for name, rules in roles.items()),
            *(role for role in said.get("roles", ()) if role.get("rolename") not in roles),
        ],
    }
    return json.dumps(whole, indent="\t").encode()


def _read(path: Path) -> Json:
    try:
        said = json.loads(path.read_bytes())
        render(said, (), ())  # that it can be
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        logger.error("The broker's users in %s cannot be read (%s); it is told of them anew.", path, error)  # noqa: TRY400 - the reason is the whole story
        return {}
    assert isinstance(said, dict)
    return said


def _has_role(client: Json, name: str) -> bool:
    return any(role.get("rolename") == name for role in client.get("roles", ()))


def _server(user: BrokerUser, known: Json | None) -> Json:
    """Return the client of a server; one that has this password already stays as it is."""
    if known is not None and _has_role(known, SERVER_ROLE) and _fits(user.password, known):
        return known
    salt = secrets.token_bytes(_SALT_BYTES)
    return {
        "username": user.name,
        "roles": [{"rolename": SERVER_ROLE}],
        "password": base64.b64encode(_hash(user.password, salt, ROUNDS)).decode(),
        "salt": base64.b64encode(salt).decode(),
        "iterations": ROUNDS,
    }


def _fits(password: str, client: Json) -> bool:
    try:
        salt, hashed = base64.b64decode(client["salt"]), base64.b64decode(client["password"])
        return _hash(password, salt, int(client["iterations"])) == hashed
    except (KeyError, ValueError, TypeError, OverflowError):
        return False


def _hash(password: str, salt: bytes, rounds: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, _HASH_BYTES)
