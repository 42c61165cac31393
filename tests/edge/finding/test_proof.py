"""Proofs as the server gives them, and as nobody else can."""

import hashlib

import pytest

from actors.enrolment.proofs import prove_server
from edge.finding.proof import Proofs, Secrets, judge, make_nonce

NONCE = "00112233445566778899aabbccddeeff"
OWN = Secrets("a-fleet-key", "a-token")
ASKED = {"server_id": "srv", "device_id": "pi-1", "nonce": NONCE, "address": "10.0.0.2:5000"}
BY_KEY = prove_server("a-fleet-key", **ASKED)
BY_TOKEN = prove_server(hashlib.sha256(b"a-token").hexdigest(), **ASKED)


def verdict(proofs, own=OWN, **other):
    return tuple(judge(proofs, own, **(ASKED | other)))


def test_the_proofs_of_the_server_hold():
    assert verdict(Proofs(BY_KEY, BY_TOKEN)) == (True, True)
    assert verdict(Proofs(BY_KEY, "")) == (True, False)
    assert verdict(Proofs("", BY_TOKEN)) == (False, True)


@pytest.mark.parametrize(
    "other",
    [
        {"server_id": "srv-2"},
        {"device_id": "pi-2"},
        {"nonce": "f" * 32},
        {"own": Secrets("x", "y")},
        {"address": "10.0.0.66:5000"},
        {"address": "10.0.0.2:5001"},
    ],
)
def test_a_proof_is_worth_nothing_for_anything_else(other):
    assert verdict(Proofs(BY_KEY, BY_TOKEN), **other) == (False, False)


@pytest.mark.parametrize("nonsense", ["", "0" * 64, BY_KEY[:-1], BY_KEY.upper(), "ä", "\ud800"])
def test_nonsense_proves_nothing(nonsense):
    assert verdict(Proofs(nonsense, nonsense)) == (False, False)


def test_without_a_secret_of_our_own_nothing_is_proved():
    empty = Proofs(prove_server("", **ASKED), prove_server(hashlib.sha256(b"").hexdigest(), **ASKED))
    assert verdict(empty, own=Secrets()) == (False, False)


def test_nonces_are_of_the_size_that_servers_take_and_never_the_same():
    nonces = {make_nonce() for _ in range(100)}
    assert len(nonces) == 100
    assert {len(nonce) for nonce in nonces} == {32}


def test_secrets_are_not_shown():
    assert repr(OWN) == "Secrets(enrolment_key=True, token=True)"
