"""Sinks of others: entry points of the group `muster.sinks`, each a callable that takes settings and gives a `Sink`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from actors.followers.settings import FROM_START
from actors.followers.sink import Sink
from actors.storage.errors import explain

GROUP = "muster.sinks"

logger = logging.getLogger(__name__)

MakeSink = Callable[[], Sink]


def load_sinks(sections: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, MakeSink], dict[str, str]]:
    """Return what makes the sinks that the configuration names, and why others are left out, both by name.

    One that cannot be loaded or made with its settings is logged and left out.
    """
    makers: dict[str, MakeSink] = {}
    broken: dict[str, str] = {}
    for name, section in sections.items():
        settings = {key: value for key, value in section.items() if key != FROM_START}
        try:
            makers[name] = _load(name, settings)
        except Exception as error:  # a plug-in's
            broken[name] = explain(error)
            logger.exception("sink %s is left out", name)
    return makers, broken


def _load(name: str, settings: Mapping[str, Any]) -> MakeSink:
    """Return what makes one sink, tried once: a sink's constructor only assigns.

    Raises:
        LookupError: no plug-in of that name is installed.
        TypeError: it makes something that is no sink.

    """
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        raise LookupError(f"no plug-in is installed as {name} in the group {GROUP}")
    make = found[0].load()
    if not isinstance(make(settings), Sink):
        raise TypeError(f"{found[0].value} makes something that is no sink")
    return lambda: make(settings)
