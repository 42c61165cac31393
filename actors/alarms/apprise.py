"""Apprise: mail and other services, each of which may hang, and none of which is told twice."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from actors.alarms.errors import NotSentError

MISSING = "Apprise is not installed; pip install 'muster-fleet[alerts]'"
PATIENCE = 120.0
"""Seconds for one attempt; the services themselves wait for less, as a rule."""
HANGS = "Apprise: the attempt before this hangs still"


def load_apprise() -> Any:
    """Return the library. Raises ImportError where it is not installed."""
    return importlib.import_module("apprise")


class AppriseServices:
    """Sends news to the services of one channel, all at once.

    Args:
        urls: of the services.
        load: imports the library.
        patience: seconds that an attempt may last.

    """

    def __init__(self, urls: Sequence[str], load: Callable[[], Any] = load_apprise, patience: float = PATIENCE) -> None:
        self._urls = urls
        self._load = load
        self._patience = patience
        self._news = 0
        """Which news were tried last."""
        self._arrived: set[int] = set()
        """The numbers of the services that have those."""
        self._under_way: list[threading.Thread] = []

    def send(self, news: int, **fields: Any) -> None:
        """Send news to every service that does not have them yet.

        Args:
            news: the same at each attempt.
            fields: `title`, `body` and `notify_type`.

        Raises:
            NotSentError: a service has not taken them; final where none ever will.

        """
        if any(thread.is_alive() for thread in self._under_way):
            raise NotSentError(HANGS)
        senders = self._make_senders()
        if news != self._news:
            self._news, self._arrived = news, set()
        errors: list[str] = []
        self._under_way = [
            threading.Thread(target=self._try, args=(sender, number, self._arrived, errors, fields), daemon=True)
            for number, sender in senders.items()
            if number not in self._arrived
        ]
        for thread in self._under_way:
            thread.start()
        ends = time.monotonic() + self._patience
        for thread in self._under_way:
            thread.join(max(0.0, ends - time.monotonic()))
        if errors:
            raise NotSentError(errors[0])
        if len(self._arrived) < len(senders):
            raise NotSentError("Apprise: a service did not answer in time")

    def _make_senders(self) -> dict[int, Any]:
        try:
            library = self._load()
        except ImportError:
            raise NotSentError(MISSING, is_final=True) from None
        senders = {number: library.Apprise() for number, _ in enumerate(self._urls, start=1)}
        for (number, sender), url in zip(senders.items(), self._urls, strict=True):
            if not sender.add(url):
                raise NotSentError(f"Apprise does not know URL {number} of this channel", is_final=True)
        return senders

    def _try(self, sender: Any, number: int, arrived: set[int], errors: list[str], fields: dict[str, Any]) -> None:
        """Send to one service; the library's reasons may hold secrets."""
        try:
            if sender.notify(**fields):
                arrived.add(number)
            else:
                errors.append(f"Apprise could not deliver it to URL {number} of this channel")
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
            errors.append(f"Apprise failed: {type(error).__name__}")
