"""The store of releases: what may be given away, and what may not any more."""

from __future__ import annotations

import pytest
from pykka import ActorDeadError

from tests.release_store.conftest import Server
from tests.release_store.sending import build, digest, send
from tests.release_store.test_uploads import refusal


@pytest.fixture
def release(server, tmp_path, key):
    """The id of a release that is here."""
    content = build(tmp_path / "build", key, replaces_from="0.9")
    send(server.uploads, content)
    return digest(content)[:32]


def test_what_the_rollouts_ask_is_answered_from_memory(server, release):
    server.away = ActorDeadError("the registry is restarting")
    facts = server.store.facts(release)
    assert (facts.id, facts.version, facts.replaces_from, facts.revoked) == (release, "1.0", "0.9", False)
    assert facts.platforms
    assert server.store.find("1.0") == server.store.find("1.0.0") == facts
    assert server.store.facts("0" * 32) is server.store.find("2.0") is server.store.find("nonsense") is None


def test_a_revoked_release_goes_to_nobody_for_good(server, release):
    with server.store.open(release).file:
        assert server.store.may_go(release)
    revoked = server.store.revoke("1.0", "it burns", "admin ops")
    assert (revoked.revoked_by, revoked.reason, server.gone) == ("admin ops", "it burns", [release])
    assert not server.store.may_go(release)
    assert server.store.facts(release).revoked
    assert refusal(server.store.open, release)[:2] == (410, "revoked")
    server.clock.advance(5)
    again = server.store.revoke("1.0", "again", "admin other")
    assert again == revoked
    assert server.restarted().store.facts(release).revoked


def test_a_release_that_is_rolled_out_is_not_deleted(server, release):
    server.rollouts = ["r1"]
    assert refusal(server.store.delete, "1.0") == (409, "in_use", {"version": "1.0", "rollouts": ["r1"]})
    server.rollouts = []
    server.store.delete("1.0")
    assert (server.files, server.store.rows(), server.gone) == ([], [], [release])
    assert refusal(server.store.delete, "1.0")[:2] == (404, "not_found")
    assert refusal(server.store.open, release)[:2] == (404, "not_found")
    assert server.restarted().store.rows() == []


def test_a_download_goes_on_while_its_file_is_deleted(server, release):
    with server.store.open(release).file as file:
        server.store.delete("1.0")
        assert file.read()


def test_before_it_has_read_the_database_it_knows_nothing_and_says_so(tmp_path, key):
    early = Server(tmp_path, key, load=False)
    for ask in (lambda: early.store.open("0" * 32), lambda: early.store.known("1.0")):
        with pytest.raises(ActorDeadError):
            ask()
    early.uploads.load()
    assert refusal(early.store.known, "1.0")[:2] == (404, "not_found")


def test_a_server_that_shares_the_database_knows_a_release_without_having_its_file(server, release, tmp_path, key):
    other = Server(tmp_path, key, name="other", load=False)
    other.store.files._directory = tmp_path / "elsewhere"
    other.uploads.load()
    assert other.store.facts(release).version == "1.0"
    assert other.store.find("1.0") is None
    assert not other.store.may_go(release)
    assert refusal(other.store.open, release)[:2] == (404, "not_here")
    # What one revokes the other learns at its next look.
    server.store.revoke("1.0", "", "admin")
    other.uploads.load()
    assert other.store.facts(release).revoked


def test_the_same_file_can_be_brought_to_a_second_server(server, tmp_path, key):
    content = build(tmp_path / "build", key)
    send(server.uploads, content, until=20_000)
    other = Server(tmp_path, key, name="other", load=False)
    other.store.files._directory = tmp_path / "elsewhere"
    other.uploads.load()
    assert send(other.uploads, content)["release"] == "1.0"
    assert send(server.uploads, content)["release"] == "1.0"
    assert server.store.find("1.0") == other.store.find("1.0")
