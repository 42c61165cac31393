"""`muster-edge scan-test`: what a person sees who wants to know whether the scanner works."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from edge.scanner.layouts import make_layout
from tests.edge.scanner.machine import Machine
from tests.edge.scanner.recording import Recording, Typist
from tests.support.processes import Process, environment
from tests.support.wait import eventually


@pytest.fixture
def machine(tmp_path):
    with Machine(tmp_path) as machine:
        config = f'[edge.scanner]\ndevice_dir = "{machine.dev}"\nsys_dir = "{machine.sys}"\n'
        (tmp_path / "edge.toml").write_text(config)
        yield machine


@pytest.fixture
def scan_test(tmp_path, machine):
    """Start the command; it is ended with the test."""
    started = []

    def start(*arguments):
        command = ("scan-test", "--config", tmp_path / "edge.toml", "--data-dir", tmp_path, *arguments)
        started.append(Process.module("edge", *command, cwd=tmp_path))
        return started[-1]

    yield start
    for process in started:
        process.close()


def typed(text):
    return Typist(make_layout("us")).type(text)


def expect(process, text):
    eventually(lambda: text in process.output, timeout=60, what=f"{text!r} in {process.output!r}")


def test_it_shows_what_is_read_and_what_it_is_until_ctrl_c(machine, scan_test):
    scanner = machine.plug()
    process = scan_test()
    expect(process, "reading the scanner symbol-")

    scanner.send(typed("4006381333931") + typed("4006381333932") + typed("0109501101530003\x1d10A"))
    expect(process, "\n4006381333931  EAN-13  valid\n4006381333932  EAN-13  WRONG CHECK DIGIT\n")
    expect(process, "\n0109501101530003␝10A  GS1  valid\n")
    process.send(signal.SIGINT)

    eventually(lambda: not process.running)
    assert process.returncode == 0
    assert "Traceback" not in process.output


def test_it_waits_for_a_scanner_and_says_why_a_keyboard_is_none(machine, scan_test):
    machine.plug(0, name="Logitech USB Keyboard", usb="046d:c31c")
    process = scan_test()
    expect(process, "No scanner is plugged in; waiting for one.")
    expect(process, "(Logitech USB Keyboard, 046d:c31c) is not read: it may be a keyboard; if it is a scanner,")

    scanner = machine.plug(1)
    expect(process, "reading the scanner")
    scanner.send(typed("x-1"))
    expect(process, "\nx-1\n")

    scanner.unplug()
    expect(process, "is gone")


def test_a_device_that_is_named_is_read_whatever_it_is_and_no_other(machine, scan_test):
    keyboard = machine.plug(0, name="Logitech USB Keyboard", usb="046d:c31c")
    scanner = machine.plug(1)
    process = scan_test("--json", "--device", keyboard.path)
    expect(process, "reading the scanner")

    scanner.send(typed("scanned"))
    keyboard.send(Recording("noname-no-suffix").events)
    expect(process, '"12345670"')

    codes = [json.loads(line) for line in process.output.splitlines() if line.startswith("{")]
    assert [code["code"] for code in codes] == ["96385074", "12345670"]
    assert codes[0].keys() == {"code", "symbology", "valid", "scanner", "timestamp"}
    assert (codes[0]["symbology"], codes[0]["valid"], codes[0]["scanner"]) == (
        "EAN-8",
        True,
        "logitech-usb-keyboard-1.2.0",
    )


def test_a_device_that_does_not_exist_is_told_with_those_that_do(machine, scan_test):
    machine.plug(3)
    process = scan_test("--device", machine.dev / "event9")

    eventually(lambda: not process.running, timeout=60)

    assert process.returncode == 1
    assert f"event9 is no input device; there are: {machine.dev / 'event3'}." in process.output


def run(*arguments, cwd, **options):
    command = [sys.executable, "-m", "edge", "scan-test", "--data-dir", str(cwd), *arguments]
    env = environment({}, cwd)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd, env=env, **options)


def test_lines_are_judged_without_any_device(tmp_path):
    done = run("--stdin", cwd=tmp_path, input="96385074\r\n\n96385075\nhello\n")

    assert done.stdout == "96385074  EAN-8  valid\n96385075  EAN-8  WRONG CHECK DIGIT\nhello\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_lines_are_judged_as_json_too(tmp_path):
    done = run("--stdin", "--json", cwd=tmp_path, input="036000291452\n")

    assert json.loads(done.stdout) == {"code": "036000291452", "symbology": "UPC-A", "valid": True}


def test_a_wrong_configuration_is_told_in_a_sentence(tmp_path):
    (tmp_path / "edge.toml").write_text('[edge.scanner]\nlayout = "dvorak"\n')

    done = run("--stdin", "--config", "edge.toml", cwd=tmp_path, input="")

    assert done.returncode == 2
    assert "scanner" in done.stderr
    assert "`layout` `dvorak` is not known" in done.stderr
