"""A reader of the protobuf wire format: it walks messages in place and copies no payload.

Stricter than protobuf's own parsers: unknown fields, groups, and a second value for a field that takes one
are refused, so that no two readers can understand a message differently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from afterfit.bundle._audit import broken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from afterfit.errors import AuditError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT = 10
"""Bytes of the longest varint, one of 64 bits."""

_SHORT_VARINT = rb"[\x80-\xff]{0,8}+[\x00-\x7f]"
"""A varint of at most 63 bits; the few longer ones (negative numbers) are read one by one."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message.

    `wire`: its wire type. `repeated`: it may occur more than once. `read`: `walk` yields it; otherwise it
    is only checked for being well formed and skipped. `run`: matches many values in a row, for fields that
    hold millions.
    """

    name: str
    wire: int
    repeated: bool
    read: bool
    run: re.Pattern[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A kind of message: its name and its fields by tag (the number and the wire type together)."""

    name: str
    fields: Mapping[int, Field]


def message(kind: str, /, **fields: tuple[int, int] | tuple[int, int, str]) -> Message:
    """Describe a message: each field's number, wire type and options.

    Options are letters: `*` may occur more than once, `-` skipped, `#` numbers that may be packed or not.
    """
    table: dict[int, Field] = {}
    for field, (number, wire, *rest) in fields.items():
        options = rest[0] if rest else ""
        tag = number << 3 | wire
        run = _run(tag, wire) if "#" in options else None
        repeated = "*" in options or "#" in options
        read = "-" not in options and "#" not in options
        table[tag] = Field(field, wire, repeated, read, run)
        if run is not None:
            table[number << 3 | BYTES] = Field(field, BYTES, repeated, read)
    return Message(kind, table)


def walk(data: bytes, start: int, stop: int, kind: Message) -> Iterator[tuple[str, int, int]]:
    """The fields of the message in `data[start:stop]`, in order.

    Yields `(name, value, 0)` of a varint and `(name, start, stop)` of anything else.
    """
    fields = kind.fields
    seen: set[int] = set()
    position = start
    while position < stop:
        begin = position
        tag, position = _read_varint(data, position, stop)
        field = fields.get(tag)
        if field is None:
            raise _unknown(kind, tag)
        if field.run is not None and (run := field.run.match(data, begin, stop)):
            position = run.end()
            continue
        first, second = 0, 0
        if field.wire == VARINT:
            first, position = _read_varint(data, position, stop)
        elif field.wire == BYTES:
            size, first = _read_varint(data, position, stop)
            position = second = first + size
        else:
            first = position
            position = second = first + (4 if field.wire == FIXED32 else 8)
        if position > stop:
            raise _malformed(f"field {field.name} of {kind.name} runs past the end of its message")
        if not field.repeated:
            if tag in seen:
                message = f"{kind.name} has a second {field.name}"
                raise broken("protobuf-repeated-field", message, "model.onnx")
            seen.add(tag)
        if field.read:
            yield field.name, first, second


def _read_varint(data: bytes, position: int, stop: int) -> tuple[int, int]:
    """The varint at `position`, and where it ends."""
    if position < stop and data[position] < 0x80:
        return data[position], position + 1
    value = 0
    for index in range(MAX_VARINT):
        if position + index >= stop:
            raise _malformed("a number is cut off")
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value >= 2**64:
                break
            return value, position + index + 1
    raise _malformed("a number has more than 64 bits")


def _run(tag: int, wire: int) -> re.Pattern[bytes]:
    """A pattern of one or more unpacked values in a row; possessive, so that it needs no memory of them."""
    value = _SHORT_VARINT if wire == VARINT else rb".{4}" if wire == FIXED32 else rb".{8}"
    return re.compile(rb"(?:" + re.escape(bytes([tag])) + value + rb")++", re.DOTALL)


def _unknown(kind: Message, tag: int) -> AuditError:
    number, wire = tag >> 3, tag & 7
    for known, field in kind.fields.items():
        if known >> 3 == number:
            return _malformed(f"field {field.name} of {kind.name} has wire type {wire}, not {field.wire}")
    return broken(
        "protobuf-unknown-field", f"{kind.name} has a field {number}, which bundles do not use", "model.onnx"
    )


def _malformed(detail: str) -> AuditError:
    return broken("protobuf-malformed", f"is not a well-formed ONNX file: {detail}", "model.onnx")
