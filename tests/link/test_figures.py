"""What is kept of what a broker tells of itself."""

import pytest

from actors.link.figures import read_figure

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("topic", "payload", "name", "value", "unit"),
    [
        ("version", b"mosquitto version 2.0.11", "version", "mosquitto version 2.0.11", ""),
        ("uptime", b"42 seconds", "uptime", 42, "s"),
        ("clients/connected", b"3", "clients_connected", 3, ""),
        ("load/messages/received/1min", b"12.50", "messages_received_rate", 12.5, "1/min"),
        ("heap/current size", b"90112", "heap_current", 90112, "B"),
        ("heap/current", b"90112", "heap_current", 90112, "B"),
    ],
)
def test_a_figure_is_typed_and_has_its_unit(topic, payload, name, value, unit):
    figure = read_figure(f"$SYS/broker/{topic}", payload, NOW)
    assert (figure.name, figure.value, figure.unit, figure.heard) == (name, value, unit, NOW)
    assert type(figure.value) is type(value)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("load/messages/received/15min", b"1"),
        ("log/N", b"client connected"),
        ("uptime", b"a while"),
        ("uptime", b"9" * 400),
        ("uptime", b"1e999"),
        ("clients/connected", b""),
        ("version", b""),
    ],
)
def test_what_is_not_in_the_table_or_no_number_is_passed_over(topic, payload):
    assert read_figure(f"$SYS/broker/{topic}", payload, NOW) is None


def test_a_version_is_cut():
    assert len(read_figure("$SYS/broker/version", b"\xffv" * 9_000, NOW).value) == 100
