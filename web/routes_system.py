"""Health and metrics."""

from __future__ import annotations

from web.call import Call, Reply


def health(call: Call) -> Reply:
    """Tell how the server is, 503 when it cannot serve."""
    state = call.face.health()
    return Reply(state, 503 if state["status"] == "failing" else 200)


def metrics(call: Call) -> Reply:
    """Return the figures for Prometheus."""
    return Reply(call.face.metrics(), content_type="text/plain; version=0.0.4; charset=utf-8")
