"""The audit log: who has changed what, from where, and who was refused, and what has failed."""

from __future__ import annotations

from web.answers_audit import AuditEntries
from web.call import Call
from web.face import Item
from web.render import plain
from web.route import PAGED, Route
from web.routes_history import cursor_of, page_of

OUTCOMES = ("done", "refused", "failed")
FILTERS = ("who", "action", "subject", "outcome", "since", "until", *PAGED)


def index(call: Call) -> Item:
    """List changes and refusals, newest first."""
    since, until = call.time_range_us()
    outcome = call.choice("outcome", OUTCOMES)
    who, action, subject = call.text("who"), call.text("action"), call.text("subject")
    limit, cursor = call.limit(), cursor_of(call)
    return page_of(
        lambda: call.face.audit.find(
            who=who,
            action=action,
            subject=subject,
            outcome=outcome,
            since_us=since,
            until_us=until,
            limit=limit,
            cursor=cursor,
        ),
        _entry_json,
    )


def _entry_json(item: Item) -> Item:
    shown: Item = plain(item)
    return shown | {name: shown[name] or None for name in ("who", "subject")}


ROUTES = (Route("GET", "/api/audit", "admin", index, AuditEntries, query=FILTERS),)
"""Of the table of `web.app`."""
