"""Servers to look at from outside."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Device
from tests.support.muster import Muster, MusterUp


@pytest.fixture
def muster(mosquitto: Mosquitto) -> Iterator[Callable[..., Muster]]:
    """`muster(offline_after=2, ...)`: a running `muster server` at the broker of this test."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(Muster(mosquitto.url, **options))


@pytest.fixture
def muster_up() -> Iterator[Callable[..., MusterUp]]:
    """`muster_up("--demo", ...)`: a running `muster up`."""
    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(MusterUp(*arguments, **options))


@pytest.fixture
def device(mosquitto: Mosquitto) -> Iterator[Callable[..., Device]]:
    """`device(will=..., ...)`: a connection to the broker of this test."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(Device(mosquitto.url, **options))


@pytest.fixture(scope="module")
def broker() -> Iterator[Mosquitto]:
    """One broker for the tests of a module that leave it running."""
    with Mosquitto() as server:
        yield server


@pytest.fixture(scope="module")
def site(broker: Mosquitto) -> Iterator[Muster]:
    """One server for the tests of a module that leave it running and keep to serials of their own."""
    with Muster(broker.url) as server:
        yield server


@pytest.fixture
def wire(broker: Mosquitto) -> Iterator[Device]:
    """A connection to the broker of the module."""
    with Device(broker.url) as connection:
        yield connection
