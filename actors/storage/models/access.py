"""Table of the broker's users, one for each device that has credentials of its own."""

from __future__ import annotations

from peewee import BigIntegerField, BooleanField, CharField, TextField

from actors.storage.models.base import Table


class BrokerAccount(Table):
    """A device's user of the broker; its password is derived and stored nowhere, see `supervisor.server.access`."""

    serial = CharField(max_length=64, primary_key=True)
    nonce = CharField(max_length=32)
    granted = CharField(max_length=32)
    publishes = BooleanField()
    topics = TextField()
    renew_by_us = BigIntegerField(null=True)
    changed_us = BigIntegerField()
