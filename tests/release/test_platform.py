from __future__ import annotations

import pytest

from supervisor.release import platform
from supervisor.release.versions import accepts, compare, is_version


def test_a_narrow_python_on_a_wide_kernel_is_told_from_a_wide_one(monkeypatch):
    monkeypatch.setattr(platform.sysconfig, "get_platform", lambda: "linux-aarch64")
    assert platform.own_platform().endswith("-linux_aarch64")
    monkeypatch.setattr(platform.struct, "calcsize", lambda _format: 4)
    assert platform.own_platform().endswith("-linux_armv7l")


def test_pip_is_asked_for_every_glibc_up_to_the_devices():
    options = platform.pip_options("cp311-linux_aarch64")
    assert options[:4] == ["--implementation", "cp", "--python-version", "311"]
    for tag in ("manylinux_2_36_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64"):
        assert tag in options


@pytest.mark.parametrize(
    ("one", "other", "order"),
    [
        ("1.10", "1.9", 1),
        ("1.0", "1.0.0", 0),
        ("1.0rc1", "1.0", -1),
        ("1.0+site1", "1.0", 1),
        ("1.0.post1", "1.0", 1),
        ("nonsense", "0.0.1", -1),
        ("nonsense", "rubbish", 0),
    ],
)
def test_versions_have_the_order_of_pep_440(one, other, order):
    assert compare(one, other) == order
    assert compare(other, one) == -order


def test_a_version_is_known_as_one():
    assert is_version("1.2.3+site")
    assert not is_version("latest")


@pytest.mark.parametrize(
    ("specifiers", "python", "is_met"), [(">=3.11", "3.11.2", True), (">=3.12", "3.11.2", False), ("?", "3.11", False)]
)
def test_a_python_meets_specifiers_or_not(specifiers, python, is_met):
    assert accepts(specifiers, python) is is_met
