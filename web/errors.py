"""The one error of the API, and its body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "conflict",
    410: "gone",
    411: "length_required",
    413: "too_large",
    414: "too_large",
    416: "range_not_satisfiable",
    429: "rate_limited",
    500: "internal",
    501: "not_supported",
    503: "unavailable",
    505: "not_supported",
    507: "no_space",
}


def usual_code(status: int) -> str:
    """Return the word for programs of an answer of 400 or more that says nothing closer."""
    return CODES.get(status, "bad_request" if status < 500 else "internal")


class Problem(msgspec.Struct):
    """What was wrong."""

    code: str
    """One word for programs."""
    message: str
    """One sentence for people."""
    details: dict[str, Any]


class ErrorBody(msgspec.Struct):
    """The body of every answer that is a refusal or a failure."""

    error: Problem


class ApiError(Exception):
    """A refusal that the client is told about."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Assign; without a `code` it is the usual one of the status."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})

    def body(self) -> ErrorBody:
        """Return the JSON body of this error."""
        return error_body(self.status, self.message, self.details, self.code)


def error_body(status: int, message: str, details: Mapping[str, Any] | None = None, code: str = "") -> ErrorBody:
    """Return `{"error": {"code", "message", "details"}}`."""
    return ErrorBody(Problem(code or usual_code(status), message, dict(details or {})))


def bad_field(field: str, message: str) -> ApiError:
    """Return the 400 that names a wrong query parameter or body field."""
    return ApiError(400, f"{field}: {message}", details={"field": field})


def too_many(wait: float, message: str = "too many requests") -> ApiError:
    """Return the 429 for one who may ask again in `wait` seconds."""
    return ApiError(429, message, headers={"Retry-After": str(int(wait) + 1)})
