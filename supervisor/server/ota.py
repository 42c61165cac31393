"""Updates over the air as the HTTP face sees them: the releases, and what devices ask and tell."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from pykka import ActorDeadError, Timeout

from actors.runtime import Directory, Runtime, ThreadedActor, ToSelf
from actors.storage.errors import StoreUnavailable
from actors.storage.releases import StoredRelease
from actors.updates.messages import UPDATES, InUse, Offer, Offered, Report, Reported, Revoked, RolloutError
from actors.updates.states import TOLD
from supervisor.server.releases import EVENTS
from supervisor.server.uploads import Uploads
from web.face import Item
from web.releases import OpenRelease, Outcome, ReleasesRefusedError

if TYPE_CHECKING:
    from supervisor.server.parts import Parts

logger = logging.getLogger(__name__)

PATIENCE: Final = 5.0
"""Seconds that a request waits for the rollouts."""
LOOK_EVERY: Final = 30.0
"""Seconds between two looks at uploads that nobody goes on with, and at what another server has changed."""
AGAIN_AFTER: Final = 1.0
"""Seconds until the database is asked again when it was away at the start."""


class OtaBoard:
    """What is counted of devices' questions and reports; outlives the HTTP actor."""

    def __init__(self) -> None:
        self.checks: Counter[str] = Counter()
        """Answers to `check_update`: `offered`, or why there is nothing."""
        self.reports: Counter[str] = Counter()
        """Reports, by state."""
        self.confirmed: Counter[bool] = Counter()
        """Answers to `confirming`."""


class Updates:
    """Asks the rollouts' actor, and tells it."""

    def __init__(self, services: Directory) -> None:
        self._services = services

    def ask(self, message: Any) -> Any:
        """Return its answer. Raises ActorDeadError while it is restarting, and pykka.Timeout."""
        ref = self._services.get(UPDATES)
        if ref is None:
            raise ActorDeadError("the rollouts' actor is restarting")
        return ref.ask(message, block=True, timeout=PATIENCE)

    def in_use(self, release_id: str) -> Sequence[str]:
        """Return the rollouts that need a release."""
        rollouts: Sequence[str] = self.ask(InUse(release_id))
        return rollouts

    def gone(self, release_id: str) -> None:
        """Tell that a release was revoked or deleted."""
        self._services.tell(UPDATES, Revoked(release_id))


class _Look(ToSelf):
    """To itself, from a timer."""


class ReleasesActor(ThreadedActor):
    """Loads the releases, and is ready then; looks after uploads from time to time."""

    defer_ready = True

    def __init__(self, uploads: Uploads, runtime: Runtime, *, is_shared: bool) -> None:
        """Assign; `is_shared`: another server may change the same database."""
        super().__init__()
        self._uploads = uploads
        self._runtime = runtime
        self._is_shared = is_shared
        self._loaded = False
        self._told = False

    def on_start(self) -> None:
        """Begin."""
        self.actor_ref.tell(_Look())

    def on_receive(self, message: Any) -> None:
        """Look, and set the time of the next look."""
        if not isinstance(message, _Look):
            logger.warning("releases: unexpected message %s dropped", type(message).__name__)
            return
        try:
            if self._loaded and not self._is_shared:
                self._uploads.tidy()
            else:
                self._uploads.load()
        except (ActorDeadError, Timeout, StoreUnavailable) as error:
            if not self._told:
                self._told = True
                logger.warning("the releases cannot be read now, and are asked for again: %s", error)
        else:
            self._told = False
            if not self._loaded:
                self._loaded = True
                self.ready()
        self._runtime.timers.after(LOOK_EVERY if self._loaded else AGAIN_AFTER, self.actor_ref, _Look())


def releases_actor(parts: Parts) -> ReleasesActor:
    """Return the actor that looks after the releases."""
    return ReleasesActor(parts.uploads, parts.runtime, is_shared=not parts.serves_all)


class ReleasesFace:
    """The releases: what is there, uploads, downloads."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.releases
        self._uploads = parts.uploads

    def items(self, limit: int, cursor: str) -> tuple[list[Item], str | None]:
        """Return a page, the last uploaded first."""
        self._store.check_loaded()
        rows = self._store.rows()
        start = 0
        if cursor:
            start = [row.id for row in rows].index(cursor) + 1
        page = rows[start : start + limit]
        return [self._show(row) for row in page], page[-1].id if start + limit < len(rows) else None

    def get(self, version: str) -> Item:
        """Return one release."""
        return self._show(self._store.known(version))

    def begin(self, *, size: int, sha256: str, name: str, by: str) -> Item:
        """Begin an upload, or go on with it."""
        return self._uploads.begin(size=size, sha256=sha256, name=name, by=by)

    def append(self, upload: str, offset: int, chunk: bytes, by: str) -> Item:
        """Take a piece of an upload."""
        return self._uploads.append(upload, offset, chunk, by)

    def revoke(self, version: str, reason: str, by: str) -> Item:
        """Let nobody have a release any more."""
        return self._show(self._store.revoke(version, reason, by))

    def delete(self, version: str, by: str) -> None:
        """Forget a release."""
        self._store.delete(version)
        logger.info("release %s was deleted by %s", version, by)

    def open(self, release_id: str) -> OpenRelease:
        """Open a release for a download."""
        return self._store.open(release_id)

    def may_go(self, release_id: str) -> bool:
        """Tell whether it may still be given away."""
        return self._store.may_go(release_id)

    def count_download(self, outcome: Outcome, sent: int) -> None:
        """Count a download that has ended."""
        self._store.count_download(outcome, sent)

    def _show(self, row: StoredRelease) -> Item:
        facts = row.read_facts()
        return {
            "id": row.id,
            "version": row.version,
            "name": facts.name,
            "size": row.size,
            "sha256": row.sha256,
            "key_id": row.key_id,
            "created": facts.created,
            "requires_python": facts.requires_python,
            "platforms": list(facts.platforms),
            "replaces_from": facts.replaces_from,
            "wheels": facts.wheels,
            "uploaded_us": row.uploaded_us,
            "uploaded_by": row.uploaded_by,
            "revoked_us": row.revoked_us,
            "revoked_by": row.revoked_by,
            "reason": row.reason,
            "here": self._store.is_here(row.id),
        }


class OtaFace:
    """What devices ask and tell; the rollouts decide."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.releases
        self._updates = Updates(parts.services)
        self._board = parts.ota_board

    def check(self, serial: str, version: str, platform: str, python: str, *, asks: bool) -> Item:
        """Return what a device is to have now."""
        offered: Offered = self._updates.ask(Offer(serial, version, platform, python, asks=asks))
        answer = self._answer(offered)
        self._board.checks["offered" if answer["update"] else answer["reason"]] += 1
        return answer

    def _answer(self, offered: Offered) -> Item:
        if offered.release_id is None:
            return {"update": False, "reason": offered.reason}
        row = self._store.row(offered.release_id)
        if row is None or row.revoked_us is not None:
            return {"update": False, "reason": "revoked"}
        if not self._store.is_here(row.id):
            return {"update": False, "reason": "not_here"}
        return {
            "update": True,
            "version": row.version,
            "release": row.id,
            "size": row.size,
            "sha256": row.sha256,
            "rollout": offered.rollout,
            "force": offered.force,
            "deadline": offered.deadline,
        }

    def report(self, report: Report) -> bool:
        """Note how far a device is."""
        try:
            reported: Reported = self._updates.ask(report)
        except RolloutError as error:
            raise ReleasesRefusedError(503, error.code, error.message, error.details) from None
        self._board.reports[report.state] += 1
        if report.state == "confirming":
            self._board.confirmed[reported.commit] += 1
        return reported.commit


def release_metrics(parts: Parts) -> Iterator[Metric]:
    """Yield the families of releases, downloads and devices' questions."""
    store, board = parts.releases, parts.ota_board
    yield GaugeMetricFamily("muster_releases", "Releases that are known.", value=len(store.rows()))
    yield GaugeMetricFamily("muster_release_bytes", "Bytes of their files on this server.", value=store.size)
    yield GaugeMetricFamily("muster_uploads_open", "Uploads that are not complete.", value=parts.uploads.open)
    families: Sequence[tuple[str, str, str, Counter[Any], Sequence[Any]]] = (
        ("muster_release_events", "What became of releases and uploads.", "event", store.counts, EVENTS),
        ("muster_releases_refused", "Uploads and requests refused.", "code", store.refused, tuple(store.refused)),
        ("muster_downloads", "Downloads that have ended.", "outcome", store.downloads, get_args(Outcome)),
        ("muster_update_checks", "Answers to devices that asked.", "answer", board.checks, tuple(board.checks)),
        ("muster_update_reports", "What devices told of updates.", "state", board.reports, sorted(TOLD)),
        ("muster_update_confirmations", "Answers to `confirming`.", "commit", board.confirmed, (True, False)),
    )
    for name, text, label, counts, keys in families:
        family = CounterMetricFamily(name, text, labels=[label])
        for key in keys:
            family.add_metric([str(key).lower()], counts[key])
        yield family
    yield CounterMetricFamily("muster_download_bytes", "Bytes of all downloads.", value=store.sent)
