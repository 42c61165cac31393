"""`/metrics`: read from the boards and counters at the moment it is asked for, so that nobody is slowed down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import accumulate
from typing import Any, get_args

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from actors.alarms.rules import SEVERITIES
from actors.alarms.tap import EVENTS as ALARM_EVENTS
from actors.commands.book import EVENTS as COMMAND_EVENTS
from actors.commit_times import BOUNDS as COMMIT_BOUNDS
from actors.enrolment.actor import EVENTS
from actors.groups.actor import ACTIONS
from actors.groups.roster import count_rolls
from actors.home_assistant.tap import EVENTS as HOME_EVENTS
from actors.notifications.board import COUNTED
from actors.twins.actor import EVENTS as TWIN_EVENTS
from supervisor.server.access.face import access_metrics
from supervisor.server.audit import audit_metrics
from supervisor.server.ota import release_metrics
from supervisor.server.parts import Parts
from supervisor.server.payload_keys import payload_metrics
from supervisor.server.pki import pki_metrics
from supervisor.server.supplies import supply_metrics
from supervisor.server.updates import rollout_metrics
from web.pump import Ended, Missed

Health = Callable[[], dict[str, Any]]


class MusterCollector(Collector):
    """Muster's own figures; labels are bounded (links, reasons, states), never a label per device."""

    def __init__(self, parts: Parts, health: Health) -> None:
        self._parts = parts
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        health = self._health()
        yield from self._fleet(health)
        yield from self._links()
        yield from self._registry()
        yield from self._messages()
        yield self._scans()
        yield from self._pipeline()
        yield from self._enrolments()
        yield from self._groups()
        yield from self._notifications()
        yield from self._commands()
        yield self._twins()
        yield self._home_assistant()
        yield from self._alarms()
        yield from release_metrics(self._parts)
        yield from self._http()
        yield from pki_metrics(self._parts.pki, self._parts.tls_board)
        yield from audit_metrics(self._parts)
        yield from rollout_metrics(self._parts)
        yield from access_metrics(self._parts)
        yield from payload_metrics(self._parts)
        yield from self._followers()
        yield from self._actors(health)
        yield from supply_metrics(self._parts)

    def _fleet(self, health: dict[str, Any]) -> Iterator[Metric]:
        devices = GaugeMetricFamily("muster_devices", "Known devices by presence.", labels=["presence"])
        for presence in ("online", "offline", "unknown"):
            devices.add_metric([presence], health["devices"][presence])
        yield devices
        yield GaugeMetricFamily("muster_up", "1 while the server can serve.", value=health["status"] != "failing")

    def _links(self) -> Iterator[Metric]:
        connected = GaugeMetricFamily(
            "muster_link_connected", "1 while every subscription of a link is acknowledged.", labels=["link"]
        )
        waiting = GaugeMetricFamily(
            "muster_link_unresolved", "Deliveries that are not acknowledged yet.", labels=["link"]
        )
        paused = GaugeMetricFamily("muster_link_paused", "1 while an operator wants no connection.", labels=["link"])
        dropped = GaugeMetricFamily(
            "muster_broker_dropped_messages", "Messages that the broker says it dropped, all clients.", labels=["link"]
        )
        events = CounterMetricFamily("muster_link_messages", "What a link has counted.", labels=["link", "event"])
        for name, board in self._parts.link_boards.items():
            connected.add_metric([name], board.status.connected)
            waiting.add_metric([name], board.status.unresolved)
            paused.add_metric([name], board.paused)
            dropped.add_metric([name], board.status.dropped_by_broker)
            for counter in fields(board.counters):
                events.add_metric([name, counter.name], getattr(board.counters, counter.name))
        yield from (connected, waiting, paused, dropped, events)

    def _registry(self) -> Iterator[Metric]:
        board = self._parts.registry_board
        yield GaugeMetricFamily("muster_database_up", "1 while the database answers.", value=board.status.ok)
        yield GaugeMetricFamily("muster_registry_pending", "Writes that wait for a commit.", value=board.status.pending)
        yield GaugeMetricFamily(
            "muster_registry_oldest_seconds",
            "Age of the oldest write that waits.",
            value=board.status.oldest_age_s(self._parts.runtime.clock.monotonic()),
        )
        totals = CounterMetricFamily("muster_registry", "What the writer has done.", labels=["event"])
        for name in ("commits", "rows", "duplicates", "dropped", "retries", "effect_errors"):
            totals.add_metric([name], getattr(board.counters, name))
        yield totals
        bounds = [*map(floatToGoString, COMMIT_BOUNDS), "+Inf"]
        buckets = list(zip(bounds, accumulate(board.counters.times.within), strict=True))
        took = HistogramMetricFamily("muster_commit_seconds", "How long commits take.")
        took.add_metric([], buckets, board.counters.times.seconds)
        yield took

    def _messages(self) -> Iterator[Metric]:
        received = CounterMetricFamily("muster_messages", "Messages decoded, by verb.", labels=["verb"])
        for verb, count in self._parts.intake.counts.items():
            received.add_metric([verb], count)
        yield received
        dead = CounterMetricFamily("muster_dead_letters", "Messages refused, by reason.", labels=["reason"])
        reasons = self._parts.desk.by_reason + self._parts.registry_board.counters.dead_letters_by_reason
        own = self._parts.desk.by_reason
        for reason in reasons:
            # The writer counts what the desk sent it too; what only the writer refuses is not at the desk.
            dead.add_metric([reason], own[reason] or reasons[reason])
        yield dead

    def _scans(self) -> Metric:
        counters = self._parts.registry_board.counters
        scans = CounterMetricFamily("muster_scans", "What became of scanned codes.", labels=["event"])
        scans.add_metric(["stored"], counters.scans)
        scans.add_metric(["duplicates"], counters.scan_duplicates)
        return scans

    def _pipeline(self) -> Iterator[Metric]:
        figures = self._parts.statistics.as_dict()
        sensors = CounterMetricFamily("muster_sensor_messages", "What became of sensors' messages.", labels=["event"])
        for name in ("received", "processed", "duplicates", "failed", "published"):
            sensors.add_metric([name], figures[name])
        yield sensors
        failures = CounterMetricFamily("muster_analyser_failures", "Exceptions of an analyser.", labels=["analyser"])
        for name, count in self._parts.analysts.failures.items():
            failures.add_metric([name], count)
        yield failures

    def _enrolments(self) -> Iterator[Metric]:
        total = CounterMetricFamily("muster_enrolments", "Requests to enrol and decisions on them.", labels=["event"])
        for event in EVENTS:
            total.add_metric([event], self._parts.enrolment_board.counts[event])
        yield total

    def _twins(self) -> Metric:
        total = CounterMetricFamily("muster_twins", "Changes, reports and publications of twins.", labels=["event"])
        for event in TWIN_EVENTS:
            total.add_metric([event], self._parts.twin_board.counts[event])
        return total

    def _home_assistant(self) -> Metric:
        total = CounterMetricFamily("muster_home_assistant", "What the bridge has told.", labels=["event"])
        for event in HOME_EVENTS:
            total.add_metric([event], self._parts.home_tap.counts[event])
        return total

    def _commands(self) -> Iterator[Metric]:
        board = self._parts.command_board
        total = CounterMetricFamily("muster_commands", "What became of commands.", labels=["event"])
        for event in COMMAND_EVENTS:
            total.add_metric([event], board.counts[event])
        yield total
        yield GaugeMetricFamily("muster_commands_open", "Commands that are not over.", value=board.open)

    def _notifications(self) -> Iterator[Metric]:
        board = self._parts.ledger_board
        counted = CounterMetricFamily("muster_notifications", "What became of notifications.", labels=["event"])
        for event in COUNTED:
            counted.add_metric([event], board.counts[event])
        yield counted
        refused = CounterMetricFamily("muster_notifications_refused", "Requests refused.", labels=["reason"])
        for reason, count in board.refused.items():
            refused.add_metric([reason], count)
        yield refused
        large = CounterMetricFamily("muster_notifications_large", "Large for devices of a kind.", labels=["kind"])
        for kind, count in board.warned.items():
            large.add_metric([kind], count)
        yield large
        under_way = len(board.under_way)
        yield GaugeMetricFamily("muster_notifications_under_way", "Not answered by a broker yet.", value=under_way)

    def _alarms(self) -> Iterator[Metric]:
        tap = self._parts.alarm_tap
        now = GaugeMetricFamily("muster_alarms", "Alarms that are not over.", labels=["severity"])
        for severity in SEVERITIES:
            now.add_metric([severity], tap.open[severity])
        yield now
        total = CounterMetricFamily("muster_alarm_events", "What became of alarms and their news.", labels=["event"])
        for event in ALARM_EVENTS:
            total.add_metric([event], tap.counts[event])
        yield total

    def _groups(self) -> Iterator[Metric]:
        book = self._parts.groups
        yield GaugeMetricFamily("muster_groups", "Groups that are declared.", value=len(book.groups))
        changes = CounterMetricFamily("muster_group_changes", "Changes of groups and rosters.", labels=["action"])
        for action in ACTIONS:
            changes.add_metric([action], self._parts.group_counts[action])
        roster = GaugeMetricFamily("muster_roster", "Devices of a site's roster, by state.", labels=["site", "state"])
        for site, state, count in count_rolls(book.rosters(), self._parts.fleet):
            roster.add_metric([site, state], count)
        yield from (changes, roster)

    def _followers(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("muster_follower_up", "1 while a follower of the readings works.", labels=["name"])
        lag = GaugeMetricFamily("muster_follower_lag", "Rows that a follower is behind.", labels=["name"])
        written = CounterMetricFamily("muster_follower_rows", "Readings that a follower has written.", labels=["name"])
        for status in self._parts.followers.statuses():
            up.add_metric([status.name], status.ok)
            lag.add_metric([status.name], status.lag)
            written.add_metric([status.name], status.written)
        for name in self._parts.followers.broken:
            up.add_metric([f"sink.{name}"], 0)
        yield from (up, lag, written)
        board = self._parts.rollup_board
        yield CounterMetricFamily("muster_rollup_rows", "Readings in the sums by hour and day.", value=board.rows)
        expired = CounterMetricFamily("muster_expired_rows", "Rows that the retention has deleted.", labels=["table"])
        for table, count in self._parts.registry_board.counters.expired.items():
            expired.add_metric([table], count)
        yield expired

    def _http(self) -> Iterator[Metric]:
        board = self._parts.http_board
        refused = CounterMetricFamily("muster_http_refused", "Requests refused.", labels=["route", "reason"])
        for (route, reason), count in list(board.refused.items()):
            refused.add_metric([route, reason], count)
        answers = CounterMetricFamily("muster_http_answers", "Requests answered.", labels=["status"])
        for first in "2345":
            answers.add_metric([f"{first}xx"], board.answered[first])
        ended = CounterMetricFamily("muster_http_connections_ended", "Slow or silent clients.", labels=["reason"])
        ended.add_metric(["slow"], board.cut)
        ended.add_metric(["silent"], board.pushed_out)
        yield from (answers, refused, ended)
        yield from self._streams()

    def _streams(self) -> Iterator[Metric]:
        board = self._parts.http_board
        yield GaugeMetricFamily("muster_event_streams", "Event streams that are open.", value=board.streams)
        ended = CounterMetricFamily("muster_event_streams_ended", "Event streams that ended.", labels=["reason"])
        for reason in get_args(Ended):
            ended.add_metric([reason], board.streams_ended[reason])
        missed = CounterMetricFamily("muster_event_resyncs", "Streams that had to fetch all again.", labels=["reason"])
        for reason in get_args(Missed):
            missed.add_metric([reason], board.resyncs[reason])
        yield from (ended, missed)

    def _actors(self, health: dict[str, Any]) -> Iterator[Metric]:
        actors = health["actors"]
        yield GaugeMetricFamily("muster_actors_alive", "Actors that run.", value=actors["alive"])
        yield CounterMetricFamily("muster_actor_restarts", "Restarts of actors.", value=actors["restarts"])
        crashes = CounterMetricFamily("muster_actor_crashes", "Crashes of actors.", labels=["role"])
        book = self._parts.crashes
        for role, count in book.counts.copy().items():
            crashes.add_metric([role], count)
        yield crashes
        yield CounterMetricFamily("muster_crash_groups_dropped", "Kinds of crashes too many.", value=book.forgotten)
        yield GaugeMetricFamily("muster_actors_quarantined", "Parked actors.", value=actors["quarantined"])
        runtime = self._parts.runtime
        yield GaugeMetricFamily(
            "muster_dispatcher_backlog", "Mailboxes that wait for their turn.", value=runtime.dispatcher.backlog()
        )
        yield GaugeMetricFamily(
            "muster_abandoned_threads", "Threads given up that still hang.", value=runtime.watchdog.count_abandoned()
        )


def make_metrics(parts: Parts, health: Health) -> Callable[[], bytes]:
    """Return a function that gives all metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(MusterCollector(parts, health))
    return lambda: generate_latest(registry)
