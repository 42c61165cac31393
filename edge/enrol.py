"""The client of `/api/register_device`: asks a server to prove itself, and changes the fleet's key for credentials."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import msgspec

from edge.bearings import MqttAccess
from edge.finding.exchange import Answer, ExchangeError, exchange
from edge.finding.places import authority
from edge.finding.proof import Proofs, Secrets, Verdict, judge, make_nonce

PATH = "/api/register_device"
ASK_SECONDS = 3.0
"""For a question; a server on a slow radio answers in less than one."""
ENROL_SECONDS = 20.0
"""For an enrolment: the server may have to talk to an IoT hub first."""

Text = Annotated[str, msgspec.Meta(max_length=4096)]


class StrangerError(Exception):
    """What answers there is no server of ours, or nothing answers; the message is a part of a sentence."""


class ImpostorError(StrangerError):
    """A server answers and cannot prove that it is ours."""


class EnrolmentError(Exception):
    """The server gave no credentials, for a reason that may pass; the message is a part of a sentence."""


class KeyRefusedError(EnrolmentError):
    """The server does not take our enrolment key, or what we say of ourselves."""


class NotApprovedError(EnrolmentError):
    """An operator has to approve this device, or has denied it."""

    def __init__(self, message: str, *, denied: bool) -> None:
        super().__init__(message)
        self.denied = denied


class Introduction(msgspec.Struct, frozen=True):
    """What a device says of itself when it enrols."""

    hostname: str = ""
    mac_address: str = ""
    device_type: str = "raspberry_pi"


class BrokerPlace(msgspec.Struct, frozen=True):
    """Where the server says that its broker is; without credentials."""

    host: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    tls: bool = False


class _Proofs(msgspec.Struct, frozen=True):
    enrolment_key: Text = ""
    device: Text = ""
    enrolment_key_new: Text = ""


class _Inspection(msgspec.Struct, frozen=True):
    """The answer to a question."""

    server_id: Text
    state: Text
    proofs: _Proofs
    mqtt: BrokerPlace | None = None
    detail: Text = ""
    """Why there are no proofs."""


class _Http(msgspec.Struct, frozen=True):
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class Granted(msgspec.Struct, frozen=True):
    """The answer to an enrolment; not shown, it is all secrets."""

    device_id: Text
    server_id: Text
    connection_string: Text
    mqtt: MqttAccess
    http: _Http
    certificate: Annotated[str, msgspec.Meta(max_length=16_384)] = ""
    """PEM, for our request; empty where the server gives none."""
    ca: Annotated[str, msgspec.Meta(max_length=16_384)] = ""
    """PEM of the authority of server and broker."""

    def __repr__(self) -> str:
        return f"Granted(device_id={self.device_id!r}, server_id={self.server_id!r})"


class Server(NamedTuple):
    """A server that has answered, and what its proofs are worth."""

    server_id: str
    state: str
    """What it knows of us: `unknown`, `pending`, `approved`, `enrolled` or `denied`."""
    mqtt: BrokerPlace | None
    verdict: Verdict


class _Health(msgspec.Struct, frozen=True):
    """What tells Muster's health from anything else's: three fields, whatever they hold."""

    version: msgspec.Raw
    broker: msgspec.Raw
    devices: msgspec.Raw


class _Details(msgspec.Struct, frozen=True):
    state: Any = ""


class _Error(msgspec.Struct, frozen=True):
    code: Text = ""
    message: Text = ""
    details: _Details = _Details()


class _Refusal(msgspec.Struct, frozen=True):
    error: _Error = _Error()


def check_health(url: str, *, ca_file: str, seconds: float = ASK_SECONDS) -> None:
    """Make sure that what answers is a Muster server; it may be one in trouble (503).

    Raises:
        StrangerError: it is not.

    """
    try:
        answer = exchange(f"{url}/api/health", seconds=seconds, ca_file=ca_file)
        msgspec.json.decode(answer.body, type=_Health)
    except ExchangeError as error:
        raise StrangerError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StrangerError("what answers is not Muster") from None


def inspect(url: str, device_id: str, own: Secrets, *, ca_file: str, seconds: float = ASK_SECONDS) -> Server:
    """Ask a server who it is, and to prove it. Nothing secret is sent.

    Args:
        url: its base URL.
        device_id: ours.
        own: what we can check a proof with.
        ca_file: PEM with the authorities to trust for https.
        seconds: for all of it.

    Raises:
        ImpostorError: it proves nothing.
        StrangerError: it cannot be reached, or is not a Muster server that enrols.

    """
    nonce = make_nonce()
    question = f"{url}{PATH}?device_id={quote(device_id, safe='')}&nonce={nonce}"
    try:
        answer = exchange(question, seconds=seconds, ca_file=ca_file)
    except ExchangeError as error:
        raise StrangerError(str(error)) from None
    if answer.status != 200:
        raise StrangerError(_sentence(answer))
    try:
        said = msgspec.json.decode(answer.body, type=_Inspection)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StrangerError("what answers is not Muster") from None
    proofs = Proofs(said.proofs.enrolment_key, said.proofs.device, said.proofs.enrolment_key_new)
    verdict = judge(proofs, own, server_id=said.server_id, device_id=device_id, nonce=nonce, address=authority(url))
    if not verdict:
        why = _readable(said.detail)
        reason = "it does not prove that it knows our enrolment key or our token"
        raise ImpostorError(f"{reason}; it says that {why}" if why else reason)
    return Server(said.server_id, said.state, said.mqtt, verdict)


def register(
    url: str,
    device_id: str,
    introduction: Introduction,
    own: Secrets,
    *,
    claim: str,
    ca_file: str,
    csr: str = "",
    seconds: float = ENROL_SECONDS,
) -> Granted:
    """Enrol; only for a server that has proved itself.

    Args:
        url: its base URL.
        device_id: ours.
        introduction: what else we say of ourselves.
        own: the fleet's key; with it our token, if the server knows it, which proves that it is us again.
        claim: what proves that it is us who asked before and had no answer, `Bearings.claim`.
        ca_file: PEM with the authorities to trust for https.
        csr: asks for a certificate; PEM.
        seconds: for all of it.

    Raises:
        NotApprovedError: an operator has to decide.
        KeyRefusedError: the key or the request is refused.
        EnrolmentError: it failed for now.

    """
    body = {"device_id": device_id, "enrolment_key": own.enrolment_key, "claim": claim, "csr": csr}
    body |= msgspec.to_builtins(introduction)
    headers = {"Authorization": f"Bearer {own.token}"} if own.token else {}
    content = msgspec.json.encode({name: value for name, value in body.items() if value})
    try:
        answer = exchange(f"{url}{PATH}", seconds=seconds, ca_file=ca_file, body=content, headers=headers)
    except ExchangeError as error:
        raise EnrolmentError(str(error)) from None
    if answer.status != 201:
        raise _refusal(answer)
    try:
        granted = msgspec.json.decode(answer.body, type=Granted)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EnrolmentError(f"its answer to the enrolment cannot be read ({type(error).__name__})") from None
    if granted.device_id != device_id:
        raise EnrolmentError("its answer to the enrolment is for another device")
    return granted


def _refusal(answer: Answer) -> EnrolmentError:
    if answer.status == 409:
        error = _error_of(answer)
        return NotApprovedError(_sentence(answer), denied="denied" in (error.code, error.details.state))
    if answer.status in (400, 401, 403, 413, 422):
        return KeyRefusedError(_sentence(answer))
    return EnrolmentError(_sentence(answer))


def _sentence(answer: Answer) -> str:
    """Return what a server says of its refusal, as far as it says anything."""
    said = _readable(_error_of(answer).message)
    return f"it answers {answer.status}" + (f": {said}" if said else "")


def _readable(text: str) -> str:
    """Return what a stranger says as it may stand in a sentence of ours."""
    return "".join(c for c in text if c.isprintable())[:300].rstrip(".")


def _error_of(answer: Answer) -> _Error:
    try:
        return msgspec.json.decode(answer.body, type=_Refusal).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Error()
