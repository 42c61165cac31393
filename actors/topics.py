"""The topics that devices speak on, as one table; section and verb decide who handles a message.

| filter | family | link |
|---|---|---|
| `devices/announce`, `devices/heartbeat`, `devices/status` | pi, shared | control |
| `devices/{id}/announce`, `/heartbeat`, `/status` | pi, bound | control |
| `devices/{id}/readings`, `/scans`, `/responses`, `/receipts`, `/twin/reported` | pi, bound | data |
| `{site}/datalogger/{type}/{id}/heartbeat` | datalogger | control |
| `{site}/datalogger/{type}/{id}/input`, `/output` | datalogger | data |
| `{site}/gateway/{id}/heartbeat` | gateway | control |
| `{site}/gateway/{id}/input`, `/output` | gateway | data |
| `{prefix}/sensor/data` | sensor | data |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

SERIAL = re.compile(r"[A-Za-z0-9._:-]{1,64}")
SHARED_VERBS = frozenset({"announce", "heartbeat", "status"})
BOUND_VERBS = SHARED_VERBS | {"readings", "scans", "responses", "receipts"}
SITE_VERBS = frozenset({"heartbeat", "input", "output"})
LONGEST_NAME = 128
"""Characters of a site, type or id; longer ones are refused."""
SCANS_TAIL = "/scans"
RESPONSES_TAIL = "/responses"
TWIN_REPORTED = "twin/reported"
"""The one verb of two levels."""
SENSOR_TAIL = "/sensor/data"
SENSOR_CHANNEL = "data"
"""The channel of the readings that come there."""

SHARED_CONTROL = tuple(f"devices/{verb}" for verb in sorted(SHARED_VERBS))
BOUND_CONTROL = tuple(f"devices/+/{verb}" for verb in sorted(SHARED_VERBS))
BOUND_DATA = (
    "devices/+/readings",
    "devices/+/scans",
    "devices/+/responses",
    "devices/+/receipts",
    f"devices/+/{TWIN_REPORTED}",
)


class BadTopicError(ValueError):
    """The topic is not one of ours."""


class Address(msgspec.Struct, frozen=True, gc=False):
    """What a topic tells of the device behind it."""

    family: str
    verb: str
    bound_id: str = ""
    """The serial in `devices/{id}/...`; empty on shared topics and on site topics."""
    device_id: str = ""
    type: str = ""
    site: str = ""

    @property
    def label(self) -> str:
        """Return the label that the topic gives: `monstro/1`, `Gateway 7`."""
        if self.family == "gateway":
            return f"Gateway {self.device_id}"
        return f"{self.type}/{self.device_id}" if self.family == "datalogger" else ""


def site_control(sites: Sequence[str] | None) -> tuple[str, ...]:
    """Return the heartbeat filters of the given sites; None means all sites."""
    return tuple(
        f"{site}/{tail}" for site in (sites or ["+"]) for tail in ("datalogger/+/+/heartbeat", "gateway/+/heartbeat")
    )


def site_data(sites: Sequence[str] | None) -> tuple[str, ...]:
    """Return the input and output filters of the given sites; None means all sites."""
    return tuple(
        f"{site}/{device}/{verb}"
        for site in (sites or ["+"])
        for device in ("datalogger/+/+", "gateway/+")
        for verb in ("input", "output")
    )


def sensor_data(prefixes: Sequence[str]) -> tuple[str, ...]:
    """Return the filters of what sensors publish under the given prefixes."""
    return tuple(f"{prefix}{SENSOR_TAIL}" for prefix in prefixes)


def parse_pi(topic: str) -> Address:
    """Parse `devices/...`.

    Raises:
        BadTopicError: naming what is wrong.

    """
    parts = topic.split("/")
    ours = parts[0] == "devices"
    if ours and len(parts) == 2 and parts[1] in SHARED_VERBS:
        return Address("pi", parts[1])
    if ours and len(parts) == 3 and parts[2] in BOUND_VERBS:
        if not SERIAL.fullmatch(parts[1]):
            raise BadTopicError(f"the id {parts[1][:80]!r} in the topic is not a serial number")
        return Address("pi", parts[2], bound_id=parts[1], device_id=parts[1])
    if ours and len(parts) == 4 and topic.endswith(f"/{TWIN_REPORTED}"):
        return msgspec.structs.replace(parse_pi(f"devices/{parts[1]}/readings"), verb=TWIN_REPORTED)
    raise BadTopicError(f"{topic[:120]!r} is not a topic of this family")


def parse_site(topic: str) -> Address:
    """Parse `{site}/datalogger/{type}/{id}/{verb}` or `{site}/gateway/{id}/{verb}`.

    Raises:
        BadTopicError: naming what is wrong.

    """
    parts = topic.split("/")
    if "" in parts or (len(topic) > LONGEST_NAME and max(map(len, parts)) > LONGEST_NAME):
        raise BadTopicError("a part of the topic is empty or too long")
    if len(parts) == 5 and parts[1] == "datalogger" and parts[4] in SITE_VERBS:
        return Address("datalogger", parts[4], device_id=parts[3], type=parts[2], site=parts[0])
    if len(parts) == 4 and parts[1] == "gateway" and parts[3] in SITE_VERBS:
        return Address("gateway", parts[3], device_id=parts[2], site=parts[0])
    raise BadTopicError(f"{topic[:120]!r} is not a topic of this family")


@lru_cache(maxsize=256)  # all sensors of a prefix share one topic
def parse_sensor(topic: str) -> Address:
    """Parse `{prefix}/sensor/data`; the prefix, which may have several levels, is the site.

    Raises:
        BadTopicError: naming what is wrong.

    """
    prefix = topic.removesuffix(SENSOR_TAIL)
    if prefix == topic or not prefix or len(prefix) > LONGEST_NAME:
        raise BadTopicError(f"{topic[:120]!r} is not a topic of this family")
    return Address("sensor", "data", site=prefix)
