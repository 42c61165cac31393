"""Which analyser takes a reading, and what it says: an analyser that fails costs a reading its analysis, no more."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from actors.analysis.results import BeyondPhysicsError
from actors.messages import StoreReading

if TYPE_CHECKING:
    from actors.analysis import Analyser, Analysis, Baseline

logger = logging.getLogger(__name__)

LONGEST_STATUS = 16
"""Characters of a status that are kept."""
MOST_KINDS = 4_096
"""Combinations remembered; a sender that invents names of measures would have any number."""

_encode = msgspec.json.Encoder().encode


def analysis_of(analysis: Analysis) -> tuple[float | None, str, str]:
    """Return an analysis as it is stored: index, status, anomalies as JSON.

    Raises:
        ValueError, TypeError: it cannot be stored.

    """
    index, status = analysis.health_index, analysis.status
    if not (index is None or 0 <= index <= 100):
        raise ValueError(f"an index of {index}")
    if len(status) > LONGEST_STATUS:
        raise ValueError(f"a status of {len(status)} characters")
    return index, status, _encode(analysis.anomalies).decode() if analysis.anomalies else ""


class Analysts:
    """All analysers, the first that takes a reading first; used on the dispatcher's thread and by requests."""

    def __init__(self, analysers: Sequence[Analyser] = ()) -> None:
        self._analysers = analysers
        self._known: dict[tuple[str, str, frozenset[str]], Analyser | None] = {}
        self.failures: Counter[str] = Counter()
        """Exceptions by analyser; the first of each is in the log with its traceback."""

    def of(self, channel: str, kind: str, names: frozenset[str]) -> Analyser | None:
        """Return the analyser for readings of this channel, from devices of this kind, with measures of these names.

        It is asked once for each set of names, since a station always sends the same.
        """
        key = (channel, kind, names)
        try:
            return self._known[key]
        except KeyError:
            pass
        found = next((analyser for analyser in self._analysers if self._takes(analyser, *key)), None)
        if len(self._known) >= MOST_KINDS:
            self._known.clear()
        self._known[key] = found
        return found

    def analyse(
        self,
        analyser: Analyser,
        reading: StoreReading,
        measures: Mapping[str, float],
        baseline: Baseline | None,
        site: str,
    ) -> StoreReading:
        """Return the reading with what the analyser says of it."""
        try:
            index, status, anomalies = analysis_of(analyser.analyse(measures, baseline, site))
        except Exception as error:  # noqa: BLE001 - a plug-in's
            self._failed(analyser, error)
            return reading
        return msgspec.structs.replace(reading, health_index=index, status=status, anomalies=anomalies)

    def check(self, analyser: Analyser, measures: Mapping[str, float]) -> None:
        """Refuse what physics excludes.

        Raises:
            BeyondPhysicsError: naming the field.

        """
        try:
            analyser.check(measures)
        except BeyondPhysicsError:
            raise
        except Exception as error:  # noqa: BLE001 - a plug-in's
            self._failed(analyser, error)

    def explain(
        self, analyser: Analyser | None, measures: Mapping[str, float], baseline: Baseline | None, site: str
    ) -> dict[str, Any]:
        """Return why a reading's analysis is what it is; empty where nobody can say."""
        if analyser is None:
            return {}
        try:
            explained = analyser.explain(measures, baseline, site)
            _encode(explained)  # what a plug-in says may be no JSON
        except Exception as error:  # noqa: BLE001 - a plug-in's
            self._failed(analyser, error)
            return {}
        return explained

    def _takes(self, analyser: Analyser, channel: str, kind: str, names: frozenset[str]) -> bool:
        try:
            return analyser.takes(channel, kind, names)
        except Exception as error:  # noqa: BLE001 - a plug-in's
            self._failed(analyser, error)
            return False

    def _failed(self, analyser: Analyser, error: Exception) -> None:
        self.failures[analyser.name] += 1
        if self.failures[analyser.name] == 1:
            logger.error("the analyser %s failed; more like it are counted", analyser.name, exc_info=error)
