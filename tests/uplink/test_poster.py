"""Posting one item: what an answer means, and connections that end."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from actors.uplink.poster import KEEP, Outcome, Poster, ServerAddress, judge
from tests.support.ports import free_port
from tests.uplink.fake_muster import PATH, TOKEN, FakeMuster


def body(item_id="a", n=1):
    return json.dumps({"id": item_id, "publisher_id": "S", "sensor_readings": {"N": n}}).encode()


@pytest.fixture
def muster():
    fake = FakeMuster().listen()
    yield fake
    fake.close()


@pytest.fixture
def poster(muster):
    made = Poster(lambda: ServerAddress(muster.url, TOKEN), timeout=5.0)
    yield made
    made.close()


@pytest.mark.parametrize("name", ["id", "scan_id"])
@pytest.mark.parametrize("status", [200, 201])
def test_2xx_that_names_the_item_is_done(status, name):
    assert judge(status, json.dumps({name: "a", "stored": True}).encode(), "a").kind == "done"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"ok",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"id": "b", "stored": true}',
        b'{"id": "a"}',
        b'{"id": "a", "stored": 1}',
        b'{"id": "a", "stored": false}',
    ],
)
def test_2xx_that_does_not_name_the_item_is_no_receipt(answer):
    assert judge(200, answer, "a") == Outcome("later", "status 200 without a receipt for what was posted")


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_4xx_about_the_item_is_refused(status):
    assert judge(status, b"", "a").kind == "refused"


@pytest.mark.parametrize("status", [*sorted(KEEP), 302, 500, 502, 503])
def test_what_says_nothing_of_the_item_keeps_it(status):
    assert judge(status, b"<html>", "a") == Outcome("later", f"status {status}")


def test_the_reason_is_the_servers_own_with_its_field():
    answer = json.dumps({"error": {"code": "x", "message": "is above 14", "details": {"field": "pH"}}}).encode()
    assert judge(400, answer, "a") == Outcome("refused", "pH: is above 14 (status 400)")


@pytest.mark.parametrize("answer", [b"[]", b'{"error": 3}', b'{"error": {"details": 3}}', b"\xff"])
def test_an_answer_of_another_shape_is_no_trouble(answer):
    assert judge(400, answer, "a") == Outcome("refused", "status 400")


def test_a_403_refuses_the_item_only_where_it_is_about_the_item():
    unbound = {"error": {"code": "forbidden", "message": "speaks for pi-1", "details": {"reason": "unbound"}}}
    assert judge(403, json.dumps(unbound).encode(), "a") == Outcome("refused", "speaks for pi-1 (status 403)")
    unbound["error"]["details"] = {"needed": "operate"}
    assert judge(403, json.dumps(unbound).encode(), "a").kind == "later"
    assert judge(403, b"[]", "a").kind == "later"


@pytest.mark.parametrize("item_id", ["a b", "a\nb", "\u00e4", "x" * 129])
def test_an_item_whose_id_no_header_can_bear_is_refused(poster, muster, item_id):
    assert poster.post(PATH, body(item_id), item_id).kind == "refused"
    assert muster.stored == []


def test_whoever_took_the_servers_port_is_given_no_token_once_the_connection_is_lost(muster):
    known = [ServerAddress(muster.url, TOKEN)]
    poster = Poster(lambda: known[0] if known else None, 5.0, known.clear)
    assert poster.post(PATH, body("a"), "a").kind == "done"
    poster._connection.sock.shutdown(socket.SHUT_RDWR)
    assert poster.post(PATH, body("b"), "b") == Outcome("later", "no server is known")
    assert muster.stored == ["a"]


def test_what_answers_without_a_receipt_is_not_trusted_again(muster):
    lost = []
    muster.status = 200
    poster = Poster(lambda: ServerAddress(muster.url, TOKEN), 5.0, lambda: lost.append(1))
    assert poster.post(PATH, body("a"), "a").kind == "later"
    assert lost == [1]


def test_a_new_item_a_known_one_and_a_bad_one(poster, muster):
    muster.poison = {-1}
    assert poster.post(PATH, body("a"), "a").kind == "done"
    assert poster.post(PATH, body("a"), "a").kind == "done"
    refused = poster.post(PATH, body("b", -1), "b")
    assert refused == Outcome("refused", "N: beyond physics (status 400)")
    assert muster.stored == ["a"]
    assert muster.keys == ["a", "a", "b"]


def test_without_the_right_token_the_item_is_kept(muster):
    poster = Poster(lambda: ServerAddress(muster.url, "wrong"))
    assert poster.post(PATH, body(), "a") == Outcome("later", "no such token (status 401)")


def test_a_server_that_is_not_there_keeps_the_item():
    poster = Poster(lambda: ServerAddress(f"http://127.0.0.1:{free_port()}", ""))
    outcome = poster.post(PATH, body(), "a")
    assert outcome.kind == "later"
    assert "refused" in outcome.reason


def test_no_server_known_keeps_the_item():
    assert Poster(lambda: None).post(PATH, body(), "a") == Outcome("later", "no server is known")


def test_a_url_that_is_none_keeps_the_item():
    assert Poster(lambda: ServerAddress("http://127.0.0.1:port", "")).post(PATH, body(), "a").kind == "later"


def test_a_connection_that_the_server_closed_meanwhile_is_made_anew(poster, muster):
    assert poster.post(PATH, body("a"), "a").kind == "done"
    poster._connection.sock.shutdown(socket.SHUT_RDWR)
    assert poster.post(PATH, body("b"), "b").kind == "done"


def test_the_address_is_asked_for_anew_after_a_failure(muster):
    addresses = [ServerAddress(f"http://127.0.0.1:{free_port()}", ""), ServerAddress(f"{muster.url}/", TOKEN)]
    poster = Poster(lambda: addresses.pop(0))
    assert poster.post(PATH, body(), "a").kind == "later"
    assert poster.post(PATH, body(), "a").kind == "done"
    poster.close()


def test_an_answer_that_never_comes_ends_with_the_timeout_or_with_sever():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = ServerAddress(f"http://127.0.0.1:{deaf.getsockname()[1]}", "")
        assert Poster(lambda: address, timeout=0.2).post(PATH, body(), "a").kind == "later"
        poster = Poster(lambda: address, timeout=60.0)
        outcomes = []
        thread = threading.Thread(target=lambda: outcomes.append(poster.post(PATH, body(), "a")))
        thread.start()
        while thread.is_alive():
            poster.sever()
            thread.join(0.05)
        assert outcomes[0].kind == "later"
