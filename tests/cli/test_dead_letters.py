"""`muster dead-letters`: list, show one with its bytes, hand in again."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys

import pytest

from actors.installation import HOME
from tests.cli.conftest import TOKEN, error

PATH = "/api/dead-letters"


def letter(number, **changes):
    return {
        "id": number,
        "rx": "2025-08-22T15:30:00.000Z",
        "reason": "missing_field",
        "detail": "`publisher_id` is missing",
        "link": "local.data",
        "topic": "harit-samarth/sensor/data",
        "payload": '{"sensor_readings": {"pH": 6.4}}',
        "serial": "soil-east",
        "qos": 1,
        "replayed": None,
        **changes,
    }


@pytest.fixture
def kept(server):
    """Dead letters that the server has, newest first; it hands out two at a time, and notes what is replayed."""
    letters = [letter(number) for number in (9, 8, 7, 5, 3)]

    def page(call):
        chosen = [
            item
            for item in letters
            if call.query.get("reason", item["reason"]) == item["reason"]
            and call.query.get("serial", item["serial"]) == item["serial"]
            and item["id"] < int(call.query.get("cursor", 10**9))
        ]
        size = min(2, int(call.query["limit"]))
        more = len(chosen) > size
        return 200, {"items": chosen[:size], "cursor": str(chosen[size - 1]["id"]) if more else None}

    server.answers["GET", PATH] = page
    for item in letters:
        server.answers["GET", f"{PATH}/{item['id']}"] = (200, item)
        server.answers["POST", f"{PATH}/{item['id']}/replay"] = (202, {"id": item["id"], "action": "replay"})
    return letters


def replayed(server):
    return [int(call.path.split("/")[3]) for call in server.calls if call.method == "POST"]


# -- list -------------------------------------------------------------------------------------------------------------


def test_without_a_command_they_are_listed(muster_at, kept):
    plain, named = muster_at("dead-letters"), muster_at("dead-letters", "list")
    assert plain.code == 0
    assert plain.out == named.out
    assert [line.split()[0] for line in plain.out.splitlines()] == ["ID", "9", "8", "7", "5", "3"]
    for words in (
        "missing_field",
        "soil-east",
        "harit-samarth/sensor/data",
        "`publisher_id` is missing",
        '{"pH": 6.4}',
    ):
        assert words in plain.out


def test_reason_and_device_are_filters_of_the_server(muster_at, server, kept):
    assert muster_at("dead-letters", "--reason", "missing_field", "--device", "soil-east", "--json").code == 0
    assert server.calls[-1].query == {"reason": "missing_field", "serial": "soil-east", "limit": "46", "cursor": "5"}
    assert muster_at("dead-letters", "--device", "soil-west", "--json").json == {"items": []}


def test_a_limit_is_kept_over_several_pages(muster_at, kept):
    assert muster_at("dead-letters", "--limit", "3", "--json").json == {"items": kept[:3]}


def test_what_was_replayed_shows_it(muster_at, kept):
    kept[0]["replayed"] = "2025-08-22T15:31:00.000Z"
    lines = muster_at("dead-letters").out.splitlines()
    assert lines[1].rstrip().endswith("ago")
    assert lines[2].rstrip().endswith("-")


# -- show -------------------------------------------------------------------------------------------------------------


def test_one_is_shown_with_its_text(muster_at, kept):
    result = muster_at("dead-letters", "show", "7")
    assert result.code == 0
    for words in ("missing_field", "harit-samarth/sensor/data", "local.data", "soil-east", "32 bytes kept"):
        assert words in result.out
    assert result.out.splitlines()[-1] == '  {"sensor_readings": {"pH": 6.4}}'


def test_bytes_that_are_no_text_are_shown_in_hexadecimal(muster_at, kept):
    kept[2] |= {"payload": base64.b64encode(b"\xff\x00not text" * 2).decode(), "payload_encoding": "base64"}
    *_, first, second = muster_at("dead-letters", "show", "7").out.splitlines()
    assert first == "  000000  ff 00 6e 6f 74 20 74 65 78 74 ff 00 6e 6f 74 20  ..not text..not"
    assert second.split() == ["000010", "74", "65", "78", "74", "text"]


def test_a_long_dump_ends_with_where_to_find_the_rest(muster_at, kept):
    kept[2] |= {"payload": base64.b64encode(b"\xff" * 65_536).decode(), "payload_encoding": "base64"}
    lines = muster_at("dead-letters", "show", "7").out.splitlines()
    assert lines[-1] == "  and 64512 bytes more: --raw"
    assert len(lines) < 100


def test_raw_is_every_byte_and_nothing_else(server, kept):
    raw = bytes(range(256))
    kept[2] |= {"payload": base64.b64encode(raw).decode(), "payload_encoding": "base64"}
    assert raw_output(server, "7") == raw
    assert raw_output(server, "8") == b'{"sensor_readings": {"pH": 6.4}}'


def test_control_characters_of_a_message_cannot_touch_the_terminal(muster_at, kept):
    kept[2]["payload"] = "\x1b[2J\nsecond line"
    out = muster_at("dead-letters", "show", "7").out
    assert "\x1b" not in out
    assert out.splitlines()[-2:] == ["  ?[2J", "  second line"]


def test_one_as_json_is_the_servers_answer(muster_at, kept):
    assert muster_at("dead-letters", "show", "7", "--json").json == kept[2]


def test_one_that_is_not_there_is_a_failure(muster_at, server):
    server.answers["GET", f"{PATH}/4"] = error(404, "there is no dead letter of this id")
    result = muster_at("dead-letters", "show", "4")
    assert result.code == 1
    assert "there is no dead letter of this id" in result.err


# -- replay -----------------------------------------------------------------------------------------------------------


def test_one_is_handed_in_again(muster_at, server, kept):
    result = muster_at("dead-letters", "replay", "7")
    assert (result.code, result.out) == (0, "1 handed in again.\n")
    assert replayed(server) == [7]


def test_all_of_a_reason_are_handed_in_again_oldest_first(muster_at, server, kept):
    kept[3]["reason"] = "not_json"
    result = muster_at("dead-letters", "replay", "--reason", "missing_field", "--json")
    assert result.json == {"replayed": 4, "failed": []}
    assert replayed(server) == [3, 7, 8, 9]


def test_what_is_refused_again_is_not_handed_in_for_ever(muster_at, server, kept):
    def refuse_again(call):
        kept.insert(0, letter(kept[0]["id"] + 1))
        return 202, {"id": 9, "action": "replay"}

    for number in (9, 8, 7, 5, 3):
        server.answers["POST", f"{PATH}/{number}/replay"] = refuse_again
    assert muster_at("dead-letters", "replay", "--device", "soil-east").code == 0
    assert replayed(server) == [3, 5, 7, 8, 9]


def test_what_was_replayed_before_is_left_out_unless_asked_for(muster_at, server, kept):
    kept[1]["replayed"] = "2025-08-22T15:31:00.000Z"
    muster_at("dead-letters", "replay", "--reason", "missing_field")
    assert replayed(server) == [3, 5, 7, 9]
    server.calls.clear()
    muster_at("dead-letters", "replay", "--reason", "missing_field", "--again")
    assert replayed(server) == [3, 5, 7, 8, 9]


def test_one_that_cannot_be_replayed_holds_up_no_other(muster_at, server, kept):
    server.answers["POST", f"{PATH}/5/replay"] = error(409, "nobody takes messages of this topic")
    result = muster_at("dead-letters", "replay", "--reason", "missing_field")
    assert (result.code, result.out) == (1, "4 handed in again.\n")
    assert result.err.startswith("5 was not: ")
    assert "nobody takes messages of this topic" in result.err
    told = json.loads(muster_at("dead-letters", "replay", "5", "--json").out)
    assert told["replayed"] == 0
    assert told["failed"][0]["id"] == 5


def test_a_token_without_the_right_ends_the_whole_replay(muster_at, server, kept):
    server.answers["POST", f"{PATH}/3/replay"] = error(403, "this needs the role operate")
    result = muster_at("dead-letters", "replay", "--reason", "missing_field")
    assert result.code == 1
    assert "this needs the role operate" in result.err
    assert replayed(server) == [3]


@pytest.mark.parametrize(
    "arguments",
    [["replay"], ["replay", "7", "--reason", "not_json"], ["replay", "x"], ["show"], ["show", "7", "--raw", "--json"]],
)
def test_wrong_usage_is_told(muster_at, server, arguments):
    assert muster_at("dead-letters", *arguments).code == 2
    assert not server.calls


def raw_output(server, number):
    """What a process of its own writes: a program reads it."""
    command = [sys.executable, "-m", "supervisor.cli", "dead-letters", "show", number, "--raw", "--url", server.url]
    environment = os.environ | {"MUSTER_API_TOKEN": TOKEN, "PYTHONPATH": str(HOME)}
    return subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True).stdout
