"""The mechanism `files`: a password file, and an ACL file with one pattern rule for all devices, read again on SIGHUP.

Mosquitto disconnects on SIGHUP who is connected with a password that is no longer in the file. With dynamic security
the same two files are there for whoever the plugin does not know: see `dynsec`.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final, NamedTuple

from actors.topics import SERIAL
from supervisor.server.access.accounts import (
    RESERVED,
    Account,
    BrokerAwayError,
    Everyone,
    own_topics,
    site_topics,
    told_topics,
)
from supervisor.server.mosquitto import DEVICES, SERVER, BrokerUser, password_file

PASSWORDS, RIGHTS = "passwords", "acl"
PROBE = f"{SERVER}~probe"
"""A user whose password is new with each change: who is let in with it talks to a broker that has read that."""
PATIENCE: Final = 3.0
"""Seconds for the broker to read its files again."""
_AGAIN: Final = 0.05
_MODE = 0o640
"""The group is the directory's: that of the broker where it is not our child."""

Check = Callable[[BrokerUser], bool | None]
"""Returns whether the broker lets a user in; None while it does not answer."""


class Written(NamedTuple):
    """What the two files say."""

    passwords: str
    rights: str


class Files:
    """Keeps both files of one broker; used by one thread at a time.

    Args:
        directory: where they lie.
        reload: has the broker read them again; returns at once.
        check: tells whether a user is let in: the one sign that the broker has read them.

    """

    def __init__(self, directory: Path, *, reload: Callable[[], None], check: Check) -> None:
        self._directory = directory
        self._reload, self._check = reload, check
        self._is_read = False
        """Whether the broker has read what stands there; a signal may be lost, also with the process before us."""

    def known(self) -> set[str]:
        """Return the devices that the password file names."""
        return set(password_names(self._read(PASSWORDS)))

    def lacking(self, serials: AbstractSet[str]) -> set[str]:
        """Return those that the password file does not name."""
        return {serial for serial in serials if can_name(serial)} - self.known()

    def apply(
        self,
        everyone: Everyone,
        put: Sequence[Account],
        remove: Iterable[str],  # noqa: ARG002 - the files are written whole
        rights: Sequence[Account] = (),  # noqa: ARG002
    ) -> list[str]:
        """Write both files, have them read, and wait until they are."""
        taken = [account.serial for account in put]
        before = Written(_without_probe(self._read(PASSWORDS)), self._read(RIGHTS))
        now = Written(passwords(everyone, before.passwords), access_list(everyone))
        if now == before and self._is_read:
            return taken
        self._is_read = False
        probe = BrokerUser(PROBE, secrets.token_urlsafe(24))
        try:
            self._write(RIGHTS, now.rights)
            self._write(PASSWORDS, now.passwords + password_file([probe]))
        except OSError as error:
            raise BrokerAwayError(f"{self._directory} cannot be written: {error.strerror}") from None
        if self._check(probe) is None:
            return taken  # it is away, or starts: a SIGHUP would end it before it knows what that means
        self._reload()
        self._is_read = self._wait_for(probe)
        return taken

    def _wait_for(self, user: BrokerUser) -> bool:
        """Wait until a user is let in; False: the broker is away, and reads the files when it comes back."""
        until = time.monotonic() + PATIENCE
        while not (let_in := self._check(user)):
            if let_in is None:
                return False
            if time.monotonic() > until:
                raise BrokerAwayError(f"the broker has not read {self._directory} again: it needs a SIGHUP")
            time.sleep(_AGAIN)
        return True

    def _read(self, name: str) -> str:
        try:
            return (self._directory / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _write(self, name: str, text: str) -> None:
        write_files(self._directory, {name: text})


def _without_probe(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"{PROBE}:"))


def can_name(serial: str) -> bool:
    """Return whether a password file can have a user of this name: `:` ends the name there."""
    return ":" not in serial


def password_names(text: str) -> dict[str, str]:
    """Return the devices that a password file names, with their hashes."""
    lines = (line.partition(":") for line in text.splitlines())
    return {name: hashed for name, _, hashed in lines if SERIAL.fullmatch(name) and name not in RESERVED}


def write_files(directory: Path, texts: dict[str, str]) -> None:
    """Replace files at once, readable for us and for the directory's group.

    Raises:
        OSError: the disk is full, or the directory is not ours.

    """
    for name, text in texts.items():
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), _MODE)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(directory / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def passwords(everyone: Everyone, existing: str) -> str:
    """Return the password file; lines that are right stay as they are."""
    users = [*everyone.servers, *([everyone.shared] if everyone.shared is not None else [])]
    users += [BrokerUser(user.name, user.password) for user in everyone.programs]
    users += [BrokerUser(account.serial, account.password) for account in everyone.devices if can_name(account.serial)]
    return password_file(users, existing)


def access_list(everyone: Everyone) -> str:
    """Return the ACL file: who has no user of its own never speaks for a device that has one, nor hears it."""
    prefixes, told = everyone.prefixes, told_topics(everyone.prefixes)
    # The names of those who have a user, denied to all who have none: Mosquitto looks for denials first.
    taken = [f"topic deny devices/{account.serial}/#" for account in everyone.devices]
    unnamed = [f"topic write {topic}" for topic in site_topics(prefixes)]
    unnamed += [f"topic read {topic}" for topic in told]
    unnamed += ["topic readwrite devices/#", *taken, ""]
    lines = ["# Written by Muster; changes are lost."]
    if everyone.anonymous:  # on loopback alone; notifications go to any topic
        lines += ["topic read #", *unnamed]
    for user in everyone.servers:
        # `$CONTROL` also here: a plugin that has lost its file is told of everybody anew.
        lines += [f"user {user.name}", "topic readwrite #", "topic read $SYS/#", "topic readwrite $CONTROL/#", ""]
    if everyone.shared is not None:
        lines += [f"user {DEVICES}", *unnamed]
    for program in everyone.programs:
        lines += [f"user {program.name}", *(f"topic read {topic}" for topic in program.read)]
        lines += [*(f"topic write {topic}" for topic in program.write), ""]
    lines += _of_devices(everyone.devices, prefixes)
    lines += [f"pattern readwrite {topic}" for topic in own_topics("%u", "%c")]
    # Mosquitto warns that these have no name in them. A block for each user instead would cost it a second at each
    # SIGHUP with 10,000 devices: it looks for every user from the first one on.
    lines += [f"pattern read {topic}" for topic in told]
    return "\n".join(lines) + "\n"


def _of_devices(devices: Sequence[Account], prefixes: Sequence[str]) -> list[str]:
    """Return the lines of devices that may do more than the patterns say."""
    lines = []
    for account in devices:
        more = [f"topic write {topic}" for topic in site_topics(prefixes)] if account.publishes else []
        more += [f"topic read {topic}" for topic in account.topics if _is_plain(topic)]
        if more:
            lines += [f"user {account.serial}", *more, ""]
    return lines


def _is_plain(topic: str) -> bool:
    """Return whether a topic can stand in a line."""
    return re.search(r"[\x00-\x1f\x7f]", topic) is None and topic == topic.strip()
