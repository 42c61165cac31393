"""What others wrote and the page brings along is what they published, unchanged."""

from __future__ import annotations

import hashlib
from importlib import resources

import pytest

VENDOR = resources.files("web").joinpath("static", "vendor")
PUBLISHED = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_file_of_others_is_as_they_published_it(name):
    assert hashlib.sha256(VENDOR.joinpath(name).read_bytes()).hexdigest() == PUBLISHED[name]


def test_nothing_else_came_along_and_the_licence_did():
    assert {file.name for file in VENDOR.iterdir()} == {*PUBLISHED, "README.txt", "uPlot.LICENSE.txt"}
    assert "The MIT License" in VENDOR.joinpath("uPlot.LICENSE.txt").read_text()
    assert "uPlot 1.6.32" in VENDOR.joinpath("README.txt").read_text()
    assert "(v1.6.32)" in VENDOR.joinpath("uPlot.iife.min.js").read_text()[:100]
