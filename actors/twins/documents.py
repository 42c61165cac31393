"""The documents of a twin: JSON objects that are patched, compared and kept within bounds. Pure functions."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.payloads import RefusedError, check_tree

Document = dict[str, Any]

MOST_BYTES = 32_768
"""Of JSON in one document: it is published as one retained message, and kept in one row."""
LONGEST_KEY = 128
"""Characters."""


def merge(document: Document, patch: Document) -> Document:
    """Return the document with a merge patch (RFC 7396) applied: null deletes, objects merge, all else replaces."""
    merged = dict(document)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            old = merged.get(key)
            merged[key] = merge(old if isinstance(old, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def difference(desired: Document, reported: Document) -> Document:
    """Return the part of what is desired that is not reported so; what is reported beyond it is no difference."""
    missing: Document = {}
    for key, wanted in desired.items():
        if key not in reported:
            missing[key] = wanted
        elif isinstance(wanted, dict) and isinstance(reported[key], dict):
            if below := difference(wanted, reported[key]):
                missing[key] = below
        elif not is_same(wanted, reported[key]):
            missing[key] = wanted
    return missing


def is_same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are equal: 1 is 1.0 and no `true`."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other)


def encode_document(document: Document, name: str) -> str:
    """Return a document as the JSON text that is stored.

    Raises:
        RefusedError: `too_deep`, `nul`, `out_of_range`, `too_long`, `bad_id`, `not_utf8` or `too_large`; the detail
            names the field, which stands below `name`.

    """
    check_tree(document, name)
    _check_keys(document, name)
    try:
        raw = msgspec.json.encode(document)
    except UnicodeEncodeError:
        raise RefusedError("not_utf8", f"`{name}` has half of a character in it") from None
    if len(raw) > MOST_BYTES:
        raise RefusedError("too_large", f"`{name}` has {len(raw)} bytes of JSON, at most {MOST_BYTES} are taken")
    return raw.decode()


def decode_document(text: str) -> Document:
    """Return a document that was stored."""
    document: Document = msgspec.json.decode(text)
    return document


def _check_keys(value: Any, path: str) -> None:
    if isinstance(value, list):
        for item in value:
            _check_keys(item, path)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if len(key) > LONGEST_KEY:
            raise RefusedError("too_long", f"a name under `{path}` has {len(key)} characters, at most {LONGEST_KEY}")
        if not key or not key.isprintable():
            raise RefusedError("bad_id", f"a name under `{path}` is empty or has characters that cannot be printed")
        _check_keys(item, f"{path}.{key}"[:200])
