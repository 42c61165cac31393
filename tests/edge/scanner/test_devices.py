"""Which devices are scanners: none is opened, and no keyboard is taken from who types on it."""

from __future__ import annotations

import pytest

from edge.scanner.devices import judge, list_devices, stamp
from tests.edge.scanner.machine import KEYBOARD, MOUSE, Machine


@pytest.fixture
def machine(tmp_path):
    with Machine(tmp_path) as machine:
        yield machine


def only(machine, **settings):
    (device,) = list_devices(machine.settings(**settings))
    return device, judge(device, machine.settings(**settings))


def test_a_device_is_described_by_the_kernel_alone(machine):
    machine.plug(7, uniq="S/N:44F1", phys="usb-0000:00:14.0-3.1/input1")

    device, verdict = only(machine)

    assert (device.path, device.usb_id, device.bus) == (machine.dev / "event7", "05e0:1200", 3)
    assert device.id == "symbol-technologies-inc-2008-symbol-bar-code-scanner-s-n-44f1.1"
    assert (device.types_digits, device.types_letters, device.is_mouse) == (True, True, False)
    assert verdict.is_scanner


@pytest.mark.parametrize(
    "facts",
    [
        {"name": "Datalogic ADC, Inc. Handheld Barcode Scanner", "usb": "05f9:2206"},
        {"name": "WIT Electron Company WIT 122-UFS V2.03 Bar Code", "usb": "ffff:0035"},
        {"name": "USBScn Chip USBScn Module", "usb": "1a86:5456"},
        {"name": "SM SM-2D PRODUCT HID KBW", "usb": "ac90:3002"},
        {"name": "HID Keyboard", "usb": "0c2e:0b61"},
        {
            "name": "NETUM Bluetooth",
            "usb": "05ac:022c",
            "bus": 5,
            "phys": "b8:27:eb:00:00:01",
            "uniq": "aa:bb:cc:00:11:22",
        },
    ],
)
def test_known_makers_and_names_are_scanners(machine, facts):
    machine.plug(**facts)

    assert only(machine)[1].is_scanner


@pytest.mark.parametrize(
    "facts",
    [
        {"name": "Logitech USB Keyboard", "usb": "046d:c31c"},
        {"name": "AT Translated Set 2 keyboard", "usb": "0001:0001", "bus": 0x11, "phys": "isa0060/serio0/input0"},
        {"name": "Barcode Scanner emulation", "usb": "05e0:1200", "bus": 6},
        {"name": "Logitech Mouse", "usb": "046d:c077", "can": MOUSE},
        {"name": "Bar Code Scanner with a mouse", "can": KEYBOARD | MOUSE},
        {"name": "Symbol Bar Code Scanner Consumer Control", "can": {0x71, 0x72, 0x73}},
        {"name": "Power Button", "usb": "0000:0001", "bus": 0x19, "can": {116}},
    ],
)
def test_keyboards_mice_and_buttons_are_left_alone(machine, facts):
    machine.plug(**facts)

    assert not only(machine)[1].is_scanner


@pytest.mark.parametrize(
    "pattern", ["*usb keyboard*", "046D:C31C", "*/event0", "logitech-*-1.2.0", "usb-Logi*-event-kbd"]
)
def test_an_included_device_is_a_scanner_whatever_it_looks_like(machine, pattern):
    machine.plug(name="Logitech USB Keyboard", usb="046d:c31c")
    (machine.dev / "by-id").mkdir()
    (machine.dev / "by-id" / "usb-Logitech_USB_Keyboard-event-kbd").symlink_to("../event0")

    assert only(machine, include=(pattern,))[1].is_scanner
    assert not only(machine, include=("*other*",))[1].is_scanner


def test_an_excluded_device_is_left_alone_even_if_it_is_included(machine):
    machine.plug()

    assert not only(machine, include=("*",), exclude=("*symbol*",))[1].is_scanner


def test_what_types_no_digits_is_no_scanner_even_if_it_is_included(machine):
    machine.plug(can=MOUSE)

    assert not only(machine, include=("*",))[1].is_scanner


def test_the_id_stays_when_the_number_changes_and_differs_from_port_to_port(machine):
    first = machine.plug(0)
    (before,) = list_devices(machine.settings())
    first.unplug()
    machine.plug(3)
    machine.plug(4, phys="usb-3f980000.usb-1.3/input0")

    after, other = list_devices(machine.settings())

    assert after.id == before.id == "symbol-technologies-inc-2008-symbol-bar-code-scanner-1.2.0"
    assert after.node != before.node
    assert other.id.endswith("-1.3.0")


def test_twins_with_one_serial_number_have_two_ids(machine):
    for number in (0, 1, 10):
        machine.plug(number, uniq="000000")

    assert len({device.id for device in list_devices(machine.settings())}) == 3


def test_a_name_of_any_length_and_kind_makes_a_short_plain_id(machine):
    machine.plug(0, name="é/" * 200, phys="")
    machine.plug(1, name="x" * 200, phys="")

    assert [device.id for device in list_devices(machine.settings())] == ["event0", "x" * 57 + "-event1"]


def test_what_cannot_be_read_is_no_device(machine):
    machine.plug(0)
    (machine.dev / "event5").touch()
    machine.describe(6)
    (machine.sys / "event0" / "device" / "capabilities" / "key").write_text("no bits\n")

    assert [device.types_digits for device in list_devices(machine.settings())] == [False]


def test_a_machine_without_input_devices_has_no_scanners(tmp_path):
    machine = Machine(tmp_path)
    machine.dev.rmdir()

    assert list_devices(machine.settings()) == []
    assert stamp(machine.settings()) == stamp(machine.settings())


def test_the_stamp_changes_with_every_device_and_every_link(machine):
    seen = {stamp(machine.settings())}
    device = machine.plug()
    seen.add(stamp(machine.settings()))
    (machine.dev / "by-id").mkdir()
    seen.add(stamp(machine.settings()))
    (machine.dev / "by-id" / "usb-x-event-kbd").symlink_to("../event0")
    seen.add(stamp(machine.settings()))
    device.unplug()
    seen.add(stamp(machine.settings()))

    assert len(seen) >= 4  # two changes of `by-id` within one tick of the clock look alike
    assert stamp(machine.settings()) == stamp(machine.settings())
