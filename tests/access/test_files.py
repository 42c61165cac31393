"""What the two files say; pure."""

from __future__ import annotations

from supervisor.server.access.accounts import Account, Everyone
from supervisor.server.access.files import access_list, password_names, passwords
from supervisor.server.mosquitto import BrokerUser

SERVER, SHARED = BrokerUser("muster", "its own"), BrokerUser("devices", "theirs")


def everyone(*devices, prefixes=("harit-samarth",), **fields):
    return Everyone([SERVER], devices, prefixes=prefixes, **{"shared": SHARED, **fields})


def test_sensors_may_publish_under_every_prefix():
    lines = access_list(everyone(prefixes=["harit-samarth", "farm/east"])).splitlines()
    assert {"topic write harit-samarth/sensor/data", "topic write farm/east/sensor/data"} <= set(lines)
    assert "topic read farm/east/soil-health/analysis" in lines


def test_without_a_shared_user_there_is_no_line_of_it():
    assert "user devices" not in access_list(everyone(shared=None))


def test_who_is_let_in_without_a_name_is_never_more_than_who_has_none():
    lines = access_list(everyone(Account("pi-1", "x"), anonymous=True)).splitlines()
    first_user = next(number for number, line in enumerate(lines) if line.startswith("user "))
    assert "topic deny devices/pi-1/#" in lines[:first_user]


def test_a_topic_that_would_begin_another_line_is_left_out():
    text = access_list(everyone(Account("pi-1", "x", topics=("a\ntopic readwrite #",))))
    assert text.count("topic readwrite #\n") == 1  # the server's


def test_a_name_that_the_password_file_cannot_have_is_left_out():
    mac = Account("b8:27:eb:00:00:01", "x")
    assert set(password_names(passwords(everyone(mac, Account("pi-1", "y")), ""))) == {"pi-1"}


def test_hashes_that_are_right_stay_as_they_are():
    many = [Account(f"pi-{number}", f"password {number}") for number in range(5)]
    first = passwords(everyone(*many), "")
    assert passwords(everyone(*many), first) == first
    assert set(password_names(first)) == {account.serial for account in many}
