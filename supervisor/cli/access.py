"""What `muster doctor` says of the broker's users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from supervisor.process.rundir import ServerFiles

from .client import ApiClient, ApiError
from .running import Check

_NAME = "broker users"
_DOCS = "see docs/broker-access.md"


def check_access(running: ServerFiles) -> Iterator[Check]:
    """Ask the server how it is with the broker's users."""
    try:
        with ApiClient(running.url, running.token, timeout=5.0, ca_file=running.ca_file) as client:
            told = client.get("/api/access")
    except ApiError:
        return  # told of already
    yield from judge_access(told)


def judge_access(told: Mapping[str, Any]) -> Iterator[Check]:
    """Judge what `/api/access` tells."""
    if told["mechanism"] == "none":
        found = "the broker is not Muster's to manage: what devices may do there is not known"
        yield Check(_NAME, "warning", found, f"set `broker_access.mechanism`, {_DOCS}")
        return
    if told["reason"]:
        found = f"{told['waiting']} changes wait: {told['reason']}"
        yield Check(_NAME, "failed", found, f"mend it; they are tried again by themselves, {_DOCS}")
    else:
        yield Check(_NAME, "ok", f"devices with one of their own: {told['devices']} ({told['mechanism']})")
    if told["shared_user"]:
        cure = "when all devices have enrolled with this release, run `muster rotate --retire-shared`"
        yield Check("shared user", "ok", f"devices of releases before are let in with one; {cure}")
    if told["renewing"]:
        found = f"devices that have not fetched their new password yet: {told['renewing']}"
        yield Check("passwords", "warning", found, "switch them on before the old ones end")
