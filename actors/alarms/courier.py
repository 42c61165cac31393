"""The couriers: each carries the news of alarms to one channel, a webhook, the services of Apprise, or devices.

Each has a thread of its own, since all of them may be slow. It tries once; whether and when again, the post decides.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from actors.alarms.apprise import AppriseServices
from actors.alarms.errors import NotSentError
from actors.alarms.messages import Notice, Told
from actors.alarms.sentences import headline, priority_of
from actors.alarms.settings import Channel
from actors.alarms.webhook import Webhook
from actors.runtime import Directory, ThreadedActor

logger = logging.getLogger(__name__)


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
        channel: where the news go.
        notifier: sends notifications to devices.
        services: where the alarms are found as `alarms`.
        apprise: sends to the services of the channel; None: to those it names.

    """

    def __init__(
        self, channel: Channel, notifier: Notifier, services: Directory, apprise: AppriseServices | None = None
    ) -> None:
        super().__init__()
        self._channel = channel
        self._notifier = notifier
        self._services = services
        self._webhook = Webhook(channel) if channel.webhook else None
        self._apprise = apprise or AppriseServices(channel.apprise)

    def sever(self) -> None:
        """End a webhook that hangs."""
        if self._webhook is not None:
            self._webhook.sever()

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
        body = notice.body | {"event": notice.event, "notice": notice.id}
        if self._webhook is not None:
            self._webhook.post(body, key_of(notice))
        elif self._channel.apprise:
            self._send_by_apprise(notice)
        else:
            self._notify(notice, body)

    def _send_by_apprise(self, notice: Notice) -> None:
        kind = {"critical": "failure", "warning": "warning"}.get(notice.body["severity"], "info")
        kind = "success" if notice.event == "cleared" else kind
        title = headline(notice.event, notice.body)
        self._apprise.send(notice.id, title=title, body=notice.body["summary"], notify_type=kind)

    def _notify(self, notice: Notice, body: Mapping[str, Any]) -> None:
        try:
            self._notifier.notify(
                self._channel.target,
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
