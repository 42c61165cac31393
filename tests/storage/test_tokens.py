from __future__ import annotations

import pytest

from actors.runtime import ManualClock
from actors.storage.tokens import (
    BELIEVED,
    Identity,
    Token,
    TokenBook,
    create_token,
    digest_token,
    find_token,
    list_tokens,
    revoke_token,
)
from tests.storage.build import NOON


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def book(store, clock):
    return TokenBook(lambda digest: store.run(lambda database: find_token(database, digest)), clock.monotonic)


def create(store, **fields):
    return store.run(
        lambda database: create_token(database, **({"role": "read", "name": "n", "now_us": NOON} | fields))
    )


def test_a_token_is_stored_as_its_hash_only(store, look):
    plain = create(store, role="admin", name="first")
    assert look.column("SELECT hash FROM api_token") == [digest_token(plain)]
    ((*row,),) = look.run("SELECT * FROM api_token")
    assert not [value for value in row if plain in str(value)]


def test_a_token_tells_whose_it_is(store, book):
    plain = create(store, role="device", name="Pi", serial="817994ccfe14")
    assert book.verify(plain, NOON) == Identity("Pi", "device", "817994ccfe14")


@pytest.mark.parametrize("wrong", ["", "muster_", "x", "muster_\ud800", "é" * 1000])
def test_an_unknown_token_is_nobody(store, book, wrong):
    create(store)
    assert book.verify(wrong, NOON) is None


def test_two_tokens_differ(store):
    assert create(store) != create(store)


def test_an_expired_token_is_nobody(store, book):
    plain = create(store, expires_us=NOON + 10)
    assert book.verify(plain, NOON + 9) is not None
    assert book.verify(plain, NOON + 10) is None


def test_a_revoked_token_ends_when_the_answer_is_no_longer_believed(store, book, clock):
    plain = create(store)
    assert book.verify(plain, NOON) is not None
    ((token),) = store.run(list_tokens)
    assert store.run(lambda database: revoke_token(database, token.id, NOON))
    assert not store.run(lambda database: revoke_token(database, token.id, NOON))
    assert not store.run(lambda database: revoke_token(database, 99, NOON))
    assert book.verify(plain, NOON) is not None
    clock.advance(BELIEVED)
    assert book.verify(plain, NOON) is None


def test_a_forgetful_book_sees_a_revocation_at_once(store, book):
    plain = create(store)
    assert book.verify(plain, NOON) is not None
    store.run(lambda database: revoke_token(database, 1, NOON))
    book.forget()
    assert book.verify(plain, NOON) is None


def test_answers_are_remembered_and_their_number_is_bounded(clock, monkeypatch):
    monkeypatch.setattr("actors.storage.tokens.MOST_REMEMBERED", 3)
    asked: list[str] = []
    book = TokenBook(asked.append, clock.monotonic)
    for plain in "aabbaabb":
        book.verify(plain, NOON)
    assert len(asked) == 2
    for plain in "cdef":
        book.verify(plain, NOON)
    assert len(book._known) <= 3


def test_an_answer_that_a_revocation_has_overtaken_is_not_remembered():
    answers = [Token(id=1, name="n", role="read", serial="", created_us=0), None]

    def find(_digest):
        found = answers.pop(0)
        if found is not None:
            book.forget()  # revoked after the row was read, and before it was remembered
        return found

    book = TokenBook(find, lambda: 0.0)
    assert book.verify("x", 1) is not None
    assert book.verify("x", 1) is None
