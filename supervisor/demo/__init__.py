"""A simulated fleet that speaks real MQTT from processes of its own: `python -m supervisor.demo --broker URL`."""

from __future__ import annotations

from supervisor.server.child import ChildProcess, python_module

#: Seconds between SIGTERM and SIGKILL; its parts, which it waits for, have half of them.
_GRACE = 4.0


def demo_process(broker_url: str, *arguments: str) -> ChildProcess:
    """Return the demo as a child process, not yet started; `arguments` as for `python -m supervisor.demo`.

    The URL goes through the environment: it may hold a password, and everybody may read the process list.
    """
    command, env = python_module("supervisor.demo", *arguments)
    return ChildProcess("demo fleet", command, env={**env, "MUSTER_BROKER_URL": broker_url}, grace=_GRACE)
