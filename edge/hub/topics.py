"""Topics of an IoT Hub: pure functions ("Communicate with an IoT hub by using the MQTT protocol", Microsoft)."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from actors.hub.connection_string import ConnectionString

API_VERSION = "2021-04-12"
FILTERS = ("$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#", "$iothub/methods/POST/#")
"""What we subscribe; a hub allows five at a time."""

_TWIN_ANSWER = "$iothub/twin/res/"
_DESIRED = "$iothub/twin/PATCH/properties/desired/"
_METHOD = "$iothub/methods/POST/"


class TwinAnswer(NamedTuple):
    """The answer to a request of ours."""

    status: int
    request_id: str


class DesiredPatch(NamedTuple):
    """A change of desired properties."""

    version: int


class MethodCall(NamedTuple):
    """A direct method that somebody calls."""

    name: str
    request_id: str


def username(identity: ConnectionString) -> str:
    """Return what CONNECT bears as its user name."""
    module = f"/{identity.module_id}" if identity.module_id else ""
    return f"{identity.host}/{identity.device_id}{module}/?api-version={API_VERSION}"


def client_id(identity: ConnectionString) -> str:
    """Return the client id that the hub asks for."""
    return f"{identity.device_id}/{identity.module_id}" if identity.module_id else identity.device_id


def event_topic(identity: ConnectionString, item_id: str, kind: str) -> str:
    """Return the topic of a message to the cloud, with its properties.

    `$.ct` and `$.ce` let the hub route by the body. Ids of devices stand as they are, values are percent-encoded.
    """
    module = f"/modules/{identity.module_id}" if identity.module_id else ""
    bag = {"$.mid": item_id, "$.ct": "application/json", "$.ce": "utf-8", "kind": kind}
    properties = "&".join(f"{name}={quote(value, safe='')}" for name, value in bag.items())
    return f"devices/{identity.device_id}{module}/messages/events/{properties}"


def get_twin(request_id: str) -> str:
    """Return the topic that asks for the whole twin."""
    return f"$iothub/twin/GET/?$rid={request_id}"


def report_twin(request_id: str) -> str:
    """Return the topic on which reported properties are patched."""
    return f"$iothub/twin/PATCH/properties/reported/?$rid={request_id}"


def answer_method(call: MethodCall, status: int) -> str:
    """Return the topic of the answer to a direct method."""
    return f"$iothub/methods/res/{status}/?$rid={call.request_id}"


def read_topic(topic: str) -> TwinAnswer | DesiredPatch | MethodCall | None:
    """Return what a message of the hub is, None for what we know nothing of."""
    path, _, query = topic.partition("?")
    values = dict(part.partition("=")[::2] for part in query.split("&"))
    request_id, version = values.get("$rid", ""), values.get("$version", "")
    if path.startswith(_TWIN_ANSWER):
        status = path.removeprefix(_TWIN_ANSWER).rstrip("/")
        return TwinAnswer(int(status), request_id) if _is_number(status) and request_id else None
    if path.startswith(_DESIRED):
        return DesiredPatch(int(version)) if _is_number(version) else None
    if path.startswith(_METHOD):
        return MethodCall(path.removeprefix(_METHOD).rstrip("/"), request_id) if request_id else None
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20
