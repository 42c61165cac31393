"""What `muster release` refuses before it does anything: one line, no traceback."""

from __future__ import annotations

import pytest


@pytest.fixture
def key(muster, tmp_path):
    assert muster("release", "keygen", "--out", str(tmp_path)).code == 0
    return str(tmp_path / "release-key.pem")


@pytest.mark.parametrize("words", [("verify",), ("sign", "--key", "{key}")])
def test_a_file_that_is_not_there_is_wrong_usage(muster, tmp_path, key, words):
    result = muster("release", *(word.format(key=key) for word in words), str(tmp_path / "none.muster"))
    assert result.code == 2
    assert "none.muster' does not exist" in result.err


def test_a_directory_is_no_release(muster, tmp_path):
    result = muster("release", "verify", str(tmp_path))
    assert result.code == 2
    assert "is a directory" in result.err


@pytest.mark.parametrize("platform", ["nonsense", "cp311", "linux_aarch64", "py3-linux_aarch64"])
def test_what_is_no_platform_is_told_before_anything_is_built(muster, tmp_path, platform):
    result = muster("release", "build", str(tmp_path), "--platform", platform)
    assert result.code == 2
    assert f"`{platform}` is no platform" in result.err
    assert "cp3" in result.err


def test_keys_are_not_made_where_nobody_can_write(muster, tmp_path):
    result = muster("release", "keygen", "--out", str(tmp_path / "none"))
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert str(tmp_path / "none") in result.err


@pytest.mark.parametrize("group", ["release", "rollout", "pki", "rotate", "groups"])
def test_the_list_of_commands_has_whole_sentences(muster, group):
    lines = muster(group, "--help").out.splitlines()
    listed = lines[lines.index("Commands:") :]
    assert [line for line in listed if line.endswith("...")] == []
