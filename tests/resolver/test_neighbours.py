import subprocess

import pytest

from actors.resolver import neighbours
from actors.resolver.neighbours import normalise_mac, parse_arp, parse_ip_neigh, read_neighbours

ARP = """\
IP address       HW type     Flags       HW address            Mask     Device
192.168.1.1      0x1         0x2         04:D4:C4:11:22:33     *        eth0
192.168.1.50     0x1         0x0         00:00:00:00:00:00     *        eth0
192.168.1.51     0x1         0x0         2c:cf:67:6c:45:f2     *        eth0
192.168.1.100    0x1         0x6         2c:cf:67:6c:45:f2     *        wlan0
"""
NEIGH = """[
 {"dst":"192.168.1.1","dev":"eth0","lladdr":"04:d4:c4:11:22:33","state":["REACHABLE"]},
 {"dst":"192.168.1.50","dev":"eth0","state":["FAILED"]},
 {"dst":"192.168.1.51","dev":"eth0","lladdr":"2c:cf:67:6c:45:f2","state":["FAILED"]},
 {"dst":"fe80::1","dev":"eth0","lladdr":"04:d4:c4:11:22:33","router":null,"state":["STALE"]}]"""


@pytest.mark.parametrize("text", ["2c:cf:67:6c:45:f2", "2C-CF-67-6C-45-F2", "2ccf.676c.45f2", " 2ccf676c45f2\n"])
def test_every_spelling_of_a_mac_is_the_same_mac(text):
    assert normalise_mac(text) == "2ccf676c45f2"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "None",
        "unknown",
        "2c:cf:67",
        "2c:cf:67:6c:45:f2:00",
        "gg:cf:67:6c:45:f2",
        "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
        "01:00:5e:00:00:fb",
    ],
)
def test_what_cannot_be_the_mac_of_one_card_is_no_mac(text):
    assert normalise_mac(text) == ""


def test_the_arp_table_tells_who_is_where_without_its_incomplete_entries():
    assert parse_arp(ARP) == {"192.168.1.1": "04d4c4112233", "192.168.1.100": "2ccf676c45f2"}


@pytest.mark.parametrize("text", ["", "IP address\n", ARP.splitlines()[0] + "\n192.168.1.1 0x1 zz a b c\nshort\n"])
def test_an_arp_table_that_makes_no_sense_is_empty(text):
    assert parse_arp(text) == {}


def test_ip_neigh_tells_who_is_where_without_the_failed_ones():
    assert parse_ip_neigh(NEIGH) == {"192.168.1.1": "04d4c4112233", "fe80::1": "04d4c4112233"}


@pytest.mark.parametrize(
    "text", ["", "{", "{}", "7", "[7]", '[{"lladdr": "04:d4:c4:11:22:33"}]', '[{"dst": "10.0.0.1"}]']
)
def test_an_output_of_ip_that_makes_no_sense_is_empty(text):
    assert parse_ip_neigh(text) == {}


def program(tmp_path, monkeypatch, script):
    path = tmp_path / "ip"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def test_both_tables_are_read_and_the_one_of_ip_counts(tmp_path, monkeypatch):
    arp = tmp_path / "arp"
    arp.write_text(ARP.replace("2c:cf:67:6c:45:f2     *        wlan0", "2c:cf:67:6c:45:f4     *        wlan0"))
    monkeypatch.setattr(neighbours, "ARP_TABLE", arp)
    program(tmp_path, monkeypatch, """echo '[{"dst":"192.168.1.1","lladdr":"02:00:00:00:00:09","state":["STALE"]}]'""")
    assert read_neighbours() == {"192.168.1.1": "020000000009", "192.168.1.100": "2ccf676c45f4"}


def test_a_machine_without_any_table_has_no_neighbours(tmp_path, monkeypatch):
    monkeypatch.setattr(neighbours, "ARP_TABLE", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_neighbours() == {}


def test_an_ip_that_hangs_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(neighbours, "ARP_TABLE", tmp_path / "none")
    monkeypatch.setattr(neighbours, "IP_TIMEOUT", 0.05)
    program(tmp_path, monkeypatch, "exec sleep 30")
    assert read_neighbours() == {}


def test_an_ip_that_cannot_be_started_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(neighbours, "ARP_TABLE", tmp_path / "none")

    def refuse(*_, **__):
        raise PermissionError

    monkeypatch.setattr(subprocess, "run", refuse)
    assert read_neighbours() == {}
