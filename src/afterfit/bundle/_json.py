"""JSON as bundles hold it: written in one canonical way, read strictly.

JSON has no spelling for the numbers that are not finite. Bundles write them as the strings `"NaN"`,
`"Infinity"` and `"-Infinity"`; whoever reads a value of logical type `float` takes them back (see
FORMAT.md).
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from afterfit.bundle._audit import broken
from afterfit.bundle._limits import MAX_JSON_DEPTH, MAX_JSON_VALUES
from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from afterfit.bundle._audit import Rule

T = TypeVar("T")

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""The spelling of the numbers JSON has none for."""

BRACKETS = b"[]{}"
NOT_BRACKETS = bytes(set(range(256)) - set(BRACKETS))
INNERMOST = re.compile(rb"\[\]|\{\}")

_encoder = msgspec.json.Encoder(order="sorted")


def encode_json(value: Any) -> bytes:
    """Canonical JSON: UTF-8, keys sorted by code point, no spaces, floats as their shortest exact spelling.

    Takes None, bool, int, float, str, lists, tuples, dicts with string keys, msgspec structs, and numpy
    scalars and arrays. Numbers that are not finite become `"NaN"`, `"Infinity"` and `"-Infinity"`. Pure and
    deterministic: equal values give equal bytes. Raises `ArgumentError` for anything else.
    """
    try:
        return _encoder.encode(_plain(value))
    except (UnicodeEncodeError, OverflowError, RecursionError) as error:
        raise ArgumentError(f"cannot be written as JSON: {error}") from None


def decode_json(content: bytes, kind: type[T], *, entry: str, rule: Rule) -> T:
    """A JSON document as `kind`.

    Syntax, nesting and duplicate keys are audited before anything of `kind` is built; a document that does
    not fit `kind` breaks `rule`.
    """
    audit_json(content, entry)
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise broken(rule, _short(error), entry) from None


def decode_json_lines(content: bytes, kind: type[T], *, entry: str, rule: Rule) -> list[T]:
    """The documents of a JSON Lines file, each line ended by U+000A."""
    return [
        decode_json(line, kind, entry=f"{entry} line {number}", rule=rule)
        for number, line in enumerate(split_lines(content, entry), 1)
    ]


def split_lines(content: bytes, entry: str) -> list[bytes]:
    """The lines of a JSON Lines file."""
    if content and not content.endswith(b"\n"):
        raise broken("json-syntax", "the last line is cut off: it does not end with U+000A", entry)
    return content.split(b"\n")[:-1]


def audit_json(content: bytes, entry: str) -> None:
    """Refuse what is not strict JSON within the limits: syntax, nesting, size, duplicate keys."""
    _audit_structure(content, entry)
    try:
        msgspec.json.decode(content)
        _duplicates.decode(content.decode("utf-8"))
    except _DuplicateKeyError as error:
        raise broken(
            "json-duplicate-key", f"the key {_short(error)} occurs twice in one object", entry
        ) from None
    except (ValueError, RecursionError) as error:
        raise broken("json-syntax", f"is not JSON: {_short(error)}", entry) from None


class _DuplicateKeyError(Exception):
    """A key that an object has twice."""


def _audit_keys(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) == len(pairs):
        return
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise _DuplicateKeyError(name)
        seen.add(name)


_duplicates = json.JSONDecoder(object_pairs_hook=_audit_keys)


def _short(error: Exception) -> str:
    """What an error says, fit to be shown: it may quote the document."""
    return ascii(str(error)[:200])[1:-1]


def _audit_structure(content: bytes, entry: str) -> None:
    """Bound what a parser would build, before one sees it: take away innermost brackets, layer by layer."""
    if len(content) < MAX_JSON_VALUES and content.count(b"[") + content.count(b"{") <= MAX_JSON_DEPTH:
        return
    parts = content.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    outside = b"".join(parts)
    values = sum(map(outside.count, (b",", b"[", b"{")))
    if values > MAX_JSON_VALUES:
        raise broken("json-too-large", f"holds more than {MAX_JSON_VALUES:,} values", entry)
    brackets = outside.translate(None, NOT_BRACKETS)
    for _ in range(MAX_JSON_DEPTH):
        if not brackets:
            return
        fewer = INNERMOST.sub(b"", brackets)
        if fewer == brackets:
            raise broken("json-syntax", "is not JSON: its brackets do not match", entry)
        brackets = fewer
    if brackets:
        raise broken("json-nesting", f"nests deeper than {MAX_JSON_DEPTH} levels", entry)


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | str():
            return value
        case np.generic() | np.ndarray():
            return _plain(value.tolist())
        case float() | int():
            return _spell(value)
        case dict():
            return {_key(name): _plain(member) for name, member in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case msgspec.Struct():
            return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
        case _:
            raise ArgumentError(f"a {type(value).__name__} cannot be written as JSON")


def _spell(number: float) -> float | str:
    if isinstance(number, int) or math.isfinite(number):
        return number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _key(name: Any) -> str:
    if not isinstance(name, str):
        raise ArgumentError(f"the key {name!r} is not a string, as keys of JSON objects must be")
    return name


def join_lines(lines: Iterable[bytes]) -> bytes:
    """A JSON Lines file, each line ended by U+000A."""
    return b"".join(line + b"\n" for line in lines)
