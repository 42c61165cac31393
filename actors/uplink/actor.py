"""`Uplink`: empties an outbox towards the server. Nothing leaves the outbox but by a receipt or by an answer of HTTP.

Over MQTT a window of items is out; each is sent again until its receipt comes, and all of them, the oldest first, after
each reconnect. Over HTTP one item at a time is posted, the oldest first. Both ways carry the item's id, by which the
server knows a copy. Which way is taken is decided by `actors.uplink.mode`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec
import pykka

from actors.link.messages import Publish
from actors.link.status import LinkBoard
from actors.messages import Deliveries, Delivery
from actors.outbox import Arrived, Done, Item, OutboxUnavailableError, Refused, Take
from actors.runtime import Directory, Runtime, ThreadedActor, ToSelf, compute_backoff
from actors.sight import Sight
from actors.uplink.board import UplinkBoard
from actors.uplink.link import DISCOVERY, LinkWatch
from actors.uplink.mode import Configured, Facts, Mode, ModeSwitch
from actors.uplink.poster import Outcome, Poster, ServerAddress
from actors.uplink.window import Window

logger = logging.getLogger(__name__)

TICK = 1.0
"""Seconds between two looks at what time asks for."""
POSTS = 20
"""Items taken from the outbox at once for HTTP."""
POST_AGAIN = 300.0
"""Seconds after which what was answered and is in the outbox still is posted again: its answer could not be noted, or
the file is another one."""
POST_BACKOFF_BASE, POST_BACKOFF_CAP = 1.0, 10.0
"""Seconds between two posts that failed."""
ASK_TIMEOUT = 10.0
"""Seconds to wait for the outbox."""


class Tick(ToSelf, msgspec.Struct, frozen=True):
    """To itself: look at what time asks for."""


class Wake(msgspec.Struct, frozen=True):
    """The link has gained or lost its connection, or there is more to post."""


class Receipt(msgspec.Struct, frozen=True):
    """What the server says on `devices/{serial}/receipts`."""

    stored: list[str] = []
    refused: dict[str, str] = {}


class Presence(msgspec.Struct, frozen=True):
    """What the server says on `server/discovery`."""

    status: str = ""


class Uplink(ThreadedActor):
    """One uplink for one destination of one outbox. It has a thread because a post blocks."""

    def __init__(
        self,
        *,
        name: str,
        link: str,
        outbox: str,
        destination: str,
        configured: Configured,
        paths: Mapping[str, str],
        locate: Callable[[], ServerAddress | None],
        directory: Directory,
        runtime: Runtime,
        sight: Sight,
        watch: LinkWatch,
        link_board: LinkBoard,
        board: UplinkBoard,
        can_publish: bool = True,
        on_lost: Callable[[], None] = lambda: None,
        correlation: Callable[[Item], bytes] = lambda _item: b"",
        post_timeout: float = 10.0,
    ) -> None:
        """Assign.

        Args:
            name: ours in the directory; the route of the receipts bears it.
            link: name of the link in the directory.
            outbox: name of the outbox in the directory.
            destination: ours in the outbox.
            configured: `auto`, `mqtt` or `api`.
            paths: kind of item to the path it is posted to; kinds without one wait for MQTT.
            locate: returns where the server is now, None while nobody knows.
            directory: where link and outbox are found.
            runtime: clock and timers.
            sight: the link's: whether it is up.
            watch: the link's count of attempts.
            link_board: the link's status, for the log.
            board: where our status is left.
            can_publish: whether a broker is configured or can be found; without one everything is posted.
            on_lost: called on our thread when the server may be another one by now: before anything is posted because
                the broker is away, and as `Poster` says. What `locate` returns after that has been looked at anew.
            correlation: returns the correlation data of MQTT 5 with which an item is published, empty for none.
            post_timeout: seconds for connecting and for each read of an answer.

        """
        super().__init__()
        self._name, self._link, self._outbox, self._destination = name, link, outbox, destination
        self._configured: Configured = configured
        self._paths = dict(paths)
        self._directory, self._runtime = directory, runtime
        self._sight, self._watch, self._link_board, self._board = sight, watch, link_board, board
        self._poster = Poster(locate, post_timeout, on_lost)
        self._on_lost = on_lost
        self._correlation = correlation
        self._switch = ModeSwitch(configured, can_publish=can_publish)
        self._window = Window()
        self._seen_epoch = -1
        self._blind_since_at = 0.0
        self._post_at = 0.0
        self._posted_to = 0
        """The `seq` of the last item that was posted and answered."""
        self._rewind_at = 0.0
        self._failures = 0
        self._outbox_error = ""
        self._has_judged = False
        self._more = False

    def on_start(self) -> None:
        """Begin with what the last run left."""
        self._blind_since_at = self._now()
        mode = self._switch.mode
        self._show(mode=mode, reason="", since_us=self._now_us(), configured=self._configured, in_flight=0)
        self.actor_ref.tell(Tick())

    def on_receive(self, message: Any) -> None:
        """Take receipts; after any message do what can be done."""
        match message:
            case Deliveries():
                self._take(message.items)
                self._sight.done(self._name, message.number)
            case Tick():
                self._runtime.timers.after(TICK, self.actor_ref, Tick())
            case Arrived() | Wake():
                pass
            case _:
                logger.warning("%s: unexpected message %.200r", self._name, message)
        if self.actor_inbox.empty() or isinstance(message, Tick):
            self._work()

    def on_stop(self) -> None:
        """Close the connection of HTTP; what is out stays in the outbox."""
        self._poster.close()

    def on_failure(self, *_: Any) -> None:
        """Close the connection of a crashed uplink."""
        self._poster.close()

    def sever(self) -> None:
        """Break a post that hangs."""
        self._poster.sever()

    # Receipts

    def _take(self, items: Sequence[Delivery]) -> None:
        stored: list[str] = []
        for item in items:
            try:
                if item.topic == DISCOVERY:
                    self._note_server(msgspec.json.decode(item.payload, type=Presence), retained=item.retain)
                    continue
                receipt = msgspec.json.decode(item.payload, type=Receipt)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self._board.counters.bad_receipts += 1
                logger.warning("%s: cannot read what came on %s: %s", self._name, item.topic, error)
                continue
            stored += receipt.stored
            self._refuse(receipt.refused)
        if stored:
            self._board.counters.confirmed_mqtt += self._window.confirm(stored, self._now())
            self._settle(stored)

    def _refuse(self, refused: Mapping[str, str]) -> None:
        for item_id, reason in refused.items():
            self._window.confirm((item_id,), self._now())
            self._board.counters.refused += 1
            self._directory.tell(self._outbox, Refused(self._destination, item_id, reason))

    def _settle(self, ids: Sequence[str]) -> None:
        self._show(last_success_us=self._now_us())
        self._directory.tell(self._outbox, Done(self._destination, tuple(ids)))
        if self._switch.end_detour("receipts come again"):
            self._changed()

    def _note_server(self, presence: Presence, *, retained: bool) -> None:
        if presence.status == "online" and not retained:
            self._window.hasten(self._now())

    # Work

    def _work(self) -> None:
        now = self._now()
        self._look_at_link(now)
        if self._switch.judge(now, self._facts(now)):
            self._changed()
        self._has_judged = True
        self._more = False
        if self._switch.mode == "api":
            if now >= self._post_at:
                self._post_some()
        elif not self._sight.blind:
            self._publish(now)
        self._show(in_flight=len(self._window))
        if self._more and self.actor_inbox.empty():
            self.actor_ref.tell(Wake())

    def _look_at_link(self, now: float) -> None:
        """Notice a new connection: what was out on the one before may be lost."""
        if self._sight.blind:
            return
        self._blind_since_at = now
        if self._sight.epoch != self._seen_epoch:
            self._seen_epoch = self._sight.epoch
            self._window.rewind()

    def _facts(self, now: float) -> Facts:
        return Facts(
            link_up=not self._sight.blind,
            failed_attempts=self._watch.failed_attempts,
            blind_for=now - self._blind_since_at,
            silent_for=self._window.silent_for(now),
        )

    def _publish(self, now: float) -> None:
        again = self._window.due(now)
        self._board.counters.resent += len(again)
        fresh: list[Item] = []
        while self._window.room > 0:
            found = self._ask_for(self._window.room, after=self._window.cursor)
            self._window.add(found, now)
            fresh += found
            if not found:
                break
        for item in (*again, *fresh):
            self._board.counters.published += 1
            correlation = self._correlation(item)
            self._directory.tell(self._link, Publish(item.topic, item.payload, qos=1, correlation=correlation))

    def _post_some(self) -> None:
        """Post until something else is to be done, or one has to wait."""
        if self._now() >= self._rewind_at:
            self._posted_to, self._rewind_at = 0, self._now() + POST_AGAIN
        items = self._ask_for(POSTS, after=self._posted_to, kinds=tuple(self._paths))
        done: list[str] = []
        for item in items:
            outcome = self._poster.post(self._paths[item.kind], item.payload, item.id)
            if outcome.kind == "later":
                self._postpone(outcome)
                break
            self._failures = 0
            self._posted_to = item.seq
            self._board.counters.posted += 1
            if outcome.kind == "refused":
                self._refuse({item.id: outcome.reason})
            else:
                done.append(item.id)
            if not self.actor_inbox.empty():
                break
        else:
            self._more = bool(items)
        if done:
            self._board.counters.confirmed_api += len(done)
            self._window.confirm(done, self._now())
            self._show(last_success_us=self._now_us(), http_error="")
            self._directory.tell(self._outbox, Done(self._destination, tuple(done)))

    def _postpone(self, outcome: Outcome) -> None:
        if outcome.reason != self._board.status.http_error:
            logger.warning("%s: a post did not succeed: %s", self._name, outcome.reason)
        self._show(http_error=outcome.reason)
        delay = compute_backoff(self._failures, base=POST_BACKOFF_BASE, cap=POST_BACKOFF_CAP, floor=0.2)
        self._post_at = self._now() + delay
        self._failures += 1
        if self._switch.end_detour("HTTP does not answer either"):
            self._changed()

    def _ask_for(self, limit: int, *, after: int = 0, kinds: tuple[str, ...] = ()) -> list[Item]:
        """Return items of the outbox; none while it cannot be asked, which the next tick tries again."""
        ref = self._directory.get(self._outbox)
        if ref is None:
            return []
        try:
            answer = ref.ask(Take(self._destination, limit, after=after, kinds=kinds), timeout=ASK_TIMEOUT)
        except (pykka.ActorDeadError, pykka.Timeout, OutboxUnavailableError) as error:
            reason = str(error) or type(error).__name__
            if reason != self._outbox_error:
                logger.warning("%s: the outbox does not answer: %s", self._name, reason)
            self._outbox_error = reason
            return []
        self._outbox_error = ""
        return cast("list[Item]", answer)

    def _changed(self) -> None:
        """Say which way is taken now; begin with the oldest item, so that the order holds."""
        self._window.rewind()
        if self._switch.mode == "api" and self._has_judged:
            # Not a new incarnation that finds the broker away: it was made because the server has just been found.
            self._poster.close()
            self._on_lost()
        self._posted_to, self._rewind_at = 0, self._now() + POST_AGAIN
        self._failures, self._post_at = 0, 0.0
        self._board.counters.mode_changes += 1
        mode, reason = self._switch.mode, self._switch.reason
        self._show(mode=mode, reason=reason, since_us=self._now_us())
        ways: dict[Mode, str] = {"mqtt": "MQTT", "api": "HTTP"}
        detail = self._link_board.status.last_error if mode == "api" else ""
        logger.info("%s: mode %s, sending over %s now: %s", self._name, mode, ways[mode], detail or reason)

    def _show(self, **changes: Any) -> None:
        status = msgspec.structs.replace(self._board.status, **changes)
        if status != self._board.status:
            self._board.status = status

    def _now(self) -> float:
        return self._runtime.clock.monotonic()

    def _now_us(self) -> int:
        return int(self._runtime.clock.time() * 1e6)
