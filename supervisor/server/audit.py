"""The audit log: written through the notary, read through the readers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, Metric

from actors.audit.recorder import EVENTS
from actors.storage.audit import FindAudit
from actors.storage.queries import Page
from supervisor.server.parts import Parts
from web.face import Item


class AuditFace:
    """The record of every change."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def record(
        self, *, who: str, address: str, action: str, subject: str, status: int, details: Mapping[str, Any]
    ) -> None:
        """Note a change or its refusal, and go on."""
        self._parts.recorder.record(
            who=who, address=address, action=action, subject=subject, status=status, details=details
        )

    def find(self, *, limit: int, cursor: str, **filters: Any) -> tuple[list[Item], str | None]:
        """Return entries, newest first."""
        page: Page = self._parts.readers.ask(FindAudit(**filters, limit=limit, after=cursor or None))
        return page.items, page.cursor


def audit_metrics(parts: Parts) -> Iterator[Metric]:
    """Yield what the audit log has counted."""
    total = CounterMetricFamily("muster_audit", "Changes and refusals of them.", labels=["event"])
    for event in EVENTS:
        total.add_metric([event], parts.recorder.counts[event])
    yield total
