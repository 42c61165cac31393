"""Releases and uploads in each database."""

from __future__ import annotations

import msgspec

from actors.storage.releases import (
    Facts,
    StoredRelease,
    StoredUpload,
    add_release,
    add_upload,
    drop_release,
    drop_upload,
    load_releases,
    revoke_release,
)
from tests.storage.build import NOON

PLATFORMS = tuple(f"cp311-{'x' * 58}{number:02}" for number in range(32))
FACTS = Facts(
    name="muster-fleet",
    created="2026-01-01T00:00:00.000Z",
    requires_python=">=3.11",
    platforms=PLATFORMS,
    replaces_from="",
    wheels=400,
)
RELEASE = StoredRelease(
    id="a" * 32,
    version="1.0",
    size=2**29,
    sha256="a" * 64,
    key_id="b" * 16,
    facts=msgspec.json.encode(FACTS).decode(),
    uploaded_us=NOON,
    uploaded_by="admin größe",
)
UPLOAD = StoredUpload(
    id="c" * 32, server="s1", size=2**29, sha256="c" * 64, name="ü" * 200, begun_us=NOON, begun_by="admin"
)


def loaded(store, server="s1"):
    return store.run(lambda database: load_releases(database, server))


def test_a_release_comes_back_as_it_was_stored(store):
    assert store.run(lambda database: add_release(database, RELEASE)) == RELEASE
    assert loaded(store) == ([RELEASE], [])
    assert loaded(store)[0][0].read_facts() == FACTS


def test_of_two_releases_of_one_version_the_first_stays(store):
    store.run(lambda database: add_release(database, RELEASE))
    rival = msgspec.structs.replace(RELEASE, id="d" * 32)
    assert store.run(lambda database: add_release(database, rival)) == RELEASE
    assert loaded(store)[0] == [RELEASE]


def test_a_release_is_revoked_once_and_forgotten(store):
    store.run(lambda database: add_release(database, RELEASE))
    revoked = store.run(lambda database: revoke_release(database, RELEASE.id, NOON, "ops", "burns"))
    assert (revoked.revoked_us, revoked.revoked_by, revoked.reason) == (NOON, "ops", "burns")
    assert store.run(lambda database: revoke_release(database, RELEASE.id, NOON + 1, "x", "y")) == revoked
    assert store.run(lambda database: revoke_release(database, "none", NOON, "x", "y")) is None
    store.run(lambda database: drop_release(database, RELEASE.id))
    assert loaded(store) == ([], [])


def test_uploads_are_those_of_a_server(store):
    other = msgspec.structs.replace(UPLOAD, server="s2", size=1)
    for upload in (UPLOAD, other, UPLOAD):
        store.run(lambda database, upload=upload: add_upload(database, upload))
    assert (loaded(store)[1], loaded(store, "s2")[1]) == ([UPLOAD], [other])
    store.run(lambda database: drop_upload(database, UPLOAD.id, "s1"))
    assert (loaded(store)[1], loaded(store, "s2")[1]) == ([], [other])
