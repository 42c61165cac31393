"""The courier: carries the news of alarms to webhooks, to the services of Apprise, and to devices.

It has a thread of its own, since all of them may be slow. It tries once; whether and when again, the post decides.
"""

from __future__ import annotations

import http.client
import importlib
import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from actors.alarms.messages import Notice, Told
from actors.alarms.sentences import encode, headline, priority_of
from actors.alarms.settings import Channel
from actors.runtime import Directory, ThreadedActor
from actors.version import __version__

logger = logging.getLogger(__name__)

MISSING = "Apprise is not installed; pip install 'muster-fleet[alerts]'"


class NotSentError(Exception):
    """News have not arrived; the message says why, without a secret."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final
        """Whether another attempt would end in the same way."""


class Notifier(Protocol):
    """Sends notifications to devices."""

    def notify(
        self, target: Mapping[str, Any], *, title: str, body: str, data: Mapping[str, Any], priority: str, key: str
    ) -> None:
        """Take a notification.

        Args:
            target: one of `device`, `devices`, `group` and `topic`, with its value.
            title: a few words.
            body: one sentence.
            data: the alarm.
            priority: `low`, `normal`, `high` or `urgent`.
            key: a second notification with this key is the same one.

        Raises:
            LookupError: there is no such device or group.
            ValueError: it cannot be sent as it is.
            TimeoutError: whoever takes notifications does not answer now.

        """
        ...


class CourierActor(ThreadedActor):
    """Takes a `Notice`, and tells `Told` to the alarms.

    Args:
        channels: where the news go, by name.
        notifier: sends notifications to devices.
        services: where the alarms are found as `alarms`.
        load_apprise: imports the library.

    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        notifier: Notifier,
        services: Directory,
        load_apprise: Callable[[], Any] = lambda: importlib.import_module("apprise"),
    ) -> None:
        super().__init__()
        self._channels = channels
        self._notifier = notifier
        self._services = services
        self._load_apprise = load_apprise

    def on_receive(self, message: Any) -> None:
        """Carry news."""
        if not isinstance(message, Notice):
            logger.warning("courier: unexpected message %s dropped", type(message).__name__)
            return
        try:
            self._carry(message)
            told = Told(message.id)
        except NotSentError as error:
            logger.warning("news of alarm %s do not arrive at %s: %s", message.body["id"], message.channel, error)
            told = Told(message.id, str(error) or "no reason was given", error.is_final)
        self._services.tell("alarms", told)

    def _carry(self, notice: Notice) -> None:
        channel = self._channels.get(notice.channel)
        if channel is None:
            raise NotSentError("the channel is not in the configuration any more", is_final=True)
        body = notice.body | {"event": notice.event, "notice": notice.id}
        match channel.way:
            case "webhook":
                post_json(channel, body, key_of(notice))
            case "apprise":
                self._apprise(channel, notice)
            case _:
                self._notify(channel, notice, body)

    def _apprise(self, channel: Channel, notice: Notice) -> None:
        try:
            library = self._load_apprise()
        except ImportError:
            raise NotSentError(MISSING, is_final=True) from None
        sender = library.Apprise()
        for number, url in enumerate(channel.apprise, start=1):
            if not sender.add(url):
                raise NotSentError(f"Apprise does not know URL {number} of this channel", is_final=True)
        kind = {"critical": "failure", "warning": "warning"}.get(notice.body["severity"], "info")
        kind = "success" if notice.event == "cleared" else kind
        title = headline(notice.event, notice.body)
        try:
            arrived = sender.notify(title=title, body=notice.body["summary"], notify_type=kind)
        except Exception as error:
            raise NotSentError(f"Apprise failed: {type(error).__name__}") from error
        if not arrived:
            raise NotSentError("Apprise could not deliver it to every service")

    def _notify(self, channel: Channel, notice: Notice, body: Mapping[str, Any]) -> None:
        try:
            self._notifier.notify(
                channel.target,
                title=headline(notice.event, notice.body),
                body=notice.body["summary"],
                data=body,
                priority=priority_of(notice.event, notice.body),
                key=key_of(notice),
            )
        except TimeoutError as error:
            raise NotSentError(f"notifications are not taken now: {error}") from error
        except (LookupError, ValueError) as error:
            raise NotSentError(str(error), is_final=isinstance(error, ValueError)) from error


def key_of(notice: Notice) -> str:
    """Return what is the same at each attempt to carry these news."""
    return f"alarm-{notice.body['id']}-{notice.body['raised']}-{notice.event}-{notice.id}"


def post_json(channel: Channel, body: Mapping[str, Any], key: str) -> None:
    """Send news to a webhook.

    Raises:
        NotSentError: with the reason; final where the answer says that the request itself is wrong.

    """
    parts = urlsplit(channel.webhook)
    assert parts.hostname is not None
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=channel.timeout, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=channel.timeout)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"muster/{__version__}",
        "Idempotency-Key": key,
        **channel.headers,
    }
    try:
        connection.request("POST", target, body=encode(dict(body)), headers=headers)
        answer = connection.getresponse()
        answer.read(1_024)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise NotSentError(f"the webhook at {parts.hostname} cannot be reached: {reason}") from error
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        is_final = answer.status in (400, 404, 405, 410, 413, 415, 422)
        raise NotSentError(f"the webhook at {parts.hostname} answered {answer.status}", is_final=is_final)
