"""Tables of what is sent to devices and to people: commands, notifications, alarms."""

from __future__ import annotations

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CharField,
    CompositeKey,
    DoubleField,
    IntegerField,
    TextField,
)

from actors.storage.models.base import Table
from actors.storage.sealed import SealedTextField


class Command(Table):
    """What a device was asked to do, and what became of it; see `actors.commands`."""

    id = CharField(max_length=32, primary_key=True)
    """Hexadecimal digits, in the order in which commands were given."""
    batch = CharField(max_length=32, index=True)
    """The id of all that one request has made, or empty."""
    serial = CharField(max_length=64)
    name = CharField(max_length=64)
    args = SealedTextField()
    """JSON object."""
    state = CharField(max_length=16)
    result = SealedTextField()
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
    payload = SealedTextField()

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


class AlarmDevice(Table):
    """A device that an alarm of several tells of, or told of."""

    alarm_id = BigIntegerField()
    serial = CharField(max_length=64, index=True)
    left_us = BigIntegerField(null=True)
    """When it was back, though others were not; None while it is in it."""

    class Meta:  # noqa: D106  # peewee's place for options
        primary_key = CompositeKey("alarm_id", "serial")


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
