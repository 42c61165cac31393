"""The tables, as peewee models.

The models are bound to no database: queries name theirs when they run (`query.execute(database)`), since the writer
and each reader have one of their own. Times named `*_us` are microseconds since 1970 UTC.

There are no foreign keys. The registry is the only writer and deletes what depends on a device itself; a key check
would cost every reading a look-up of a device whose id the writer has just looked up.
"""

from __future__ import annotations

from typing import Final

from actors.storage.models.access import BrokerAccount
from actors.storage.models.audit import AuditEntry
from actors.storage.models.base import DigestField, Table
from actors.storage.models.data import Analysed, Reading, Receipt, Rollup, RollupDay, RollupHour, Scan
from actors.storage.models.fleet import Device, Enrolment, FleetGroup, FleetGroupMember, LastSeen, Roster, Sensor, Twin
from actors.storage.models.house import ApiToken, DeadLetter, Event, Setting
from actors.storage.models.payload_keys import PayloadKey
from actors.storage.models.reach import (
    Alarm,
    AlarmDevice,
    AlarmNotice,
    AlarmRule,
    Command,
    Delivery,
    HomeAssistantDevice,
    Notification,
)
from actors.storage.models.releases import Release, Upload
from actors.storage.models.updates import MaintenanceWindow, RolledBack, Rollout, RolloutDevice

__all__ = [
    "MODELS",
    "Alarm",
    "AlarmDevice",
    "AlarmNotice",
    "AlarmRule",
    "Analysed",
    "ApiToken",
    "AuditEntry",
    "BrokerAccount",
    "Command",
    "DeadLetter",
    "Delivery",
    "Device",
    "DigestField",
    "Enrolment",
    "Event",
    "FleetGroup",
    "FleetGroupMember",
    "HomeAssistantDevice",
    "LastSeen",
    "MaintenanceWindow",
    "Notification",
    "PayloadKey",
    "Reading",
    "Receipt",
    "Release",
    "RolledBack",
    "Rollout",
    "RolloutDevice",
    "Rollup",
    "RollupDay",
    "RollupHour",
    "Roster",
    "Scan",
    "Sensor",
    "Setting",
    "Table",
    "Twin",
    "Upload",
]

MODELS: Final = (
    Device,
    LastSeen,
    Sensor,
    Reading,
    Receipt,
    DeadLetter,
    Event,
    ApiToken,
    Setting,
    Analysed,
    RollupHour,
    RollupDay,
    Scan,
    Enrolment,
    Notification,
    Delivery,
    Twin,
    Command,
    FleetGroup,
    FleetGroupMember,
    Roster,
    AlarmRule,
    Alarm,
    AlarmDevice,
    AlarmNotice,
    HomeAssistantDevice,
    Rollout,
    RolloutDevice,
    RolledBack,
    MaintenanceWindow,
    Release,
    Upload,
    AuditEntry,
    BrokerAccount,
    PayloadKey,
)
