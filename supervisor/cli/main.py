"""The group of commands, each imported when it is used, and the one place where errors become sentences."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Final

import click

from actors.version import __version__
from supervisor.backup.errors import BackupError
from supervisor.installer import InstallError
from supervisor.pki.errors import PkiError
from supervisor.process.rundir import RuntimeDirectoryError
from supervisor.release.build import BuildError
from supervisor.release.errors import BadReleaseError, KeyFileError
from supervisor.server.child import ChildError
from supervisor.server.config import ConfigError
from supervisor.server.instance import InstanceError

from .client import ApiError, NoServerError

#: Command -> module in this package and name in it.
_COMMANDS = {
    "up": ("serve", "up"),
    "server": ("serve", "server"),
    "status": ("status", "status"),
    "devices": ("devices", "devices"),
    "tree": ("tree", "tree"),
    "tail": ("tail", "tail"),
    "groups": ("groups", "groups"),
    "roster": ("roster", "roster"),
    "resolve": ("resolve", "resolve"),
    "command": ("command", "command"),
    "commands": ("command", "commands"),
    "token": ("token", "token"),
    "audit": ("audit", "audit"),
    "enrolment": ("enrolment", "enrolment"),
    "payload-key": ("payload_key", "payload_key"),
    "rotate": ("rotate", "rotate"),
    "twin": ("twin", "twin"),
    "notify": ("notify", "notify"),
    "alarms": ("alarms", "alarms"),
    "release": ("release", "release"),
    "rollout": ("rollout", "rollout"),
    "pki": ("pki", "pki"),
    "sensor-publisher": ("sensor_publisher", "sensor_publisher"),
    "export": ("export", "export"),
    "backup": ("backup", "backup"),
    "restore": ("backup", "restore"),
    "sealing": ("sealing", "sealing"),
    "dead-letters": ("dead_letters", "dead_letters"),
    "doctor": ("doctor", "doctor"),
    "install": ("install", "install"),
    "uninstall": ("install", "uninstall"),
    "completion": ("completion", "completion"),
}
#: What may go wrong without a fault of Muster's: one sentence, no traceback.
_EXPECTED = (
    ApiError,
    BackupError,
    BadReleaseError,
    BuildError,
    ChildError,
    InstallError,
    InstanceError,
    KeyFileError,
    NoServerError,
    PkiError,
    RuntimeDirectoryError,
)


_SENTENCE: Final = 200
"""Characters of the sentence that a list of commands has for each."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order in which one meets them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import and return a command."""
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        assert isinstance(command, click.Command)
        for listed in getattr(command, "commands", {}).values():
            # Click cuts off what it makes up itself, and wraps what it is told.
            listed.short_help = listed.get_short_help_str(limit=_SENTENCE)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="muster", message="%(prog)s %(version)s")
def muster() -> None:
    """Keep the roll call of a fleet of devices that speak MQTT.

    `muster up` starts everything on this machine; `muster up --demo` adds a simulated fleet to look at.
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; expected failures are one sentence on stderr."""
    try:
        # https://no-color.org: rich looks at it itself, click has to be told.
        colour = False if os.environ.get("NO_COLOR") else None
        code = muster.main(list(arguments), prog_name="muster", standalone_mode=False, color=colour)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ConfigError as error:
        return _fail(f"{error}", 2)
    except _EXPECTED as error:
        return _fail(f"{error}", 1)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted.", 1)
    except SystemExit:
        # So click and rich end when nobody reads any more (`muster devices | head`), which is no failure.
        return 0
    return code if isinstance(code, int) else 0


def _fail(sentence: str, code: int) -> int:
    click.echo(f"muster: {sentence}", err=True)
    return code
