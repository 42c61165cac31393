"""What could not be processed, and the way back for it."""

from __future__ import annotations

import re

from web.answers import DeadLetter, DeadLetters, LetterCounts, LetterTold
from web.call import Call, Reply
from web.errors import ApiError
from web.face import Item
from web.render import listing, plain
from web.route import PAGED, Route
from web.routes_history import cursor_of, page_of

FILTERS = ("reason", "serial", *PAGED)
"""Query parameters of the list."""
_ID = re.compile(r"[0-9]{1,18}\Z")


def index(call: Call) -> Item:
    """List dead letters, newest first."""
    limit, cursor = call.limit(), cursor_of(call)
    reason, serial = call.text("reason"), call.text("serial")
    return page_of(lambda: call.face.history.dead_letters(reason=reason, serial=serial, limit=limit, cursor=cursor))


def reasons(call: Call) -> Item:
    """Tell how many dead letters there are, by reason, the most frequent first; of one `serial`, or all."""
    serial = call.text("serial")
    return listing(call.face.history.dead_letter_reasons(serial))


def show(call: Call, letter: str) -> Item:
    """Return one dead letter."""
    found = call.face.history.dead_letter(int(letter)) if _ID.match(letter) else None
    if found is None:
        raise _unknown(letter)
    shown: Item = plain(found)
    return shown


def replay(call: Call, letter: str) -> Reply:
    """Handle a dead letter again."""
    # Ids are 64-bit in every database we speak to.
    number = int(letter) if _ID.match(letter) else None
    try:
        if number is not None:
            call.face.dead_letters.replay(number)
            return Reply({"id": number, "action": "replay"}, 202)
    except KeyError:
        pass
    raise _unknown(letter)


def _unknown(letter: str) -> ApiError:
    return ApiError(404, "there is no dead letter of this id", details={"id": letter[:64]})


ROUTES = (
    Route("GET", "/api/dead-letters", "read", index, DeadLetters, query=FILTERS),
    # Its path is that of no id: a path without variables comes first.
    Route("GET", "/api/dead-letters/reasons", "read", reasons, LetterCounts, query=("serial",)),
    Route("GET", "/api/dead-letters/<letter>", "read", show, DeadLetter),
    Route("POST", "/api/dead-letters/<letter>/replay", "operate", replay, LetterTold, status=202),
)
"""Who may call what."""
