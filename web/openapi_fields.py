"""What the sources say of each field: the sentences below the fields of the types, for the schemas of the contract."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import msgspec.inspect

from web.face import Item


def tell_fields(schemas: Mapping[str, Item], types: Iterable[Any]) -> None:
    """Give the properties of these schemas, which were made from these types, their descriptions."""
    classes: dict[type, None] = {}
    for info in msgspec.inspect.multi_type_info(types):
        _collect(info, classes)
    for schema in schemas.values():
        properties = schema.get("properties", {})
        for name, sentence in _sentences(schema, classes):
            properties[name] = {**properties[name], "description": sentence}


def _sentences(schema: Item, classes: Iterable[type]) -> Iterator[tuple[str, str]]:
    """Yield field and sentence. Several types may have one name: the fields tell them apart."""
    title, names = schema.get("title", "").partition("[")[0], set(schema.get("properties", ()))
    for found in classes:
        fields = dict(zip(found.__struct_fields__, found.__struct_encode_fields__, strict=True))  # type: ignore[attr-defined]
        if found.__name__ != title or set(fields.values()) != names:
            continue
        told: dict[str, str] = {}
        for base in reversed(found.__mro__):
            told |= _of_module(base.__module__).get(base.__qualname__, {})
        yield from ((fields[name], sentence) for name, sentence in told.items() if name in fields)
        return


def _collect(info: msgspec.inspect.Type, found: dict[type, None]) -> None:
    if isinstance(info, msgspec.inspect.StructType):
        own = getattr(info.cls, "__origin__", info.cls)
        is_known = own in found and not getattr(own, "__parameters__", ())
        found[own] = None
        if is_known:
            return
        parts: Iterable[Any] = (field.type for field in info.fields)
    else:
        values = (getattr(info, name) for name in info.__struct_fields__)
        parts = (part for value in values for part in (value if isinstance(value, tuple) else (value,)))
    for part in parts:
        if isinstance(part, msgspec.inspect.Type):
            _collect(part, found)


@cache
def _of_module(name: str) -> Mapping[str, Mapping[str, str]]:
    """Return by class and field the sentences of a module; none where its source was not installed."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[name]))
    except (OSError, TypeError):
        return {}
    return {node.name: dict(_of_class(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _of_class(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(node.body, node.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(sentence))):
                yield name, inspect.cleandoc(sentence)
