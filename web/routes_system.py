"""Health, metrics, and what runs behind the commits."""

from __future__ import annotations

from web.call import Call, Reply
from web.face import Item
from web.render import listing, plain


def health(call: Call) -> Reply:
    """Tell how the server is, 503 when it cannot serve."""
    state = call.face.health()
    return Reply(state, 503 if state["status"] == "failing" else 200)


def metrics(call: Call) -> Reply:
    """Return the figures for Prometheus."""
    return Reply(call.face.metrics(), content_type="text/plain; version=0.0.4; charset=utf-8")


def followers(call: Call) -> Item:
    """List what follows the stored readings: the audit trail, sinks, roll-ups, and how far behind each is."""
    return listing(plain(call.face.followers.status()))
