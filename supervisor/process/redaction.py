"""Takes secrets out of what is logged: those of a known form, and those that this process was told of.

The forms catch what comes from outside (a URL that a library names in its error, a header that somebody echoes); the
values catch what has no form (a password alone, the fleet's key).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import msgspec

HIDDEN: Final = "***"
"""Stands for a secret, as everywhere in Muster."""
SHORTEST: Final = 8
"""Characters: what is shorter is found in too much that is no secret."""
_NAMES: Final = (
    "password|passwd|passphrase|psk|secret|token|api_token|access_token|enrolment_key|claim|api_key|private_key"
    "|connection_string|service_connection_string|device_key"
)
#: Form -> what is left of it.
_FORMS: Final = (
    (re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?(?:-----END \1PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    # Up to the last @ of the word: who forgets to quote one in a password must not see the rest of it in the log.
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@'\"]*):[^\s'\"]*@", re.IGNORECASE), rf"\1:{HIDDEN}@"),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"\b(muster_)[A-Za-z0-9_-]{20,}"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(muster-(?:backup-key|sealing-key [0-9a-f]{8})) [0-9a-f]{32,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\b(SharedAccessKey=)[^;\s'\"]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"([?&;\s](?:key|sig|token|access_token|api_key)=)[^&\s'\"#;]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(rf"(?i)([\"'](?:{_NAMES})[\"']\s*:\s*b?)(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"), rf"\1'{HIDDEN}'"),
    (
        re.compile(rf"(?i)\b(\w*(?:{_NAMES})=)(b?\"(?:[^\"\\]|\\.)*\"|b?'(?:[^'\\]|\\.)*'|[^\s,;&)'\"]+)"),
        rf"\1{HIDDEN}",
    ),
)


_SECRET_FIELDS: Final = frozenset(
    {"api_token", "enrolment_key", "password", "token", "service_connection_string", "hub_connection_string"}
    | {"connection_string"}
    # Of a channel for alarms: who knows the address may write to it.
    | {"webhook"}
)
_SECRET_GROUPS: Final = frozenset({"headers", "apprise"})
"""Fields of which every value is a secret: headers of a webhook, and addresses with keys in them."""


def secrets_in(section: Any) -> Iterator[str]:
    """Yield the secrets in a configuration or in credentials: fields of known names, and passwords in URLs."""
    if isinstance(section, msgspec.Struct):
        for name in section.__struct_fields__:
            value = getattr(section, name)
            if isinstance(value, str):
                yield value if name in _SECRET_FIELDS else _password_in(value)
            elif name in _SECRET_GROUPS:
                yield from value.values() if isinstance(value, dict) else value
            else:
                yield from secrets_in(value)
    elif isinstance(section, tuple | list):
        for item in section:
            yield from secrets_in(item)
    elif isinstance(section, dict):
        for name, item in section.items():
            yield item if isinstance(item, str) and name in _SECRET_FIELDS else ""
            yield from secrets_in(item)


def _password_in(text: str) -> str:
    try:
        return unquote(urlsplit(text).password or "") if "://" in text else ""
    except ValueError:
        return ""


class Redactor:
    """Knows the secrets of a process; any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None

    def hide(self, secrets: Iterable[str]) -> None:
        """Take these values out from now on, also as they are quoted in URLs; short ones are passed over."""
        found = {text for secret in secrets for text in (secret, quote(secret, safe="")) if len(secret) >= SHORTEST}
        with self._lock:
            if found <= self._known:
                return
            self._known |= found
            # The longest first: one may be a part of another.
            self._pattern = re.compile("|".join(map(re.escape, sorted(self._known, key=len, reverse=True))))

    def redact(self, text: str) -> str:
        """Return a text without secrets."""
        pattern = self._pattern
        if pattern is not None:
            text = pattern.sub(HIDDEN, text)
        for form, left in _FORMS:
            text = form.sub(left, text)
        return text


_PROCESS: Final = Redactor()


def hide_secrets(*secrets: str) -> None:
    """Take these values out of the log of this process from now on."""
    _PROCESS.hide(secrets)


def redact(text: str) -> str:
    """Return a text without secrets."""
    return _PROCESS.redact(text)
