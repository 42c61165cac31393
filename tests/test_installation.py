"""Both commands refuse to start from a mixed installation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from actors.installation import HOME, PACKAGES, InstallationError, check_installation, locate


def test_this_installation_is_whole():
    check_installation()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_from_elsewhere_is_refused(package):
    def find(name):
        return Path("/elsewhere") / name if name == package else HOME / name

    with pytest.raises(InstallationError, match=rf"`{package}` is shadowed by /elsewhere/{package}"):
        check_installation(find)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_missing_package_is_refused(package):
    with pytest.raises(InstallationError, match=rf"`{package}` is missing"):
        check_installation(lambda name: None if name == package else HOME / name)


def test_a_package_is_located_without_importing_it():
    code = (
        "import sys; from actors.installation import locate; locate('web');"
        "print(any(name.startswith('web.') for name in sys.modules), 'web' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["False", "False"]
    assert locate("web") == HOME / "web"
    assert locate("no_such_package_anywhere") is None


def test_the_command_refuses_a_foreign_web_package_in_one_sentence(tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "__init__.py").write_text("")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    code = "from supervisor.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=env, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"`web` is shadowed by {tmp_path}" in done.stderr
