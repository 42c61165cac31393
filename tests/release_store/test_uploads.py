"""Uploads of releases, against a real database and real files."""

from __future__ import annotations

import os
import threading

import pytest

from actors.storage.errors import StoreUnavailable
from supervisor.release.keys import PrivateKey
from supervisor.server import uploads as module
from supervisor.server.release_files import DiskFullError, ReleaseFiles
from tests.release_store.sending import begin, build, digest, send
from web.releases import ReleasesRefusedError


@pytest.fixture
def content(tmp_path, key):
    return build(tmp_path / "build", key)


def refusal(act, *arguments, **options):
    """The refusal, as status, code and details."""
    with pytest.raises(ReleasesRefusedError) as caught:
        act(*arguments, **options)
    assert caught.value.message
    return caught.value.status, caught.value.code, caught.value.details


def test_a_file_that_comes_in_pieces_becomes_a_release(server, content, key):
    made = begin(server.uploads, content)
    assert made == {"id": digest(content)[:32], "offset": 0, "release": None}
    assert send(server.uploads, content) == {"offset": len(content), "release": "1.0"}
    row = server.store.of_version("1.0")
    assert (row.size, row.sha256, row.key_id) == (len(content), digest(content), key.public.key_id)
    assert server.store.files.path(row.id).read_bytes() == content
    assert server.files == [f"{row.id}.muster"]
    assert server.store.facts(row.id).version == "1.0"
    assert server.uploads.open == 0


def test_a_piece_that_comes_again_is_harmless_and_so_is_one_that_overlaps(server, content):
    upload = send(server.uploads, content, until=20_000)
    name = begin(server.uploads, content)["id"]
    assert server.uploads.append(name, 0, content[:20_000], "x") == upload
    assert server.uploads.append(name, 5_000, content[5_000:30_000], "x")["offset"] == 30_000
    assert send(server.uploads, content)["release"] == "1.0"
    # The last piece, whose answer was lost.
    assert server.uploads.append(name, 30_000, content[30_000:], "x") == {"offset": len(content), "release": "1.0"}
    assert begin(server.uploads, content)["release"] == "1.0"


def test_a_piece_behind_a_gap_is_refused_with_the_offset_that_is_wanted(server, content):
    send(server.uploads, content, until=20_000)
    name = begin(server.uploads, content)["id"]
    assert refusal(server.uploads.append, name, 20_001, b"x", "x") == (409, "wrong_offset", {"offset": 20_000})


def test_more_bytes_than_were_announced_are_refused(server, content):
    name = begin(server.uploads, content)["id"]
    status, code, _ = refusal(server.uploads.append, name, 0, content + b"x", "x")
    assert (status, code) == (400, "too_long")


def test_bytes_of_another_hash_are_refused_and_may_be_sent_anew(server, content):
    wrong = content[:-1] + bytes([content[-1] ^ 1])
    answer = begin(server.uploads, content)
    assert refusal(send, server.uploads, wrong, answer)[:2] == (422, "wrong_hash")
    assert server.files == []
    assert send(server.uploads, content)["release"] == "1.0"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda release, key: release()[:-30_000], "truncated"),
        (lambda release, key: release(), "unsigned"),
        (lambda release, key: release(PrivateKey.generate()), "wrong_key"),
        (lambda release, key: release(key).replace(b"PK\x03\x04", b"PK\x03\x05"), "tampered"),
        (lambda release, key: os.urandom(30_000), "not_a_release"),
    ],
    ids=["truncated", "unsigned", "wrong key", "tampered", "noise"],
)
def test_a_file_that_is_no_release_of_somebody_who_is_trusted_is_refused_with_its_code(
    server, tmp_path, key, spoil, code
):
    spoiled = spoil(lambda *signers: build(tmp_path / "bad", *signers), key)
    assert refusal(send, server.uploads, spoiled)[:2] == (422, code)
    assert server.store.refused == {code: 1}
    assert (server.files, server.uploads.open, server.store.rows()) == ([], 0, [])


def test_a_server_that_trusts_nobody_says_so_before_anything_is_sent(server, content, key):
    path = next(server.store.keys_path.iterdir())
    path.unlink()
    assert refusal(begin, server.uploads, content)[:2] == (409, "no_keys")
    path.write_text("no key\n")
    assert refusal(begin, server.uploads, content)[:2] == (409, "bad_keys")
    configured = server.restarted(keys=(key.public.line,))
    path.unlink()
    assert send(configured.uploads, content)["release"] == "1.0"


def test_of_two_releases_of_one_version_one_wins_however_the_version_is_spelled(server, tmp_path, key):
    one, other = build(tmp_path / "a", key), build(tmp_path / "b", key, version="1.0.0")
    for content in (one, other):
        send(server.uploads, content, until=len(content) - 1)
    assert send(server.uploads, other)["release"] == "1.0.0"
    assert refusal(send, server.uploads, one) == (409, "exists", {"version": "1.0.0"})
    assert server.files == [f"{digest(other)[:32]}.muster"]


def test_two_who_send_the_same_file_at_once_get_one_release(server, content):
    answers = []

    def run():
        answers.append(send_stubbornly(server.uploads, content))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == ["1.0"] * 4
    assert server.store.files.path(digest(content)[:32]).read_bytes() == content


def send_stubbornly(uploads, content):
    """Go on wherever the others have come to."""
    answer = begin(uploads, content)
    name = answer["id"]
    while not answer["release"]:
        offset = answer["offset"]
        answer = uploads.append(name, offset, content[offset : offset + 3_000], "x")
    return answer["release"]


def test_an_upload_goes_on_after_a_restart(server, content):
    send(server.uploads, content, until=20_000)
    after = server.restarted()
    assert begin(after.uploads, content)["offset"] == 20_000
    assert send(after.uploads, content)["release"] == "1.0"
    assert after.store.counts["swept"] == 0


def test_a_kill_between_the_row_and_the_name_is_mended_at_the_next_start(server, content, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(ReleaseFiles, "keep", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            send(server.uploads, content)
    after = server.restarted()
    assert after.store.find("1.0") is not None
    assert after.files == [f"{digest(content)[:32]}.muster"]
    assert begin(after.uploads, content)["release"] == "1.0"


def test_a_kill_before_the_row_leaves_an_upload_that_ends_with_nothing_more_to_send(server, content):
    send(server.uploads, content, until=len(content) - 1)
    server.away = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        send(server.uploads, content, {"id": digest(content)[:32], "offset": len(content) - 1})
    after = server.restarted()
    answer = begin(after.uploads, content)
    assert (answer["offset"], answer["release"]) == (len(content), None)
    assert after.uploads.append(answer["id"], answer["offset"], b"", "x")["release"] == "1.0"


def test_files_that_belong_to_nothing_are_swept_at_the_start(server, content):
    send(server.uploads, content)
    for name in ("0" * 32 + ".muster", "1" * 32 + ".part"):
        (server.store.files._directory / name).write_bytes(b"x")
    after = server.restarted()
    assert after.files == [f"{digest(content)[:32]}.muster"]
    assert after.store.counts["swept"] == 2


def test_an_upload_that_nobody_goes_on_with_ends_after_a_day(server, content):
    send(server.uploads, content, until=20_000)
    server.clock.advance(module.ABANDONED_AFTER - 1)
    server.uploads.load()
    assert server.uploads.open == 1
    server.clock.advance(2)
    server.uploads.load()
    assert (server.uploads.open, server.files, server.store.counts["abandoned"]) == (0, [], 1)
    assert begin(server.uploads, content)["offset"] == 0


def test_a_leap_of_the_wall_clock_ends_no_upload(server, content):
    send(server.uploads, content, until=20_000)
    server.clock.step_wall_clock(10 * module.ABANDONED_AFTER)
    server.uploads.load()
    assert server.uploads.open == 1


def test_few_uploads_are_taken_at_a_time_and_an_idle_one_makes_room(server, tmp_path, key):
    contents = [build(tmp_path / str(number), key, version=f"1.{number}") for number in range(module.MOST_UPLOADS + 1)]
    for content in contents[:-1]:
        begin(server.uploads, content)
    assert refusal(begin, server.uploads, contents[-1])[:2] == (503, "busy")
    server.clock.advance(module.YIELDS_AFTER / 2)
    for content in contents[1:-1]:
        send(server.uploads, content, until=1)
    server.clock.advance(module.YIELDS_AFTER / 2 + 1)
    assert send(server.uploads, contents[-1])["release"] == f"1.{module.MOST_UPLOADS}"
    assert server.store.counts["abandoned"] == 1


def test_all_releases_together_are_bounded(server, tmp_path, key):
    small = server.restarted(total_bytes=1_200_000)
    for number in range(2):
        send(small.uploads, build(tmp_path / str(number), key, version=f"1.{number}", size=500_000))
    third = build(tmp_path / "3", key, version="3.0", size=500_000)
    status, code, details = refusal(begin, small.uploads, third)
    assert (status, code, details) == (507, "full", {"limit": 1_200_000})
    small.store.delete("1.0")
    assert send(small.uploads, third)["release"] == "3.0"


def test_a_size_that_no_release_has_is_refused(server):
    facts = {"size": 2**40, "sha256": "0" * 64, "name": "x", "by": "x"}
    assert refusal(server.uploads.begin, **facts)[:2] == (413, "too_large")


def test_a_disk_without_room_is_told_before_and_during_an_upload(server, content, monkeypatch):
    monkeypatch.setattr(ReleaseFiles, "free", lambda _: module.RESERVE + len(content) - 1)
    assert refusal(begin, server.uploads, content)[:2] == (507, "no_space")
    monkeypatch.undo()
    name = begin(server.uploads, content)["id"]

    def full(*_):
        raise DiskFullError

    with monkeypatch.context() as patch:
        patch.setattr(ReleaseFiles, "append", full)
        assert refusal(server.uploads.append, name, 0, content, "x") == (507, "no_space", {"offset": 0})
    assert send(server.uploads, content)["release"] == "1.0"


def test_the_disk_full_in_the_middle_of_a_piece_leaves_the_part_as_it_was(tmp_path, monkeypatch):
    files = ReleaseFiles(tmp_path)
    assert files.append("a", b"12345") == 5
    written = os.write

    def half(descriptor, chunk):
        if len(chunk) < 4:
            raise OSError(28, "No space left on device")
        return written(descriptor, chunk[:4])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(DiskFullError):
        files.append("a", b"6789ab")
    assert files.part("a").read_bytes() == b"12345"


def test_another_size_of_the_same_hash_is_refused(server, content):
    begin(server.uploads, content)
    assert refusal(begin, server.uploads, content, size=len(content) + 1)[:2] == (409, "other_size")


def test_an_upload_that_was_never_begun_is_not_found(server):
    assert refusal(server.uploads.append, "0" * 32, 0, b"x", "x")[:2] == (404, "not_found")
