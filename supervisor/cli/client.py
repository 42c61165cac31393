"""Speaks to a running server over its HTTP API, and finds it."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from supervisor.process.rundir import find_server, runtime_directory

_TIMEOUT = 15.0
_PAGE = 1000
_MAX_ANSWER = 64 * 2**20

Params = Mapping[str, str | int | None]
Lines = Iterator[bytes]


class ApiError(Exception):
    """The server refused or cannot be reached; the message is one sentence."""

    def __init__(self, sentence: str, *, status: int = 0, body: Any = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.body = body

    @property
    def code(self) -> str:
        """What the server calls it; empty where it has said nothing."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        return str(error.get("code", "")) if isinstance(error, dict) else ""


class NoServerError(Exception):
    """No server was found to talk to; the message is one sentence that says how to name one."""


class ApiClient:
    """A connection to one server, with a token."""

    def __init__(self, url: str, token: str = "", *, timeout: float = _TIMEOUT, ca_file: str = "") -> None:
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if parts.scheme not in ("http", "https") or not host:
            raise NoServerError(f"`{url}` is not a server's URL, write http://host:port.")
        self.url = url.rstrip("/")
        self._token = token
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout)
        if parts.scheme == "https":
            self._connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=_trust(ca_file))
        self._sock: socket.socket | None = None
        self._path = parts.path.rstrip("/")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, path: str, params: Params | None = None) -> Any:
        """Return the decoded answer; raise `ApiError` for anything but success."""
        return self._call("GET", path, params)

    def post(self, path: str, body: Mapping[str, Any], key: str = "") -> Any:
        """Send `body` as JSON and return the decoded answer; with a `key` a second request is the same request."""
        return self._call("POST", path, None, msgspec.json.encode(body), {"Idempotency-Key": key} if key else {})

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change what is at `path` by `body` and return the decoded answer."""
        return self._call("PATCH", path, None, msgspec.json.encode(body))

    def send(self, path: str, body: bytes, headers: Mapping[str, str]) -> Any:
        """Add bytes as they are to what is at `path` and return the decoded answer."""
        return self._call("PATCH", path, None, body, {"Content-Type": "application/octet-stream", **headers})

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Put `body` as JSON at `path` and return the decoded answer."""
        return self._call("PUT", path, None, msgspec.json.encode(body))

    def delete(self, path: str) -> Any:
        """Delete what is at `path`."""
        return self._call("DELETE", path, None)

    def pages(self, path: str, params: Params | None = None, *, limit: int | None = None) -> Iterator[Any]:
        """Yield the items of a list, page after page, at most `limit` of them."""
        cursor, left = None, limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            page = self.get(path, {**(params or {}), "limit": size, "cursor": cursor})
            yield from page["items"]
            cursor = page.get("cursor")
            if not cursor:
                return
            left = None if left is None else left - len(page["items"])

    def listen(self, path: str, params: Params | None, headers: Mapping[str, str], *, patience: float) -> Lines:
        """Return the lines of an answer that does not end, as they come.

        Raises:
            ApiError: at once if it is refused or nobody answers; while it is read, when the server has gone, or has
                said nothing for `patience` seconds.

        """
        self._connection.timeout = patience
        answer = self._ask("GET", path, params, None, headers)
        if answer.status >= 400:
            self._decode(answer.status, self._read(answer))
        return self._lines(answer)

    def _lines(self, answer: http.client.HTTPResponse) -> Lines:
        with self._told_in_a_sentence():
            while line := answer.readline(_MAX_ANSWER):
                yield line

    def hang_up(self) -> None:
        """End whatever another thread waits for on this connection."""
        if self._sock is not None:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                self._sock.shutdown(socket.SHUT_RDWR)

    def _call(
        self,
        method: str,
        path: str,
        params: Params | None,
        body: bytes | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> Any:
        answer = self._ask(method, path, params, body, extra)
        return self._decode(answer.status, self._read(answer))

    def _ask(
        self, method: str, path: str, params: Params | None, body: bytes | None, extra: Mapping[str, str] | None
    ) -> http.client.HTTPResponse:
        query = urlencode({key: value for key, value in (params or {}).items() if value is not None})
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        headers |= extra or {}
        target = f"{self._path}{quote(path)}" + (f"?{query}" if query else "")
        with self._told_in_a_sentence():
            self._connection.request(method, target, body=body, headers=headers)
            # The connection forgets it where the answer goes on until the server closes.
            self._sock = self._connection.sock
            return self._connection.getresponse()

    def _read(self, answer: http.client.HTTPResponse) -> bytes:
        with self._told_in_a_sentence():
            return answer.read(_MAX_ANSWER)

    @contextlib.contextmanager
    def _told_in_a_sentence(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            if isinstance(error, ssl.SSLCertVerificationError):
                reason = f"its certificate is not trusted ({error.verify_message}); set MUSTER_CA_FILE"
            raise ApiError(f"The server at {self.url} cannot be reached: {reason}.") from None

    def _decode(self, status: int, raw: bytes) -> Any:
        try:
            body = msgspec.json.decode(raw) if raw else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ApiError(f"What answers at {self.url} is not a Muster server.", status=status) from None
        if status < 400:
            return body
        error = body.get("error") if isinstance(body, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        if status == 401 and not self._token:
            message = "it wants a token, set MUSTER_API_TOKEN or run the command as the user of the server"
        verb = "answers" if status == http.client.NOT_FOUND else "refused"
        raise ApiError(f"The server at {self.url} {verb}: {message or f'status {status}'}.", status=status, body=body)


def get_health(client: ApiClient) -> Any:
    """Return the body of `/api/health`; a server that cannot serve says so with 503 and the same body."""
    try:
        return client.get("/api/health")
    except ApiError as error:
        if error.status == http.client.SERVICE_UNAVAILABLE and isinstance(error.body, dict) and "status" in error.body:
            return error.body
        raise


def connect(
    url: str | None, token_file: str | None, environ: Mapping[str, str], *, timeout: float = _TIMEOUT
) -> ApiClient:
    """Return a client for the server named by flag, environment or runtime directory.

    The token of the runtime directory is sent only to the server that left it there.

    Raises:
        NoServerError: if none is named and none of this user runs here.

    """
    if token_file:
        token = _read_token(token_file)
    else:
        token = _check_token(environ.get("MUSTER_API_TOKEN", ""), "MUSTER_API_TOKEN")
    named = url or environ.get("MUSTER_SERVER_URL", "")
    running = find_server(runtime_directory(environ))
    ca_file = environ.get("MUSTER_CA_FILE", "")
    if named:
        if running is not None and named.rstrip("/") == running.url.rstrip("/"):
            token, ca_file = token or running.token, ca_file or running.ca_file
        return ApiClient(named, token, timeout=timeout, ca_file=ca_file)
    if running is None:
        raise NoServerError(
            "No running server of this user was found; start one with `muster up`, or name one with --url or"
            " MUSTER_SERVER_URL."
        )
    return ApiClient(running.url, token or running.token, timeout=timeout, ca_file=ca_file or running.ca_file)


def _trust(ca_file: str) -> ssl.SSLContext:
    """Return what to trust for https: an authority of one's own, else those of the system."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise NoServerError(f"{ca_file} holds no certificates to trust: {error.strerror or error}.") from None


def _read_token(path: str) -> str:
    try:
        token = Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise NoServerError(f"The token file {path} cannot be read: {error.strerror}.") from None
    # An empty file must not mean another token than the one that was asked for.
    return _check_token(token or "\0", f"The token file {path}")


def _check_token(token: str, source: str) -> str:
    """Return a token that fits into a header line."""
    if token.isascii() and (token.isprintable() or not token):
        return token
    raise NoServerError(f"{source} holds no token.")
