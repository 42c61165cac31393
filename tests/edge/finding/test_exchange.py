"""Exchanges with servers that are slow, large, silent, or not whom their certificate names."""

import contextlib
import socket
import threading
import time

import pytest

from edge.finding.exchange import LARGEST_ANSWER, ExchangeError, exchange
from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.support.registrar import Registrar

HEAD = b"HTTP/1.1 200 OK\r\n"


class Rude:
    """Takes one connection and does with it what the test says."""

    def __init__(self, behave):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._run, args=(behave,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.close()
        self._thread.join(20)

    def _run(self, behave):
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(65536)
            with contextlib.suppress(OSError):
                behave(connection)


def drip(head):
    def behave(connection):
        connection.sendall(head)
        pause = threading.Event()
        while True:
            connection.sendall(b"x")
            pause.wait(0.05)

    return behave


@pytest.mark.parametrize("head", [b"", HEAD + b"X: ", HEAD + b"\r\n", HEAD + b"Content-Length: 60000\r\n\r\n"])
def test_a_server_that_sends_a_byte_now_and_then_does_not_hold_us(head):
    with Rude(drip(head)) as rude:
        began = time.monotonic()
        with pytest.raises(ExchangeError, match="does not answer in time"):
            exchange(rude.url, seconds=0.5)
        assert time.monotonic() - began < 15


def test_a_server_that_says_nothing_does_not_hold_us():
    with Rude(lambda connection: connection.recv(1)) as rude, pytest.raises(ExchangeError, match="in time"):
        exchange(rude.url, seconds=0.3)


def test_an_answer_without_end_is_cut_off():
    def behave(connection):
        connection.sendall(HEAD + b"\r\n" + b"x" * (LARGEST_ANSWER + 10))

    with Rude(behave) as rude, pytest.raises(ExchangeError, match="too large"):
        exchange(rude.url, seconds=10)


def test_what_does_not_speak_http_is_said_to():
    def behave(connection):
        connection.sendall(b"SSH-2.0-x\r\n")

    with Rude(behave) as rude, pytest.raises(ExchangeError, match="does not speak HTTP"):
        exchange(rude.url, seconds=10)


def test_nobody_there_is_said_in_words():
    with pytest.raises(ExchangeError, match="refused"):
        exchange(f"http://127.0.0.1:{free_port()}/", seconds=5)


def test_a_name_that_does_not_exist_and_a_url_that_cannot_be_asked_are_said():
    with pytest.raises(ExchangeError):
        exchange("http://does-not-exist.invalid/", seconds=5)
    with pytest.raises(ExchangeError):
        exchange("http://127.0.0.1:1/a b", seconds=5)


def test_a_certificate_is_verified_against_the_ca_file(tmp_path):
    authority = Authority(tmp_path)
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    with Registrar(certificate=authority.issue("server")) as server:
        assert exchange(f"{server.url}/api/health", seconds=10, ca_file=str(authority.ca_file)).status == 200
        with pytest.raises(ExchangeError, match="certificate is not valid"):
            exchange(f"{server.url}/api/health", seconds=10, ca_file=str(other.ca_file))
        with pytest.raises(ExchangeError, match="certificate is not valid"):
            exchange(f"{server.url}/api/health", seconds=10)


def test_a_ca_file_that_is_missing_is_said(tmp_path):
    with pytest.raises(ExchangeError, match="No such file"):
        exchange("https://127.0.0.1:1/", seconds=5, ca_file=str(tmp_path / "none.pem"))
