"""The hub's registry, asked over real HTTPS."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from actors.hub.connection_string import ConnectionStringError, parse_connection_string
from actors.hub.registry import RegistryError, create_identity
from actors.hub.sas import sign
from tests.support.certificates import Authority
from tests.support.ports import free_port

POLICY_KEY = b"the key of the registry's policy"
SERVICE = f"HostName=localhost;SharedAccessKeyName=registry;SharedAccessKey={base64.b64encode(POLICY_KEY).decode()}"


class FakeRegistry:
    """Devices by id, as the real one keeps them: PUT makes, PUT with If-Match changes, else 409 and 412."""

    def __init__(self, directory):
        self.devices: dict[str, dict] = {}
        self.requests: list[tuple[str, str]] = []
        self.statuses: list[int] = []
        """What the next requests are answered with, whatever they are."""
        self.before_put = lambda: None
        self.authority = Authority(directory)
        issued = self.authority.issue("registry")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.cert_file, issued.key_file)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._http.handle_error = lambda *_: None
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()

    def _handler(self):
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self._answer(*registry._get(self))

            def do_PUT(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer(*registry._put(self, body))

            def _answer(self, status, body):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        return Handler

    def _begin(self, request):
        parts = urlsplit(request.path)
        device_id = unquote(parts.path.removeprefix("/devices/"))
        self.requests.append((request.command, device_id))
        assert parts.query == "api-version=2021-04-12"
        token = request.headers["Authorization"]
        expiry = int(dict(parse_qsl(token))["se"])
        if expiry <= time.time() or token != sign("localhost", POLICY_KEY, expiry, policy="registry"):
            return device_id, (401, {"Message": "ErrorCode:IotHubUnauthorizedAccess;Unauthorized"})
        if self.statuses:
            return device_id, (self.statuses.pop(0), {"Message": "told so"})
        return device_id, None

    def _get(self, request):
        device_id, refusal = self._begin(request)
        return refusal or (200, self.devices[device_id])

    def _put(self, request, body):
        device_id, refusal = self._begin(request)
        if refusal:
            return refusal
        self.before_put()
        known, match = self.devices.get(device_id), request.headers["If-Match"]
        if known is not None and match is None:
            return 409, {"Message": f"ErrorCode:DeviceAlreadyExists;{device_id}"}
        if known is not None and match.strip('"') not in ("*", known["etag"]):
            return 412, {"Message": "ErrorCode:PreconditionFailed"}
        assert body["deviceId"] == device_id
        self.devices[device_id] = body | {"etag": f"e{len(self.requests)}"}
        return 200, self.devices[device_id]


@pytest.fixture
def registry(tmp_path):
    registry = FakeRegistry(tmp_path)
    yield registry
    registry.close()


def create(registry, serial="D-1", service=SERVICE):
    return create_identity(service, serial, timeout=10, ca_file=str(registry.authority.ca_file), port=registry.port)


def keys_of(registry, serial="D-1"):
    return registry.devices[serial]["authentication"]["symmetricKey"]


def test_a_new_identity_is_made_and_its_connection_string_returned(registry):
    found = parse_connection_string(create(registry))
    assert (found.host, found.device_id) == ("localhost", "D-1")
    assert base64.b64encode(found.key).decode() == keys_of(registry)["primaryKey"]
    assert registry.devices["D-1"]["status"] == "enabled"


def test_a_serial_with_a_colon_keeps_it(registry):
    assert parse_connection_string(create(registry, "b8:27:eb:00:00:01")).device_id == "b8:27:eb:00:00:01"


def test_an_identity_that_exists_gets_new_keys_and_keeps_the_rest(registry):
    create(registry)
    before = keys_of(registry)
    registry.devices["D-1"]["capabilities"] = {"iotEdge": True}
    found = parse_connection_string(create(registry))
    after = keys_of(registry)
    assert base64.b64decode(after["primaryKey"]) == found.key
    assert set(before.values()).isdisjoint(after.values())
    assert registry.devices["D-1"]["capabilities"] == {"iotEdge": True}


def test_a_disabled_identity_is_left_alone(registry):
    create(registry)
    registry.devices["D-1"]["status"] = "disabled"
    before = keys_of(registry)
    with pytest.raises(RegistryError, match="disabled the identity of D-1"):
        create(registry)
    assert keys_of(registry) == before


def test_an_identity_with_a_certificate_is_left_alone(registry):
    registry.devices["D-1"] = {"deviceId": "D-1", "etag": "a", "authentication": {"type": "selfSigned"}}
    with pytest.raises(RegistryError, match="uses selfSigned"):
        create(registry)


def test_an_identity_that_changes_all_the_time_is_given_up(registry):
    create(registry)
    registry.before_put = lambda: registry.devices["D-1"].update(etag=f"x{len(registry.requests)}")
    with pytest.raises(RegistryError, match="PreconditionFailed"):
        create(registry)


@pytest.mark.parametrize("status", [400, 403, 404, 429, 503])
def test_a_refusal_is_told_in_the_hub_s_own_words(registry, status):
    registry.statuses = [status]
    with pytest.raises(RegistryError, match=f"told so .status {status}."):
        create(registry)


def test_a_wrong_key_is_told_without_showing_it(registry):
    wrong = base64.b64encode(b"another key").decode()
    service = f"HostName=localhost;SharedAccessKeyName=registry;SharedAccessKey={wrong}"
    with pytest.raises(RegistryError, match="Unauthorized") as failure:
        create(registry, service=service)
    assert wrong not in str(failure.value)


def test_a_hub_that_is_away_is_told(registry):
    registry.port = free_port()
    with pytest.raises(RegistryError, match="localhost cannot be reached"):
        create(registry)


def test_a_hub_with_another_certificate_gets_no_token(registry):
    with pytest.raises(RegistryError, match=r"cannot be reached: .*CERTIFICATE_VERIFY_FAILED"):
        create_identity(SERVICE, "D-1", timeout=10, port=registry.port)
    assert registry.requests == []


def test_a_hub_that_never_answers_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(RegistryError, match="cannot be reached"):
        create_identity(SERVICE, "D-1", timeout=0.2, port=silent.getsockname()[1])


def test_a_ca_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RegistryError, match=r"nowhere\.pem"):
        create_identity(SERVICE, "D-1", ca_file=str(tmp_path / "nowhere.pem"))


def test_a_device_s_connection_string_is_no_service_s():
    with pytest.raises(RegistryError, match="none of a service"):
        create_identity("HostName=h;DeviceId=d;SharedAccessKey=c2VjcmV0", "D-1")
    with pytest.raises(ConnectionStringError):
        create_identity("nonsense", "D-1")


def test_an_answer_that_cannot_be_read_is_told(registry):
    registry.statuses = [409, 204]
    with pytest.raises(RegistryError):
        create(registry)
