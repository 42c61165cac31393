"""Whoever hangs in a socket is let go by another thread, and a dead peer is noticed."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading

import pytest

from actors.sockets import sever, tune


@pytest.fixture
def pair():
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(sock) for sock in socket.socketpair()]


def test_a_read_that_hangs_returns_at_once(pair):
    got = []
    reader = threading.Thread(target=lambda: got.append(pair[0].recv(1)))
    reader.start()
    sever(pair[0])
    reader.join(10)
    assert got == [b""]


def test_the_tls_state_is_left_to_the_thread_that_uses_it(pair):
    with ssl.create_default_context().wrap_socket(
        pair[0], server_hostname="h", do_handshake_on_connect=False
    ) as wrapped:
        sever(wrapped)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            wrapped.do_handshake()


def test_a_socket_that_has_ended_or_is_none_harms_nobody(pair):
    pair[0].close()
    sever(pair[0])
    sever(None)
    with socket.socket() as never_connected:
        sever(never_connected)


def test_a_dead_peer_is_noticed_by_tcp():
    with socket.socket() as sock:
        tune(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000


def test_what_is_no_tcp_socket_is_left_as_it_is(pair):
    tune(pair[0])
    tune(None)
    assert pair[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
