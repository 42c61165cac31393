"""Building without an index: from a wheel, or from sources, with wheels that lie in a directory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from supervisor.release.archive import Release
from supervisor.release.build import BuildError, Recipe, build_release
from supervisor.release.keys import PrivateKey
from supervisor.release.platform import own_platform
from supervisor.release.wheels import lock_file
from tests.release.support import make_wheel

ARM = "cp311-linux_aarch64"
KEY = PrivateKey.generate()


@pytest.fixture
def build(tmp_path):
    """`build(source, ...)`: the manifest, what was said, and the release's path."""

    def run(source, **options):
        said = []
        facts = {"platforms": (own_platform(),), "extras": ("edge",), "wheels": tmp_path / "wheels", "offline": True}
        recipe = Recipe(source=source, **(facts | options))
        path = build_release(recipe, tmp_path / "dist", now_us=0, signers=[KEY], say=said.append)
        with Release(path) as release:
            release.verify({KEY.public.key_id: KEY.public})
            return release.manifest, said, path

    (tmp_path / "wheels").mkdir()
    return run


def test_a_wheel_and_what_it_needs_become_a_signed_release(tmp_path, build):
    make_wheel(tmp_path / "wheels", "needed", "2.0")
    own = make_wheel(tmp_path, "thing", "1.5", requires=("needed>=1", 'extra1; extra == "edge"'))
    make_wheel(tmp_path / "wheels", "extra1", "3.0")
    manifest, _, path = build(own, replaces_from="1.2")
    assert path.name == "thing-1.5.muster"
    assert (manifest.name, manifest.version, manifest.requires_python) == ("thing", "1.5", ">=3.9")
    assert manifest.replaces_from == "1.2"
    assert manifest.requirements == ("thing[edge]==1.5",)
    assert [file.wheel for file in manifest.files] == [
        "extra1-3.0-py3-none-any.whl",
        "needed-2.0-py3-none-any.whl",
        "thing-1.5-py3-none-any.whl",
    ]


def test_what_is_for_one_platform_alone_is_marked(tmp_path, build):
    tag = own_platform().replace("-", "-" + own_platform().partition("-")[0] + "-", 1)
    native = make_wheel(tmp_path / "wheels", "native", "1.0", tag=tag)
    own = make_wheel(tmp_path, "thing", requires=('native; extra == "scanner"',))
    manifest, said, _ = build(own, platforms=(own_platform(), ARM), extras=("edge", "scanner"))
    assert manifest.platforms == (own_platform(), ARM)
    assert {file.wheel: file.platforms for file in manifest.files} == {native.name: (own_platform(),), own.name: ()}
    assert [file.wheel for file in manifest.files_for(ARM)] == [own.name]
    assert any("left out" in line and ARM in line for line in said)


def test_an_extra_for_which_there_is_no_wheel_is_left_out_and_said(tmp_path, build):
    own = make_wheel(tmp_path, "thing", requires=('absent; extra == "scanner"',))
    manifest, said, _ = build(own, platforms=(ARM,), extras=("edge", "scanner"))
    assert [file.wheel for file in manifest.files] == [own.name]
    assert any("left out" in line and "`scanner`" in line for line in said)


def test_what_has_no_wheel_and_is_no_extra_fails_with_pips_words(tmp_path, build):
    own = make_wheel(tmp_path, "thing", requires=("absent",))
    with pytest.raises(BuildError, match="absent"):
        build(own)
    assert not list(tmp_path.glob("dist/*"))


@pytest.mark.parametrize("source", ["absent", "empty", "text.whl"])
def test_a_source_that_is_none_is_named(tmp_path, build, source):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.whl").write_text("no zip")
    with pytest.raises(BuildError, match=source):
        build(tmp_path / source)


def test_a_lowest_version_that_is_no_version_is_refused(tmp_path, build):
    with pytest.raises(BuildError, match="`new` is no version"):
        build(make_wheel(tmp_path), replaces_from="new")


def test_pip_installs_exactly_the_locked_wheels(tmp_path, build):
    make_wheel(tmp_path / "wheels", "needed", "2.0")
    manifest, _, path = build(make_wheel(tmp_path, "thing", "1.5", requires=("needed",)))
    out, target = tmp_path / "out", tmp_path / "target"
    out.mkdir()
    with Release(path) as release:
        release.extract(out, manifest.files_for(own_platform()))
    (out / "lock.txt").write_text(lock_file(manifest.files))
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--require-hashes", "--quiet"]
    command += ["--find-links", str(out), "--target", str(target), "-r", str(out / "lock.txt")]
    subprocess.run(command, check=True, timeout=100)
    assert (target / "thing.py").exists()
    assert (target / "needed.py").exists()
