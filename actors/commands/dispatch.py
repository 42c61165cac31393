"""What is on its way to the broker: a bounded number of publications at a time, and what their answers mean."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Final, NamedTuple

from actors.commands.messages import COMMANDER
from actors.commands.payloads import commands_topic, encode_cancellation, encode_command, responses_topic
from actors.commands.rules import Command
from actors.link.messages import NOBODY_SUBSCRIBED, REFUSED, Publish, Published

WINDOW: Final = 1_000
"""Commands that the broker has not confirmed: a link holds ten times as many publications, and others publish too."""
FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 30.0
"""Seconds until a command that has reached nobody is tried again, the first time and at most."""
FOR_NOW: Final = frozenset({0x93, 0x97})
"""Refusals that pass: receive maximum exceeded, quota exceeded."""
MEANINGS: Final = {
    0x80: "unspecified error",
    0x83: "implementation specific error",
    0x87: "not authorized",
    0x90: "topic name invalid",
    0x99: "payload format invalid",
}
"""Reason codes of MQTT 5 in words."""


class Setback(NamedTuple):
    """Why a command has not reached its device, and whether there is any use in trying again."""

    event: str
    reason: str
    is_final: bool


class Dispatch:
    """The commands that are to be sent, and those of which the broker has not said anything yet."""

    def __init__(self, first_token: int) -> None:
        """Begin to count.

        Args:
            first_token: above every token of an earlier incarnation, whose answers may still come.

        """
        self._tokens = count(first_token)
        self._wanted: dict[str, None] = {}
        self._held: dict[str, int] = {}
        """Command to the token of its publication; 0 before it is published."""
        self._by_token: dict[int, str] = {}

    def wish(self, ids: Iterable[str]) -> None:
        """Have commands looked at again, in order."""
        self._wanted.update(dict.fromkeys(ids))

    def take(self) -> str:
        """Return the command to look at next; empty when there is none, or as many are on their way as may be."""
        if not self._wanted or len(self._held) >= WINDOW:
            return ""
        command_id = next(iter(self._wanted))
        del self._wanted[command_id]
        return command_id

    def hold(self, command_id: str) -> None:
        """Note that a command is on its way from now on."""
        self._held[command_id] = 0

    def release(self, command_id: str) -> None:
        """Forget a command: it is over."""
        token = self._held.pop(command_id, 0)
        self._by_token.pop(token, None)
        self._wanted.pop(command_id, None)

    def publication(self, row: Command, now_us: int) -> Publish:
        """Return what the link is told."""
        token = next(self._tokens)
        self._held[row.id] = token
        self._by_token[token] = row.id
        return Publish(
            commands_topic(row.serial),
            encode_command(row.serial, row.id, row.name, row.args, deadline_us=row.deadline_us, now_us=now_us),
            qos=1,
            expiry=max(0.001, (row.deadline_us - now_us) / 1_000_000),
            reply_to=COMMANDER,
            token=token,
            response_topic=responses_topic(row.serial),
            correlation=row.id.encode(),
            content_type="application/json",
        )

    def answered(self, token: int) -> str:
        """Return the command of a publication that has ended, empty for none of ours."""
        command_id = self._by_token.pop(token, "")
        self._held.pop(command_id, None)
        return command_id


def cancellation(row: Command, now_us: int) -> Publish:
    """Return what the link is told of a cancelled command that was sent: it stands behind it in the device's queue."""
    payload = encode_cancellation(row.id, now_us)
    expiry = max(1.0, (row.deadline_us - now_us) / 1_000_000)
    return Publish(commands_topic(row.serial), payload, qos=1, expiry=expiry, content_type="application/json")


def delay_after(tries: int) -> float:
    """Return the seconds until the next attempt, when so many have reached nobody before the last one."""
    return min(FIRST_DELAY * 2.0 ** min(tries, 10), LONGEST_DELAY)


def judge_publication(message: Published) -> Setback | None:
    """Return why a publication has reached nobody; None if the broker has taken it for somebody."""
    code = message.reason
    if code < 0:
        is_final = message.cause == "invalid"
        return Setback("not_sent", f"it was not sent: {message.detail or message.cause}", is_final)
    if code == NOBODY_SUBSCRIBED:
        return Setback("nobody_listens", "nobody has subscribed to the device's commands", is_final=False)
    if code >= REFUSED:
        meaning = f" ({MEANINGS[code]})" if code in MEANINGS else ""
        reason = f"the broker refused it with reason code 0x{code:02X}{meaning}"
        return Setback("refused_by_broker", reason, is_final=code not in FOR_NOW)
    return None
