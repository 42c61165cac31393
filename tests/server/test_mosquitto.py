"""What Mosquitto is told, and that a real one does it."""

from __future__ import annotations

import subprocess

import pytest

from supervisor.server.mosquitto import BrokerUser, Listener, TlsFiles, hash_password, password_file, verify

USERS = (BrokerUser("muster", "its own"), BrokerUser("devices", "theirs"))


def test_a_password_is_hashed_as_mosquitto_does_it(needs, tmp_path):
    path = tmp_path / "passwords"
    path.touch()
    subprocess.run([needs("mosquitto_passwd"), "-b", path, "muster", "p:ss$wörd"], check=True, capture_output=True)
    hashed = path.read_text().strip().partition(":")[2]
    assert verify("p:ss$wörd", hashed)
    assert not verify("another", hashed)


@pytest.mark.parametrize("hashed", ["", "$", "$7$x$x$x", "$6$101$c2FsdA==$aGFzaA==", "plain", "$7$101$***$aGFzaA=="])
def test_a_malformed_hash_fits_no_password(hashed):
    assert not verify("password", hashed)


def test_salts_differ():
    assert hash_password("same") != hash_password("same")


def test_a_line_that_is_right_stays_as_it_is():
    first = password_file(USERS)
    assert password_file(USERS, first) == first
    changed = password_file((USERS[0], BrokerUser("devices", "new")), first)
    assert changed.splitlines()[0] == first.splitlines()[0]
    assert changed.splitlines()[1] != first.splitlines()[1]


def test_a_password_file_of_somebody_else_is_no_matter():
    text = password_file(USERS, "nonsense\nmuster:\nother:$7$1$a$b\n")
    assert [line.partition(":")[0] for line in text.splitlines()] == ["muster", "devices"]


def test_no_password_is_ever_shown():
    assert "theirs" not in repr(USERS)


def test_a_listener_with_tls_names_its_files():
    lines = Listener(8883, tls=TlsFiles("/ca", "/cert", "/key")).lines
    assert lines == ["listener 8883", "cafile /ca", "certfile /cert", "keyfile /key"]
    assert Listener(1883, "127.0.0.1").lines == ["listener 1883 127.0.0.1"]
