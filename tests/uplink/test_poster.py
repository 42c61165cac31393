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


@pytest.mark.parametrize("status", [200, 201, 204])
def test_2xx_is_done(status):
    assert judge(status, b"").kind == "done"


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_4xx_about_the_item_is_refused(status):
    assert judge(status, b"").kind == "refused"


@pytest.mark.parametrize("status", [*sorted(KEEP), 302, 500, 502, 503])
def test_what_says_nothing_of_the_item_keeps_it(status):
    assert judge(status, b"<html>") == Outcome("later", f"status {status}")


def test_the_reason_is_the_servers_own_with_its_field():
    answer = json.dumps({"error": {"code": "x", "message": "is above 14", "details": {"field": "pH"}}}).encode()
    assert judge(400, answer) == Outcome("refused", "pH: is above 14 (status 400)")


@pytest.mark.parametrize("answer", [b"[]", b'{"error": 3}', b'{"error": {"details": 3}}', b"\xff"])
def test_an_answer_of_another_shape_is_no_trouble(answer):
    assert judge(400, answer) == Outcome("refused", "status 400")


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
