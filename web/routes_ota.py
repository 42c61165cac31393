"""Updates over the air, as an edge asks for them: is there one, its file, and how far it is."""

from __future__ import annotations

import random
import re
from typing import Annotated, get_args

import msgspec

from actors.topics import SERIAL
from actors.updates.messages import Report
from actors.updates.states import TOLD, State
from web.answers_releases import NoUpdate, Told, Update
from web.call import Call, Reply
from web.downloads import Download
from web.errors import ApiError, bad_field
from web.face import Item
from web.gate import still_lets_in
from web.releases import OpenRelease
from web.route import Route
from web.routes_releases import asked, download_path

CHECK = ("version", "current_version", "platform", "python", "device_id")
"""Query parameters of the question; `current_version` is another name of `version`."""
LONGEST_VERSION = 64
"""Characters."""
COME_BACK = (5, 30)
"""Seconds after which a device that found no place may try again, from and to: a fleet must not come at once."""
_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})\Z")

Text = Annotated[str, msgspec.Meta(max_length=500)]
Short = Annotated[str, msgspec.Meta(max_length=128)]


class UpdateProgress(msgspec.Struct, kw_only=True):
    """The body of `POST /api/ota/update_status`; an edge that is newer than this server may tell more."""

    state: State
    version: Annotated[str, msgspec.Meta(max_length=LONGEST_VERSION)]
    """What it is about."""
    nonce: Short = ""
    """Of the trial, with `confirming`."""
    reason: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """One word."""
    detail: Text = ""
    """One sentence."""
    progress: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    rollout: Short = ""
    """As it came with the offer."""
    device_id: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """For whom an operator speaks; a device's own token speaks for that device."""


_PROGRESS = msgspec.json.Decoder(UpdateProgress)
assert set(get_args(State)) >= TOLD


def check(call: Call) -> Item:
    """Tell a device what it is to have now; with `device_id` tell somebody else what that device would be told."""
    serial, is_device = _speaker(call, call.text("device_id"))
    version = call.text("version", LONGEST_VERSION) or call.text("current_version", LONGEST_VERSION) or ""
    platform, python = call.text("platform") or "", call.text("python", LONGEST_VERSION) or ""
    answer = asked(lambda: call.face.ota.check(serial, version, platform, python, asks=is_device))
    return answer | {"url": download_path(answer["release"])} if answer["update"] else answer


def report(call: Call) -> Item:
    """Note how far a device is; the answer to `confirming` says whether it may keep the version that it has tried."""
    told = call.decode(_PROGRESS)
    serial, _ = _speaker(call, told.device_id or None)
    if told.state not in TOLD:
        raise bad_field("state", f"must be one of {', '.join(sorted(TOLD))}")
    fields = {name: getattr(told, name) for name in told.__struct_fields__ if name != "device_id"}
    return {"commit": asked(lambda: call.face.ota.report(Report(serial=serial, **fields)))}


def download(call: Call) -> Reply:
    """Send the file of a release, or the part of it that `Range` asks for."""
    release_id = call.text("release")
    if release_id is None:
        raise bad_field("release", "is needed: the `release` of the answer to check_update")
    opened = asked(lambda: call.face.releases.open(release_id))
    reply = None
    try:
        reply = _answer(call, release_id, opened)
    finally:
        if reply is None or not isinstance(reply.body, Download):
            opened.file.close()
    return reply


def _answer(call: Call, release_id: str, opened: OpenRelease) -> Reply:
    etag = f'"{opened.sha256}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "no-cache"}
    if etag in call.environ.get("HTTP_IF_NONE_MATCH", ""):
        return Reply(None, 304, headers)
    wanted = _wanted(call, opened.size, etag)
    headers["Content-Length"] = str(len(wanted))
    if len(wanted) < opened.size:
        headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{opened.size}"
    status = 206 if "Content-Range" in headers else 200
    if call.environ["REQUEST_METHOD"] == "HEAD":
        return Reply(b"", status, headers, "application/octet-stream")
    body = _begin(call, release_id, opened, wanted)
    return Reply(body, status, headers, "application/octet-stream")


def _begin(call: Call, release_id: str, opened: OpenRelease, wanted: range) -> Download:
    site, releases = call.site, call.face.releases
    assert call.who is not None
    body = Download(
        site.downloads,
        opened,
        wanted,
        serial=call.who.serial or "",
        may_go=lambda: releases.may_go(release_id) and still_lets_in(call),
        count=releases.count_download,
        now=call.face.clock.monotonic,
        stop=site.stop,
    )
    if not site.downloads.begin(body):
        releases.count_download("busy", 0)
        wait = random.randint(*COME_BACK)  # noqa: S311 - no secret
        message = "as many downloads are under way as this server has places for"
        raise ApiError(503, message, code="busy", headers={"Retry-After": str(wait)})
    return body


def _wanted(call: Call, size: int, etag: str) -> range:
    """Return which bytes are asked for: all, where `Range` is none that we know or speaks of another file."""
    found = _RANGE.match(call.environ.get("HTTP_RANGE", "").replace(" ", ""))
    if not found or not any(found.groups()) or call.environ.get("HTTP_IF_RANGE", etag) != etag:
        return range(size)
    first, last = found.groups()
    wanted = range(int(first), min(int(last or size) + 1, size)) if first else range(max(0, size - int(last)), size)
    if first and last and int(last) < int(first):
        return range(size)
    if not wanted:
        raise ApiError(416, f"the file has {size} bytes", headers={"Content-Range": f"bytes */{size}"})
    return wanted


def _speaker(call: Call, device_id: str | None) -> tuple[str, bool]:
    """Return of whom the request speaks, and whether that is its sender: a device speaks only of itself."""
    assert call.who is not None
    if call.who.role == "device":
        own = call.who.serial or ""
        if device_id not in (None, own):
            raise ApiError(403, "a device's token speaks for that device alone", code="unbound")
        return own, True
    if device_id is None:
        raise bad_field("device_id", "is needed: this token is not one of a device")
    if not SERIAL.fullmatch(device_id) or call.face.fleet.get(device_id) is None:
        raise ApiError(404, f"there is no device {device_id}", code="unknown_device")
    return device_id, False


ROUTES = (
    Route("GET", "/api/ota/check_update", "read", check, NoUpdate, other_answer=Update, speaks=True, query=CHECK),
    Route(
        "GET",
        "/api/ota/download_update",
        "read",
        download,
        speaks=True,
        headers=("Range", "If-Range"),
        query=("release",),
        media="application/octet-stream",
    ),
    Route("POST", "/api/ota/update_status", "operate", report, Told, speaks=True, body=UpdateProgress),
)
"""Who may call what."""
