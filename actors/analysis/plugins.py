"""Analysers of others: entry points of the group `muster.analysers`, each a class or function without arguments."""

from __future__ import annotations

import logging
from importlib.metadata import EntryPoint, entry_points

from actors.analysis.results import Analyser
from actors.analysis.soil import SoilAnalyser

GROUP = "muster.analysers"

logger = logging.getLogger(__name__)


def load_analysers(soil: SoilAnalyser) -> list[Analyser]:
    """Return the built-in analyser and those that are installed beside Muster, by name.

    One that cannot be loaded, is no analyser or has a name that is taken is logged and left out.
    """
    found: list[Analyser] = [soil]
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        analyser = _load(entry)
        if analyser is None:
            continue
        if any(analyser.name == other.name for other in found):
            logger.error("analyser %s (%s) is left out: there is one of that name", analyser.name, entry.value)
            continue
        found.append(analyser)
        logger.info("analyser %s loaded from %s", analyser.name, entry.value)
    return found


def _load(entry: EntryPoint) -> Analyser | None:
    try:
        analyser = entry.load()()
    except Exception:  # a plug-in's
        logger.exception("analyser %s (%s) is left out: it could not be loaded", entry.name, entry.value)
        return None
    if not isinstance(analyser, Analyser) or not isinstance(analyser.name, str) or not analyser.name:
        logger.error("analyser %s (%s) is left out: it is not an analyser", entry.name, entry.value)
        return None
    return analyser
