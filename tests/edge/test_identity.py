"""The same board is the same device, whatever happens to its card, its interfaces and its power."""

from __future__ import annotations

import msgspec
import pytest

from edge.identity import Board, Identity, IdentityError, identify

WIRED, WIRELESS, DONGLE = "b8:27:eb:00:00:01", "b8:27:eb:00:00:02", "00:e0:4c:00:00:03"


class FakeBoard:
    """The files of a board that tell who it is."""

    def __init__(self, root):
        self.root = root
        self.board = Board(root)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def add_interface(self, name, mac, *, bus="platform/eth", permanent=True, wireless=False):
        base = self.root / "sys/class/net" / name
        (self.root / "sys/devices" / bus).mkdir(parents=True, exist_ok=True)
        base.mkdir(parents=True)
        (base / "device").symlink_to(self.root / "sys/devices" / bus)
        (base / "address").write_text(f"{mac}\n")
        (base / "addr_assign_type").write_text("0\n" if permanent else "3\n")
        if wireless:
            (base / "wireless").mkdir()


@pytest.fixture
def board(tmp_path):
    return FakeBoard(tmp_path / "board")


@pytest.fixture
def another(tmp_path):
    return FakeBoard(tmp_path / "another")


@pytest.fixture
def record(tmp_path):
    return tmp_path / "identity.json"


def test_the_serial_of_the_cpu_comes_from_the_device_tree(board, record):
    board.write("proc/device-tree/serial-number", "10000000ABCDEF12\0")
    board.add_interface("eth0", WIRED)
    assert identify(record, board=board.board) == Identity("10000000abcdef12", "cpu", (WIRED,))


def test_else_from_cpuinfo(board, record):
    board.write(
        "proc/cpuinfo", "Hardware\t: BCM2835\nRevision\t: a02082\nSerial\t\t: 00000000deadbeef\nModel\t\t: Pi\n"
    )
    assert identify(record, board=board.board).device_id == "00000000deadbeef"


@pytest.mark.parametrize("text", ["", "0000000000000000\0", "a b\0", "\N{SNOWMAN}\0", "x" * 80])
def test_a_serial_that_is_none_is_not_believed(board, record, text):
    board.write("proc/device-tree/serial-number", text)
    board.add_interface("eth0", WIRED)
    assert identify(record, board=board.board).source == "mac"


def test_a_new_card_in_the_same_board_is_the_same_device(board, tmp_path):
    board.add_interface("eth0", WIRED)
    first = identify(tmp_path / "one.json", board=board.board)
    assert identify(tmp_path / "two.json", board=board.board) == first
    assert first.device_id == "b827eb000001"


def test_the_mac_is_that_of_the_wired_interface_on_the_board(board, record):
    board.add_interface("eth1", DONGLE, bus="platform/usb1/1-1")
    board.add_interface("wlan0", WIRELESS, wireless=True)
    board.add_interface("eth9", WIRED)
    assert board.board.permanent_macs() == (WIRED, WIRELESS, DONGLE)
    assert identify(record, board=board.board).device_id == "b827eb000001"


def test_an_interface_that_comes_and_goes_changes_nothing(board, record):
    board.add_interface("wlan0", WIRELESS, wireless=True)
    first = identify(record, board=board.board)
    board.add_interface("eth0", WIRED)
    assert identify(record, board=board.board) == first


def test_made_up_and_random_macs_are_no_identity(board, record):
    board.add_interface("veth0", "02:42:ac:11:00:02")
    board.add_interface("wlan0", "b8:27:eb:99:99:99", permanent=False, wireless=True)
    board.write("sys/class/net/lo/address", "00:00:00:00:00:00")
    assert board.board.permanent_macs() == ()
    assert identify(record, board=board.board).source == "generated"


def test_an_id_that_was_drawn_is_kept(board, record):
    first = identify(record, board=board.board)
    assert identify(record, board=board.board) == first
    assert record.stat().st_mode & 0o777 == 0o600


def test_an_id_that_was_drawn_belongs_to_the_board_once_the_board_tells_its_macs(board, another, record):
    drawn = identify(record, board=board.board).device_id
    board.add_interface("eth0", WIRED)
    assert identify(record, board=board.board).device_id == drawn
    another.add_interface("eth0", DONGLE)
    assert identify(record, board=another.board).device_id == "00e04c000003"


@pytest.mark.parametrize("source", ["cpu", "mac", "generated"])
def test_the_record_of_a_copied_card_is_not_believed_in_another_board(another, record, source):
    record.write_bytes(msgspec.json.encode(Identity("old", source, (WIRED,))))
    another.add_interface("eth0", DONGLE)
    assert identify(record, board=another.board) == Identity("00e04c000003", "mac", (DONGLE,))


def test_a_cpu_that_does_not_tell_its_serial_this_time_is_still_the_same_board(board, record):
    board.add_interface("eth0", WIRED)
    board.write("proc/device-tree/serial-number", "10000000abcdef12\0")
    identify(record, board=board.board)
    (board.root / "proc/device-tree/serial-number").unlink()
    assert identify(record, board=board.board).device_id == "10000000abcdef12"


def test_what_is_configured_wins_and_is_not_kept(board, record):
    assert identify(record, configured="pi-7", board=board.board) == Identity("pi-7", "configured")
    assert not record.exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"device_id": 7}', b"[1]"])
def test_a_broken_record_is_replaced(board, record, content):
    record.write_bytes(content)
    board.add_interface("eth0", WIRED)
    assert identify(record, board=board.board).device_id == "b827eb000001"
    assert msgspec.json.decode(record.read_bytes())["source"] == "mac"


def test_a_disk_that_refuses_the_record_costs_no_more_than_the_record(board, tmp_path):
    board.add_interface("eth0", WIRED)
    assert identify(tmp_path / "missing" / "identity.json", board=board.board).device_id == "b827eb000001"


def test_the_boot_id_is_that_of_the_kernel(board):
    assert board.board.boot_id() == ""
    board.write("proc/sys/kernel/random/boot_id", "f3b9\n")
    assert board.board.boot_id() == "f3b9"


def test_a_command_takes_no_other_identity_than_that_of_the_edge(board, tmp_path):
    record = tmp_path / "identity.json"
    record.mkdir()
    with pytest.raises(IdentityError, match=r"cannot be read \(Is a directory\)"):
        identify(record, board=board.board, strict=True)
    with pytest.raises(IdentityError, match="cannot be kept"):
        identify(tmp_path / "missing" / "identity.json", board=board.board, strict=True)
    board.write("proc/device-tree/serial-number", "10000000abcdef12\0")
    assert identify(record, board=board.board, strict=True).device_id == "10000000abcdef12"
    assert identify(record, configured="pi-7", board=board.board, strict=True).device_id == "pi-7"
