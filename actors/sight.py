"""What a link can see. "We cannot see" is not "they are gone": no device is judged by a silence we could not hear."""

from __future__ import annotations

from collections.abc import Callable


class Sight:
    """The sight of one link, shared by all devices heard through it: two times and a number instead of a sweep.

    Written by the link's thread (`lost`, `regained`), by the timers (`slept`) and, for the watermarks, by the
    subscribers; read by every device when its deadline fires.
    """

    __slots__ = ("_done", "_handled", "_sent", "blind_since_at", "epoch", "name", "on_change", "sight_since_at")

    def __init__(self, name: str, at: float) -> None:
        self.name = name
        self.blind_since_at: float | None = at
        """When sight was lost, monotonic seconds; None while the link sees."""
        self.sight_since_at = at
        """When sight was last regained, monotonic seconds."""
        self.epoch = 0
        """Counts the blinks: a device heard in this epoch is known to live, one of an earlier epoch is not."""
        self.on_change: Callable[[Sight], None] | None = None
        self._handled: dict[str, float] = {}
        self._sent: dict[str, int] = {}
        self._done: dict[str, int] = {}

    @property
    def blind(self) -> bool:
        """True while the link cannot see."""
        return self.blind_since_at is not None

    def lost(self, at: float) -> None:
        """Note that the link is down or paused since `at`."""
        if self.blind_since_at is None:
            self.blind_since_at = at
            self._changed()

    def regained(self, at: float) -> None:
        """Note that every subscription is acknowledged again at `at`; all that was heard before is old news."""
        if self.blind_since_at is not None:
            # In this order: a reader that sees the new epoch must not take the time of the old one for its beginning.
            self.sight_since_at = at
            self.epoch += 1
            self.blind_since_at = None
            self._changed()

    def slept(self, at: float) -> None:
        """Note that the process itself was stopped until `at`: silence before that proves nothing."""
        self.sight_since_at = max(self.sight_since_at, at)

    def handled(self, subscriber: str, until_at: float) -> None:
        """Note that all it received for a subscriber before `until_at` has reached the devices' mailboxes."""
        self._handled[subscriber] = max(until_at, self._handled.get(subscriber, 0.0))

    def sent(self, subscriber: str) -> int:
        """Return the number of the next batch to a subscriber; called by the link."""
        number = self._sent[subscriber] = self._sent.get(subscriber, 0) + 1
        return number

    def done(self, subscriber: str, number: int) -> None:
        """Note that the subscriber has handled the batch of that number."""
        self._done[subscriber] = number

    def is_quiet(self, subscriber: str) -> bool:
        """Return whether the subscriber has handled every batch: then the link may move the watermark by itself.

        So silence is judged in time however busy the dispatcher is, for instance with a hundred thousand verdicts.
        """
        return self._sent.get(subscriber, 0) == self._done.get(subscriber, 0)

    def handled_until_at(self, subscriber: str) -> float:
        """Return that watermark, monotonic seconds."""
        return self._handled.get(subscriber, 0.0)

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change(self)


class BrokerSight:
    """The two links of one broker, as one answer to the question whether a device may be judged."""

    __slots__ = ("control", "data")

    def __init__(self, broker: str, at: float) -> None:
        self.control = Sight(f"{broker}.control", at)
        self.data = Sight(f"{broker}.data", at)

    def has_handled(self, subscribers: tuple[str, str], deadline_at: float, *, data_only: bool) -> bool:
        """Return whether everything received before the deadline has been handled.

        A data link that is blind or paused for a slow database does not hold up the verdict on a device that beats.

        Args:
            subscribers: who handles what a device says on the control link, and who what it says on the data link.
            deadline_at: monotonic seconds.
            data_only: whether the device has been heard on the data link alone.

        """
        on_control, on_data = subscribers
        data_done = self.data.handled_until_at(on_data) >= deadline_at
        if data_only:
            return data_done
        return self.control.handled_until_at(on_control) >= deadline_at and (data_done or self.data.blind)
