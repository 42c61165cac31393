"""Notifications: what the server tells devices and people, and what has become of it at each of them."""

from actors.notifications.board import LedgerBoard
from actors.notifications.ledger import LedgerActor
from actors.notifications.notifier import Accepted, Letter, Notifier
from actors.notifications.rules import Message, NotificationError

__all__ = ["Accepted", "LedgerActor", "LedgerBoard", "Letter", "Message", "NotificationError", "Notifier"]
