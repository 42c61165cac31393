"""The sealed file: what was written comes back, and nothing else does."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.backup.errors import BackupError
from supervisor.backup.secret import Key, Passphrase, load_key, load_passphrase, make_key
from supervisor.backup.stream import SealedReader, SealedWriter

KEY = Key(b"k" * 32)
HEADER = 60
CHUNK = 16  # bytes
SEALED = CHUNK + 16


def seal(plain, secret=KEY):
    file = io.BytesIO()
    writer = SealedWriter(file, secret, chunk_log2=4)
    writer.write(plain)
    writer.finish()
    return file.getvalue()


def unseal(sealed, secret=KEY):
    return SealedReader(io.BytesIO(sealed), secret).read()


def refusal(sealed, secret=KEY):
    with pytest.raises(BackupError) as caught:
        unseal(sealed, secret)
    return caught.value.code


@given(st.binary(max_size=200), st.lists(st.integers(1, 50), max_size=20))
def test_whatever_goes_in_comes_out_however_it_is_read(plain, sizes):
    reader = SealedReader(io.BytesIO(seal(plain)), KEY)
    parts = [reader.read(size) for size in sizes]
    assert b"".join(parts) + reader.read() == plain


@given(st.binary(max_size=100), st.data())
def test_a_single_changed_bit_anywhere_is_noticed(plain, data):
    sealed = bytearray(seal(plain))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= 1 << data.draw(st.integers(0, 7))
    assert refusal(bytes(sealed)) in {"not_a_backup", "newer", "wrong_key", "tampered", "truncated"}


@given(st.binary(max_size=100), st.data())
def test_a_file_that_was_cut_off_anywhere_is_noticed(plain, data):
    sealed = seal(plain)
    cut = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
    assert refusal(cut) in {"not_a_backup", "truncated"}


def test_parts_that_changed_places_or_came_twice_or_not_at_all_are_noticed():
    sealed = seal(b"a" * CHUNK + b"b" * CHUNK + b"c" * CHUNK + b"d")
    head, first, second, rest = (
        sealed[:HEADER],
        sealed[HEADER : HEADER + SEALED],
        sealed[HEADER + SEALED : HEADER + 2 * SEALED],
        sealed[HEADER + 2 * SEALED :],
    )
    assert refusal(head + second + first + rest) == "tampered"
    assert refusal(head + first + first + second + rest) == "tampered"
    assert refusal(head + second + rest) == "tampered"
    assert refusal(head + first + second) == "truncated"


def test_parts_of_another_backup_under_the_same_key_are_noticed():
    one, other = seal(b"a" * 40), seal(b"b" * 40)
    assert refusal(one[:HEADER] + other[HEADER:]) == "tampered"


def test_what_follows_the_end_is_noticed():
    assert refusal(seal(b"a") + b"more") in {"tampered", "truncated"}


def test_another_passphrase_is_told_at_once():
    sealed = seal(b"secret", Passphrase(b"the right one", cost=4))
    assert unseal(sealed, Passphrase(b"the right one", cost=9)) == b"secret"
    assert refusal(sealed, Passphrase(b"the wrong one", cost=4)) == "wrong_key"
    assert refusal(sealed, KEY) == "wrong_key"


def test_a_header_cannot_ask_for_all_our_memory():
    sealed = bytearray(seal(b"secret", Passphrase(b"the right one", cost=4)))
    sealed[10] = 40
    assert refusal(bytes(sealed), Passphrase(b"the right one", cost=4)) == "tampered"


def test_nothing_of_the_content_is_in_the_file():
    assert b"needle" not in seal(b"needle" * 10)
    assert seal(b"same") != seal(b"same")


def test_a_key_file_is_private_and_never_overwritten(tmp_path):
    path = tmp_path / "backup.key"
    make_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert unseal(seal(b"x", load_key(path)), load_key(path)) == b"x"
    with pytest.raises(BackupError, match="never overwritten"):
        make_key(path)


@pytest.mark.parametrize(("content", "mode"), [("short", 0o600), ("long enough to be one", 0o644)])
def test_a_passphrase_that_is_short_or_open_to_others_is_refused(tmp_path, content, mode):
    path = tmp_path / "passphrase"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(BackupError) as caught:
        load_passphrase(path)
    assert caught.value.code == "bad_key_file"
    with pytest.raises(BackupError):
        load_key(path)
