"""Releases: what may be rolled out, uploads of them, and their end."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, TypeVar
from urllib.parse import quote

import msgspec

from web.answers_releases import Release, Releases, Upload, UploadProgress
from web.call import Call, Reply, read_body
from web.errors import ApiError, bad_field
from web.face import Item
from web.releases import CHUNK, ReleasesRefusedError
from web.render import plain
from web.route import PAGED, Route
from web.routes_history import cursor_of, page_of

T = TypeVar("T")

OFFSET = "Upload-Offset"
_OFFSET = re.compile(r"[0-9]{1,12}\Z")
_EMPTY = ("requires_python", "replaces_from", "uploaded_by", "revoked_by", "reason")
"""What is null where it is empty."""


class NewUpload(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/releases/uploads`."""

    size: Annotated[int, msgspec.Meta(ge=1, le=2**40)]
    """Bytes."""
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
    """Of the file, for people."""


class Revocation(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/releases/{version}/revoke`."""

    reason: Annotated[str, msgspec.Meta(max_length=500, pattern=r"^[^\x00]*\Z")] = ""


_NEW = msgspec.json.Decoder(NewUpload)
_REVOCATION = msgspec.json.Decoder(Revocation)


def index(call: Call) -> Item:
    """List the releases, the last uploaded first."""
    limit, cursor = call.limit(), cursor_of(call)
    return page_of(lambda: asked(lambda: call.face.releases.items(limit, cursor)), release_json)


def show(call: Call, version: str) -> Item:
    """Return one release."""
    return release_json(asked(lambda: call.face.releases.get(version)))


def begin(call: Call) -> Reply:
    """Begin an upload, or go on with the one of the same SHA-256: the answer says which byte is wanted next."""
    new = call.decode(_NEW)
    made = asked(
        lambda: call.face.releases.begin(size=new.size, sha256=new.sha256, name=new.name, by=_by(call)),
    )
    return Reply(made, 201, {"Location": f"/api/releases/uploads/{made['id']}"})


def append(call: Call, upload: str) -> Item:
    """Take the bytes that follow at `Upload-Offset`; the last one has the file verified and makes it a release.

    Bytes that were sent before are passed over; where some are missing, the 409 says in `details.offset` which is next.
    """
    told = call.environ.get("HTTP_UPLOAD_OFFSET", "")
    if not _OFFSET.match(told):
        raise bad_field(OFFSET, "must be a header with the number of the body's first byte in the file")
    chunk = read_body(call.environ, CHUNK)
    made = asked(lambda: call.face.releases.append(upload, int(told), chunk, _by(call)))
    if made["release"] is None:
        call.take_step()
    call.note(release=made["release"])
    return made


def revoke(call: Call, version: str) -> Item:
    """Let nobody have a release any more: its rollouts halt, downloads end, and no device may keep it on trial."""
    has_body = (call.environ.get("CONTENT_LENGTH") or "0") != "0"
    reason = call.decode(_REVOCATION).reason if has_body else ""
    return release_json(asked(lambda: call.face.releases.revoke(version, reason, _by(call))))


def delete(call: Call, version: str) -> Reply:
    """Delete a release that no rollout needs."""
    asked(lambda: call.face.releases.delete(version, _by(call)))
    return Reply(None, 204)


def release_json(row: Item) -> Item:
    """Return a release; what is not known is null."""
    told: Item = plain(row)
    return told | {name: told[name] or None for name in _EMPTY}


def asked(ask: Callable[[], T]) -> T:
    """Return the answer, or raise the refusal as the API tells it."""
    try:
        return ask()
    except ReleasesRefusedError as error:
        headers = {"Retry-After": "5"} if error.status == 503 else {}
        raise ApiError(error.status, error.message, code=error.code, details=error.details, headers=headers) from None


def download_path(release_id: str) -> str:
    """Return where a release is downloaded."""
    return f"/api/ota/download_update?release={quote(release_id)}"


def _by(call: Call) -> str:
    assert call.who is not None
    return call.who.title


ROUTES = (
    Route("GET", "/api/releases", "read", index, Releases, query=PAGED),
    # Its path is that of no version: a path without variables comes first.
    Route("POST", "/api/releases/uploads", "admin", begin, Upload, body=NewUpload, status=201),
    Route(
        "PATCH",
        "/api/releases/uploads/<upload>",
        "admin",
        append,
        UploadProgress,
        headers=(OFFSET,),
        takes_bytes=True,
        body_limit=CHUNK,
    ),
    Route("GET", "/api/releases/<version>", "read", show, Release),
    Route("POST", "/api/releases/<version>/revoke", "admin", revoke, Release, body=Revocation),
    Route("DELETE", "/api/releases/<version>", "admin", delete, status=204),
)
"""Who may call what."""
