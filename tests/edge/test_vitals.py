"""The figures of a device, on a machine that has them and on one that has not."""

from __future__ import annotations

import pytest

from edge.vitals import Vitals, describe_throttling


@pytest.fixture
def pi(tmp_path):
    """Where a Pi tells its figures."""

    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    write("proc/uptime", "7200.50 13000.00\n")
    write("sys/class/thermal/thermal_zone0/temp", "48312\n")
    write("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.5\0")
    write("sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    return write


def test_a_pi_tells_all_of_it(pi, tmp_path):
    figures = Vitals(tmp_path, tmp_path).read()
    assert figures["uptime_hours"] == 2.0
    assert figures["temperature"] == 48.3
    assert figures["model"] == "Raspberry Pi 4 Model B Rev 1.5"
    assert figures["throttling"] == {
        "now": ["under_voltage", "throttled"],
        "since_boot": ["under_voltage", "throttled"],
    }
    assert figures["memory"].keys() == {"total", "available", "used_percent"}
    assert figures["disk"].keys() == {"total", "free", "used_percent"}
    assert len(figures["load_average"]) == 3


def test_what_a_machine_does_not_tell_is_left_out(tmp_path):
    figures = Vitals(tmp_path / "gone", tmp_path).read()
    assert not {"temperature", "throttling", "model", "disk"} & figures.keys()
    assert figures["uptime_hours"] == 0.0


def test_this_machine_has_been_up_for_some_time(tmp_path):
    assert Vitals(tmp_path).read()["uptime_hours"] > 0


def test_a_program_of_the_firmware_is_asked_where_there_is_no_file(tmp_path):
    program = tmp_path / "usr/bin/vcgencmd"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x8\n')
    program.chmod(0o755)
    assert Vitals(tmp_path, tmp_path).read()["throttling"] == {"now": ["soft_temperature_limit"], "since_boot": []}


@pytest.mark.parametrize("script", ["exit 1", "echo nonsense", "exec /nowhere"])
def test_a_program_that_fails_costs_its_figure_alone(tmp_path, script):
    program = tmp_path / "usr/bin/vcgencmd"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    figures = Vitals(tmp_path, tmp_path).read()
    assert "throttling" not in figures
    assert figures["memory"]


def test_a_healthy_pi_complains_of_nothing():
    assert describe_throttling(0) == {"now": [], "since_boot": []}
