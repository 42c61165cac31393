"""`muster rotate` and what `muster doctor` says of the broker's users."""

from __future__ import annotations

import pytest

from supervisor.cli.access import judge_access

WELL = {
    "mechanism": "dynsec",
    "devices": 2,
    "waiting": 0,
    "renewing": 0,
    "reason": "",
    "anonymous": False,
    "shared_user": False,
    "server_user": "muster",
    "server_user_ends": None,
    "fleet_key_ends": None,
}


@pytest.mark.parametrize("arguments", [["rotate"], ["rotate", "nothing"], ["rotate", "--retire-shared", "fleet-key"]])
def test_one_has_to_say_what(muster, arguments):
    assert muster(*arguments).code == 2


@pytest.mark.parametrize(
    ("change", "states"),
    [
        ({}, ["ok"]),
        ({"mechanism": "none"}, ["warning"]),
        ({"waiting": 3, "reason": "the broker does not answer"}, ["failed"]),
        ({"shared_user": True}, ["ok", "ok"]),
        ({"renewing": 1}, ["ok", "warning"]),
    ],
)
def test_the_doctor_judges_the_users_of_the_broker(change, states):
    found = list(judge_access(WELL | change))
    assert [check.state for check in found] == states
    assert all(check.mend for check in found if check.state != "ok")
