"""A scan as the outbox keeps it."""

import re

import msgspec
import pytest

from actors.clock_quality import clock_quality
from edge.scans import BadCodeError, make_scan, new_scan

NOW_US = 1_795_234_567_890_123


def body_of(item):
    return msgspec.json.decode(item.payload)


def test_a_scan_carries_what_the_server_asks_for():
    item = make_scan("pi-1", "4006381333931", scanner="symbol-1.2.0", clock="ntp", now_us=NOW_US)

    assert (item.kind, item.topic, item.created_us) == ("scan", "devices/pi-1/scans", NOW_US)
    assert body_of(item) == {
        "scan_id": item.id,
        "device_id": "pi-1",
        "code": "4006381333931",
        "symbology": "EAN-13",
        "valid": True,
        "timestamp": "2026-11-21T04:16:07.890Z",
        "scanner": "symbol-1.2.0",
        "clock": "ntp",
    }


def test_the_id_begins_with_the_time_and_never_comes_twice():
    ids = {make_scan("pi-1", "x", now_us=NOW_US).id for _ in range(1_000)}

    assert len(ids) == 1_000
    assert all(re.fullmatch(rf"{NOW_US // 1000:012x}-[0-9a-f]{{16}}", scan_id) for scan_id in ids)


def test_a_wrong_check_digit_is_told_and_kept():
    assert body_of(make_scan("pi-1", "4006381333932", now_us=NOW_US))["valid"] is False


@pytest.mark.parametrize(("symbology", "valid"), [("EAN-13", True), ("Code 128", None), (None, True)])
def test_a_check_digit_is_judged_only_where_the_symbology_has_one(symbology, valid):
    body = body_of(make_scan("pi-1", "4006381333931", symbology=symbology, now_us=NOW_US))

    assert (body["symbology"], body["valid"]) == (symbology or "EAN-13", valid)


@pytest.mark.parametrize("code", ["x" * 4096, "01\x1d10", "a\tb", "[)>\x1e06\x1dQ1\x1e\x04", "Grüße ☃", "\U0001f4e6"])
def test_codes_of_all_kinds_pass_unchanged(code):
    assert body_of(make_scan("pi-1", code, now_us=NOW_US))["code"] == code


@pytest.mark.parametrize("code", ["", "x" * 4097, "a\0b", "a\nb", "\x7f", "\udc80"])
def test_what_can_be_no_code_is_refused_in_a_sentence(code):
    with pytest.raises(BadCodeError, match=r"^a code has .*\.$"):
        make_scan("pi-1", code, now_us=NOW_US)


def test_the_clock_is_believed_where_systemd_says_so(tmp_path):
    (tmp_path / "synchronized").touch()

    assert clock_quality(tmp_path / "synchronized") == "ntp"


def test_without_systemd_the_kernel_is_asked(tmp_path):
    assert clock_quality(tmp_path / "nothing") in ("ntp", "unsynced")
    assert body_of(make_scan("pi-1", "x", now_us=NOW_US))["clock"] in ("ntp", "unsynced")


@pytest.mark.parametrize("symbology", ["x" * 65, "EAN\n13", "\x1b[31m"])
def test_a_symbology_that_the_server_would_not_take_is_refused_at_once(symbology):
    with pytest.raises(BadCodeError, match=r"^a symbology has at most 64 printable characters\.$"):
        make_scan("pi-1", "1", symbology=symbology, now_us=NOW_US)
    with pytest.raises(BadCodeError):
        new_scan("1", symbology=symbology, now_us=NOW_US)


def test_what_was_read_by_hand_has_its_id_before_it_is_known_whose_it_is():
    one = new_scan("40063813", now_us=NOW_US)
    assert make_scan("pi-1", one.code, now_us=NOW_US + 5_000_000, scan_id=one.scan_id).id == one.scan_id
