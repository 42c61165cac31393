"""Table of the devices whose payloads are sealed."""

from __future__ import annotations

from peewee import BigIntegerField, CharField

from actors.storage.models.base import Table


class PayloadKey(Table):
    """A device's public key; one row for each device that is believed only sealed."""

    serial = CharField(max_length=64, primary_key=True)
    public = CharField(max_length=64)
    changed_us = BigIntegerField()
