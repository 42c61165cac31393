"""The text of a hardened systemd service, and of the file by which an image gives files their groups at its boot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from supervisor.installer.files import File
from supervisor.installer.step import Step

RESTART_AFTER = 10
"""Seconds; the service is restarted for ever, whatever it ended with."""
WATCHDOG_AFTER = 60
"""Seconds without a sign of life after which it is killed and started anew."""

#: What neither the server nor an edge ever needs; see systemd.exec(5). A core dump would hold its keys.
_HARDENING = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectClock=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
LimitCORE=0
UMask=0027"""


@dataclass(frozen=True)
class Service:
    """A service that runs one Python module for ever, as a user of its own, and tells systemd how it is."""

    name: str
    """Of the unit, without `.service`, and of its directories under /var/lib and /var/log."""
    description: str
    command: str
    """Absolute path and arguments."""
    user: str
    after: Sequence[str] = ()
    """Units that should be there before."""
    environment: Sequence[str] = ()
    """`NAME=value`."""
    extra: Sequence[str] = ()
    """Lines of the section [Service] that only this one has."""

    @property
    def unit(self) -> str:
        """Return the unit's name."""
        return f"{self.name}.service"

    @property
    def text(self) -> bytes:
        """Return the unit file."""
        lines = [
            "[Unit]",
            f"Description={self.description}",
            f"Wants={' '.join(self.after)}",
            f"After={' '.join(self.after)}",
            "# Restart for ever: no number of restarts is too many.",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            "Type=notify",
            "NotifyAccess=main",
            f"ExecStart={self.command}",
            f"User={self.user}",
            f"Group={self.user}",
            "Restart=always",
            f"RestartSec={RESTART_AFTER}",
            f"WatchdogSec={WATCHDOG_AFTER}",
            "TimeoutStartSec=120",
            "TimeoutStopSec=45",
            *(f"Environment={assignment}" for assignment in self.environment),
            f"StateDirectory={self.name}",
            "StateDirectoryMode=0750",
            f"LogsDirectory={self.name}",
            "LogsDirectoryMode=0750",
            *self.extra,
            _HARDENING,
            "",
            "[Install]",
            "WantedBy=multi-user.target",
        ]
        return ("\n".join(lines) + "\n").encode()


def tmpfiles(steps: Sequence[Step]) -> bytes:
    """Return tmpfiles.d(5) lines that give files their groups: where an image is made, nobody knows these yet."""
    owned = [step for step in steps if isinstance(step, File) and step.group]
    return "".join(f"z {step.path} {step.mode:04o} root {step.group} -\n" for step in owned).encode()
