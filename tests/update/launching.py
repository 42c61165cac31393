"""A home with slots whose Pythons are shell scripts, and a launcher that is killed wherever it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

LAUNCHER = Path(__file__).parents[2] / "edge" / "update" / "launcher.py"

#: Kills the process at the nth of the calls by which a launcher changes the disk, before or after the call.
_KILLER = """
import os, runpy, signal, sys
left, after = int(sys.argv[1]), sys.argv[2] == "after"
def deadly(name):
    real = getattr(os, name)
    def call(*args, **options):
        global left
        left -= 1
        if left == 0 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return real(*args, **options)
        finally:
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    setattr(os, name, call)
for name in ("fsync", "replace", "symlink", "unlink", "execve"):
    deadly(name)
sys.argv = sys.argv[3:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Slots:
    """`home`, with a factory; `add("a")` makes a slot that says its name and ends with a code."""

    def __init__(self, path: Path) -> None:
        self.home = path / "update"
        self.home.mkdir()
        self.factory = path / "factory-python"
        _script(self.factory, "factory", 0)

    def add(self, slot: str, *, code: int = 0, body: str = "") -> None:
        python = self.home / "slots" / slot / "bin" / "python"
        python.parent.mkdir(parents=True, exist_ok=True)
        _script(python, slot, code, body)

    def command(self, *arguments: str) -> list[str]:
        return [
            sys.executable,
            "-I",
            str(LAUNCHER),
            "--home",
            str(self.home),
            "--factory",
            str(self.factory),
            *arguments,
        ]

    def call(
        self, *arguments: str, kill: tuple[int, str] | None = None, timeout: float = 30
    ) -> subprocess.CompletedProcess:
        command = self.command(*arguments)
        if kill is not None:
            command = [sys.executable, "-c", _KILLER, str(kill[0]), kill[1], *command[2:]]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env={**os.environ}, check=False)

    def run(self, *, kill: tuple[int, str] | None = None, timeout: float = 30) -> dict:
        """Run the launcher and return what the version that it became has told of itself."""
        done = self.call("run", "--", "run", "--config", "x y", kill=kill, timeout=timeout)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        told = json.loads(lines[-1]) if lines else {"slot": ""}
        return {**told, "code": done.returncode, "stderr": done.stderr}

    def begin(self, slot: str = "b", nonce: str = "n1", seconds: int = 600) -> int:
        return self.call("begin", slot, "2.0", nonce, str(seconds)).returncode

    def commit(self, nonce: str = "n1") -> int:
        return self.call("commit", nonce).returncode

    @property
    def status(self) -> dict:
        return json.loads(self.call("status").stdout)

    @property
    def state_file(self) -> Path:
        return self.home / "state.json"


def _script(path: Path, slot: str, code: int, body: str = "") -> None:
    path.write_text(
        "#!/bin/sh\n"
        f'printf \'{{"slot": "{slot}", "arguments": "%s", "trial": "%s", "launcher": %s}}\\n\''
        ' "$*" "$MUSTER_EDGE_TRIAL" "${MUSTER_EDGE_LAUNCHER:-null}"\n'
        f"{body}\nexit {code}\n"
    )
    path.chmod(0o755)
