"""The tables, as peewee models.

The models are bound to no database: queries name theirs when they run (`query.execute(database)`), since the writer
and each reader have one of their own. Times named `*_us` are microseconds since 1970 UTC.

There are no foreign keys. The registry is the only writer and deletes what depends on a device itself; a key check
would cost every reading a look-up of a device whose id the writer has just looked up.
"""

from __future__ import annotations

from typing import Final

from peewee import (
    AutoField,
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    CharField,
    CompositeKey,
    DoubleField,
    IntegerField,
    Model,
    TextField,
)


class DigestField(BlobField):
    """Exactly 16 bytes; a type that MySQL can index whole (see `actors.storage.database`)."""

    field_type = "DIGEST"


class Table(Model):
    """Base of the models: table names in snake case."""

    class Meta:  # noqa: D106  # peewee's place for options
        legacy_table_names = False


class Device(Table):
    """One row for each serial number ever seen: the columns are the fields of `DeviceSnapshot`."""

    id = AutoField()
    serial = CharField(max_length=64, unique=True)
    kind = CharField(max_length=32)
    family = CharField(max_length=16)
    type = CharField()
    device_id = CharField()
    site = CharField()
    label = CharField()
    group = CharField()
    presence = CharField(max_length=16)
    reason = CharField(max_length=32)
    since_us = BigIntegerField()
    ip_address = CharField()
    hostname = CharField()
    mac_address = CharField()
    first_seen_us = BigIntegerField()
    offline_after = DoubleField(null=True)
    quarantined = BooleanField()
    pinned = BooleanField()
    services = TextField()
    system_info = TextField()
    metadata = TextField()
    device_token = TextField()
    session = CharField()
    broker = CharField()
    labels = TextField(null=True)
    """None in rows that are older than labels."""

    class Meta:  # noqa: D106  # peewee's place for options
        indexes = ((("kind", "serial"), False),)


class LastSeen(Table):
    """When a device was last heard, written behind: its own narrow table, since it changes without anything else."""

    device_id = IntegerField(primary_key=True)
    ts_us = BigIntegerField()


class Sensor(Table):
    """A number that has appeared in a device's readings."""

    device_id = IntegerField()
    name = CharField()
    first_seen_us = BigIntegerField()

    class Meta:  # noqa: D106  # peewee's place for options
        primary_key = CompositeKey("device_id", "name")


class Reading(Table):
    """One row for each message; its identity is unique, and the index of it serves ranges of `(device_id, ts_us)`."""

    id = BigAutoField()
    device_id = IntegerField()
    ts_us = BigIntegerField()
    digest = DigestField()
    rx_us = BigIntegerField()
    clock = CharField(max_length=16)
    source = CharField(max_length=16)
    channel = CharField(max_length=64)
    measures = TextField()
    # None rather than empty: a column that may be null is added to a table of any size at once.
    health_index = DoubleField(null=True)
    status = CharField(max_length=16, null=True)
    anomalies = TextField(null=True)

    class Meta:  # noqa: D106  # peewee's place for options
        indexes = ((("device_id", "ts_us", "digest"), True),)


class Analysed(Table):
    """The ids of the readings that have a health index: what a partial index would be, which MariaDB lacks."""

    reading_id = BigIntegerField(primary_key=True)


class Rollup(Table):
    """The numbers of one measure of one device within an interval that begins at `start_us`."""

    device_id = IntegerField()
    metric = CharField()
    start_us = BigIntegerField(index=True)
    n = BigIntegerField()
    min = DoubleField()
    max = DoubleField()
    sum = DoubleField()

    class Meta:  # noqa: D106  # peewee's place for options
        primary_key = CompositeKey("device_id", "metric", "start_us")


class RollupHour(Rollup):
    """Hours of UTC."""


class RollupDay(Rollup):
    """Days of UTC."""


class Scan(Table):
    """One row for each code that a scanner has read; its identity is unique within its device."""

    id = BigAutoField()
    device_id = IntegerField()
    scan_id = CharField(max_length=128)
    ts_us = BigIntegerField()
    rx_us = BigIntegerField()
    clock = CharField(max_length=16)
    source = CharField(max_length=16)
    code = TextField()
    code_key = CharField(max_length=64)
    """The beginning of the code: an index takes no text of any length."""
    symbology = CharField(max_length=64)
    valid = BooleanField(null=True)
    scanner = CharField()

    class Meta:  # noqa: D106  # peewee's place for options
        indexes = (
            (("device_id", "scan_id"), True),
            (("device_id", "ts_us", "id"), False),
            (("code_key", "ts_us", "id"), False),
            (("ts_us", "id"), False),
        )


class Receipt(Table):
    """What recognises a reading that its identity cannot, see `actors.storage.receipts`."""

    link = CharField(max_length=128)
    mid = IntegerField()
    """The packet id; 0 for a key of the sender's own, which `link` then holds."""
    device_id = IntegerField()
    ts_us = BigIntegerField()
    digest = DigestField()

    class Meta:  # noqa: D106  # peewee's place for options
        primary_key = CompositeKey("link", "mid")
        indexes = ((("mid", "ts_us"), False),)


class DeadLetter(Table):
    """A message that could not be processed."""

    id = BigAutoField()
    rx_us = BigIntegerField()
    reason = CharField(max_length=64)
    detail = TextField()
    link = CharField(max_length=128)
    topic = TextField()
    payload = BlobField()
    serial = CharField(max_length=64)
    qos = IntegerField()
    replayed_us = BigIntegerField(null=True)

    class Meta:  # noqa: D106  # peewee's place for options
        indexes = ((("serial", "reason", "id"), False),)


class Event(Table):
    """Something that happened to a device, or to the fleet when `serial` is empty."""

    id = BigAutoField()
    ts_us = BigIntegerField(index=True)
    serial = CharField(max_length=64)
    kind = CharField(max_length=32)
    data = TextField()

    class Meta:  # noqa: D106  # peewee's place for options
        indexes = ((("serial", "id"), False),)


class ApiToken(Table):
    """A bearer token; only the SHA-256 of its text is kept."""

    id = AutoField()
    name = CharField()
    hash = CharField(max_length=64, unique=True)
    role = CharField(max_length=16)
    serial = CharField(max_length=64)
    created_us = BigIntegerField()
    expires_us = BigIntegerField(null=True)
    revoked_us = BigIntegerField(null=True)


class Enrolment(Table):
    """How far a device is on the way to credentials of its own, see `actors.enrolment`."""

    serial = CharField(max_length=64, primary_key=True)
    state = CharField(max_length=16, index=True)
    token_id = IntegerField(null=True)
    """The token it was given last; None when it was revoked, or none was given yet."""
    hostname = CharField()
    mac_address = CharField()
    device_type = CharField()
    address = CharField()
    """From where it asked last."""
    requested_us = BigIntegerField()
    enrolled_us = BigIntegerField(null=True)
    approved_until_us = BigIntegerField(null=True)
    changed_by = CharField()
    claim = CharField(max_length=64)
    """SHA-256 of what the device chose for this request, in hexadecimal digits; empty when it chose nothing."""


class FleetGroup(Table):
    """A group that somebody has declared, see `actors.groups`."""

    name = CharField(max_length=64, primary_key=True)
    description = CharField()
    rule = TextField()
    """JSON, empty for none."""
    updated_us = BigIntegerField()
    changed_by = CharField()


class FleetGroupMember(Table):
    """A device that belongs to a group by hand."""

    name = CharField(max_length=64)
    serial = CharField(max_length=64, index=True)

    class Meta:  # noqa: D106  # peewee's place for options
        primary_key = CompositeKey("name", "serial")


class Roster(Table):
    """A serial that is expected at a site."""

    site = CharField(max_length=64)
    serial = CharField(max_length=64)

    class Meta:  # noqa: D106  # peewee's place for options
        primary_key = CompositeKey("site", "serial")


class HomeAssistantDevice(Table):
    """A device that Home Assistant was told of, see `actors.home_assistant`; it outlives the device until cleared."""

    topic = CharField(max_length=255)
    """Of the discovery document."""
    link = CharField(max_length=64)
    server = CharField(max_length=16, index=True)
    serial = CharField(max_length=64)
    measures = TextField()
    """JSON object, channel to names."""

    class Meta:  # noqa: D106  # peewee's place for options
        primary_key = CompositeKey("topic", "link")


class Command(Table):
    """What a device was asked to do, and what became of it; see `actors.commands`."""

    id = CharField(max_length=32, primary_key=True)
    """Hexadecimal digits, in the order in which commands were given."""
    batch = CharField(max_length=32, index=True)
    """The id of all that one request has made, or empty."""
    serial = CharField(max_length=64)
    name = CharField(max_length=64)
    args = TextField()
    """JSON object."""
    state = CharField(max_length=16)
    result = TextField()
    """JSON, or empty without one."""
    reason = TextField()
    created_us = BigIntegerField()
    deadline_us = BigIntegerField()
    sent_us = BigIntegerField(null=True)
    """When it was last handed to the link."""
    accepted_us = BigIntegerField(null=True)
    """When the broker has taken it for somebody."""
    changed_us = BigIntegerField()
    by = CharField()
    """Who asked for it."""

    class Meta:  # noqa: D106  # peewee's place for options
        indexes = ((("serial", "id"), False), (("state", "changed_us"), False))


class Twin(Table):
    """What is desired of a device and what it reports, see `actors.twins`; a row comes with the first of either."""

    serial = CharField(max_length=64, primary_key=True)
    desired = TextField()
    """JSON object, like `reported`."""
    desired_version = BigIntegerField()
    """Counts the changes of what is desired; 0 before the first, and then nothing is published."""
    desired_us = BigIntegerField()
    """0 before the first, like `reported_us`."""
    changed_by = CharField()
    reported = TextField()
    reported_version = BigIntegerField()
    """The version of what is desired that the device has applied."""
    reported_us = BigIntegerField()
    to_clear = BooleanField()
    """The device was deleted, and what the broker retains of its twin has to be taken back."""


class AlarmRule(Table):
    """A rule that an operator has made, or changed; see `actors.alarms`."""

    name = CharField(max_length=64, primary_key=True)
    body = TextField()
    """JSON, as `actors.alarms.rules.Rule`."""
    changed_us = BigIntegerField()
    changed_by = CharField()


class Alarm(Table):
    """Something that is wrong, or was: one row from when it is raised until after it was cleared."""

    id = BigAutoField()
    open_key = CharField(max_length=250, null=True, unique=True)
    """The key while it is open, None after: of one key there is one open alarm."""
    key = CharField(max_length=250)
    rule = CharField(max_length=64)
    kind = CharField(max_length=32)
    severity = CharField(max_length=16)
    subject = CharField(max_length=160)
    serial = CharField(max_length=64)
    site = CharField()
    summary = TextField()
    value = DoubleField(null=True)
    count = IntegerField()
    """Devices that it is about."""
    members = TextField()
    """JSON array: the serials of the first of them."""
    raised_us = BigIntegerField()
    updated_us = BigIntegerField()
    cleared_us = BigIntegerField(null=True)
    cleared_why = CharField()
    acknowledged_us = BigIntegerField(null=True)
    acknowledged_by = CharField()
    silenced_until_us = BigIntegerField(null=True)
    silenced_by = CharField()
    told_us = BigIntegerField(null=True)
    """When the news of it was handed to its channels."""

    class Meta:  # noqa: D106  # peewee's place for options
        indexes = ((("key", "id"), False), (("serial", "id"), False), (("cleared_us",), False))


class AlarmNotice(Table):
    """News of an alarm for one channel."""

    id = BigAutoField()
    alarm_id = BigIntegerField(index=True)
    event = CharField(max_length=16)
    channel = CharField(max_length=64)
    body = TextField()
    attempts = IntegerField()
    made_us = BigIntegerField()
    due_us = BigIntegerField(null=True, index=True)
    """When it is tried next; None once it has ended."""
    ended_us = BigIntegerField(null=True, index=True)
    error = TextField()
    """Why the last attempt failed; empty once it has been sent."""


class Notification(Table):
    """One notification, see `actors.notifications`; what is sent is kept as it is sent."""

    id = CharField(max_length=40, primary_key=True)
    batch = CharField(max_length=40)
    """The request it came with."""
    seq = IntegerField()
    """Its place in that."""
    title = CharField()
    """The beginning of it, for lists."""
    priority = CharField(max_length=8)
    qos = IntegerField()
    retain = BooleanField()
    created_us = BigIntegerField(index=True)
    expires_us = BigIntegerField(null=True)
    recipients = IntegerField()
    sent_by = CharField()
    payload = TextField()

    class Meta:  # noqa: D106  # peewee's place for options
        indexes = ((("batch", "seq"), False),)


class Delivery(Table):
    """What has become of a notification at one recipient."""

    id = BigAutoField()
    notification_id = CharField(max_length=40)
    seq = IntegerField()
    device = CharField(max_length=64)
    """Its serial; empty where a topic was asked for."""
    topic = TextField()
    link = CharField(max_length=128)
    """What publishes it."""
    state = CharField(max_length=16)
    rank = IntegerField()
    """The priority as a number: the highest is sent first."""
    qos = IntegerField()
    reason = TextField()
    expires_us = BigIntegerField(null=True)
    updated_us = BigIntegerField()

    class Meta:  # noqa: D106  # peewee's place for options
        indexes = (
            (("notification_id", "seq"), True),
            (("notification_id", "device"), False),
            (("state", "link", "rank", "id"), False),
            (("device", "id"), False),
        )


class Setting(Table):
    """A value that the server remembers between starts."""

    key = CharField(max_length=128, primary_key=True)
    value = TextField()


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
    AlarmNotice,
    HomeAssistantDevice,
)
