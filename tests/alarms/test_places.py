"""Who is behind whom."""

from __future__ import annotations

import pytest

from actors.alarms.draft import LONGEST_SUBJECT, subject_of
from actors.alarms.places import Places
from actors.messages import DeviceSnapshot


def known(serial, kind="sensor", site="yard", metadata=b""):
    return DeviceSnapshot(serial=serial, kind=kind, family="site", site=site, metadata=metadata)


def places(*devices):
    found = Places()
    found.learn_all(devices)
    return lambda device: found.of(device, {each.serial for each in devices}.__contains__).subject


def test_the_only_gateway_of_a_site_is_the_place_of_all_that_is_there():
    gateway, device = known("gw", "gateway"), known("a")
    of = places(gateway, device)
    assert (of(gateway), of(device), of(known("b", site="far"))) == ("gateway:gw", "gateway:gw", "site:far")


def test_the_metadata_of_a_device_come_first():
    one, other = known("gw-1", "gateway"), known("gw-2", "gateway")
    device = known("a", site="far", metadata=b'{"gateway": "gw-2"}')
    of = places(one, other, device)
    assert (of(device), of(other), of(one)) == ("gateway:gw-2", "gateway:gw-2", "site:yard")


@pytest.mark.parametrize(
    "metadata", [b'{"gateway": "nobody"}', b'{"gateway": 7}', b'{"gateway": "a b"}', b'{"gateway": ', b"{}"]
)
def test_metadata_that_name_no_gateway_are_nothing(metadata):
    assert places(known("a"))(known("b", metadata=metadata)) == "site:yard"


def test_a_gateway_that_moves_takes_its_place_along_and_one_that_is_deleted_is_forgotten():
    found, everybody = Places(), lambda _: True
    found.learn(known("gw", "gateway"))
    found.learn(known("gw", "gateway", site="far"))
    assert found.of(known("a"), everybody).subject == "site:yard"
    assert found.of(known("a", site="far"), everybody).subject == "gateway:gw"
    found.forget("gw")
    found.forget("nobody")
    assert found.of(known("a", site="far"), everybody).subject == "site:far"


def test_a_subject_has_a_bounded_length_and_stays_one_of_its_own():
    long, longer = subject_of("file", "x" * 300), subject_of("file", "x" * 301)
    assert len(long) == len(longer) == LONGEST_SUBJECT
    assert long != longer
