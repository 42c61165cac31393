"""Certificates as the enrolment gives them: over a real authority, registry and readers."""

from __future__ import annotations

import pytest

from supervisor.pki.authority import Authority
from supervisor.pki.certificates import make_request
from supervisor.pki.settings import Pki
from supervisor.server.pki import MOST_A_DAY
from supervisor.server.settings import Enrolment
from tests.test_enrolment import HOST, refusal, register, running


@pytest.fixture
def server(tmp_path):
    other = Authority.create(tmp_path / "other", "of broker and page")
    settings = Pki(directory=str(tmp_path / "pki"), broker_url="mqtts://b.example:8884", ca=str(other.ca_file))
    own = Enrolment(hosts=("muster.example",))
    with running(f"sqlite:///{tmp_path}/muster.db", tmp_path, pki=settings, enrolment=own) as it:
        it.trust = other.certificate.decode()
        yield it


def request(serial="pi-1"):
    return make_request(serial).cert.decode()


def good(server, serial="pi-1"):
    return [record for record in server.parts.pki.authority.find(serial, "device") if not record.revoked]


def certify(server, serial="pi-1"):
    return server.face.certify(serial, request(serial), host=HOST)


def test_devices_are_told_to_trust_what_is_configured(server):
    assert register(server, csr=request())["ca"] == server.trust
    assert certify(server)["ca"] == server.trust


@pytest.mark.parametrize("decision", ["revoke", "deny"])
def test_an_operator_who_decides_while_a_certificate_is_made_has_the_last_word(server, monkeypatch, decision):
    register(server, csr=request())
    authority = server.parts.pki.authority
    real = authority.sign_request

    def slow(*arguments, **options):
        monkeypatch.undo()
        getattr(server.face, decision)("pi-1", "me", "10.0.0.1")
        return real(*arguments, **options)

    monkeypatch.setattr(authority, "sign_request", slow)
    refused = refusal(certify, server)
    assert (refused.status, refused.code) == (409, "denied")
    assert good(server) == []


def test_a_denied_device_gets_a_certificate_when_it_is_approved_and_enrols_again(server):
    register(server, csr=request())
    server.face.deny("pi-1", "me", "10.0.0.1")
    assert (refusal(certify, server).code, good(server)) == ("denied", [])
    server.face.approve("pi-1", "me", "10.0.0.1")
    assert register(server, csr=request())["certificate"]
    assert len(good(server)) == 1


def test_one_certificate_too_many_is_told_before_the_enrolment_is_granted(server):
    register(server, csr=request())
    for _ in range(MOST_A_DAY - 1):
        certify(server)
    for ask in (lambda: certify(server), lambda: register(server, csr=request())):
        refused = refusal(ask)
        assert (refused.status, refused.code) == (429, "too_many")
    assert len(good(server)) == MOST_A_DAY
