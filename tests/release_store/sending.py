"""Short ways to make releases and to upload them."""

from __future__ import annotations

import hashlib
import os

from tests.release.support import make_release, make_wheel

PIECE = 20_000


def build(directory, *signers, version="1.0", size=50_000, **changes):
    """The bytes of a release of about this size."""
    directory.mkdir(exist_ok=True)
    wheel = make_wheel(directory, version=version, extra={"blob.bin": os.urandom(size).hex()})
    return make_release(directory, *signers, wheels=[wheel], version=version, **changes).read_bytes()


def digest(content):
    return hashlib.sha256(content).hexdigest()


def begin(uploads, content, **changes):
    facts = {"size": len(content), "sha256": digest(content), "name": "thing.muster", "by": "admin ops"}
    return uploads.begin(**(facts | changes))


def send(uploads, content, upload=None, *, until=None, piece=PIECE):
    """Send what is missing, piece by piece; the last answer."""
    answer = upload or begin(uploads, content)
    name, until = answer["id"], len(content) if until is None else until
    while answer["offset"] < until:
        offset = answer["offset"]
        answer = uploads.append(name, offset, content[offset : min(offset + piece, until)], "admin ops")
    return answer
