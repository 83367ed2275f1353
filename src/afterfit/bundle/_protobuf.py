"""A reader of the protobuf wire format: it walks messages in place and copies no payload.

Stricter than protobuf's own parsers: unknown fields, groups, and a second value for a field that takes one
are refused, so that no two readers can understand a message differently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from afterfit.bundle._audit import broken
from afterfit.bundle._limits import MAX_GRAPH_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from afterfit.errors import AuditError

ENTRY = "model.onnx"
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
VARINT_BITS = 7
MAX_VARINT = 10
"""Bytes of the longest varint, one of 64 bits."""

_SHORT_VARINT = rb"[\x80-\xff]{0,8}+[\x00-\x7f]"
"""A varint of at most 63 bits; the few longer ones (negative numbers) are read one by one."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message.

    `wire`: its wire type. `repeated`: it may occur more than once. `read`: `walk` yields it; otherwise it
    is skipped, after a look whether it is UTF-8 where it is `text`. `run`: matches many values in a row, for
    fields that hold millions.
    """

    name: str
    wire: int
    repeated: bool
    read: bool
    text: bool
    run: re.Pattern[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A kind of message: its name and its fields by tag (the number and the wire type together)."""

    name: str
    fields: Mapping[int, Field]


def message(kind: str, /, **fields: tuple[int, int] | tuple[int, int, str]) -> Message:
    """Describe a message: each field's number, wire type and options.

    Options are letters: `*` may occur more than once, `-` skipped, `~` text, skipped, `#` numbers, skipped,
    that may be packed or not, `+` the same where they are read; packed ones are then called `packed`.
    """
    table: dict[int, Field] = {}
    for field, (number, wire, *rest) in fields.items():
        options = rest[0] if rest else ""
        tag = number << 3 | wire
        run = _run(tag, wire) if options in ("#", "+") else None
        repeated = run is not None or "*" in options
        read = not {"-", "~", "#"} & set(options)
        table[tag] = Field(field, wire, repeated, read, "~" in options, run)
        if run is not None:
            table[number << 3 | BYTES] = Field("packed" if read else field, BYTES, repeated, read, text=False)
    return Message(kind, table)


class Wire:
    """Protobuf bytes, walked in place; at most `MAX_GRAPH_FIELDS` fields altogether."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._left = MAX_GRAPH_FIELDS

    def walk(self, start: int, stop: int, kind: Message) -> Iterator[tuple[str, int, int]]:
        """The fields of the message in `data[start:stop]` that its description reads, in order.

        Yields `(name, value, 0)` of a varint and `(name, start, stop)` of anything else; of a run of unpacked
        numbers once, `(name, start, stop)` of the run with its tags.
        """
        data, fields = self.data, kind.fields
        seen: set[int] = set()
        position = start
        while position < stop:
            self._left -= 1
            if self._left < 0:
                raise broken("graph-too-large", f"has more than {MAX_GRAPH_FIELDS:,} fields", ENTRY)
            begin = position
            tag, position = _read_varint(data, position, stop)
            field = fields.get(tag)
            if field is None:
                raise _unknown(kind, tag)
            if field.run is not None and (run := field.run.match(data, begin, stop)):
                position = run.end()
                if field.read:
                    yield field.name, begin, position
                continue
            first, second, position = _read_value(data, position, stop, field.wire)
            if position > stop:
                raise malformed(f"field {field.name} of {kind.name} runs past the end of its message")
            if not field.repeated:
                if tag in seen:
                    message = f"{kind.name} has a second {field.name}"
                    raise broken("protobuf-repeated-field", message, ENTRY)
                seen.add(tag)
            if field.read:
                yield field.name, first, second
            elif field.text:
                self.text(first, second)

    def text(self, start: int, stop: int) -> str:
        """A string."""
        try:
            return self.data[start:stop].decode("utf-8")
        except UnicodeDecodeError:
            raise malformed("a text is not UTF-8") from None


def _read_value(data: bytes, position: int, stop: int, wire: int) -> tuple[int, int, int]:
    """A varint and 0, or start and stop of anything else; and where the field ends."""
    if wire == VARINT:
        value, position = _read_varint(data, position, stop)
        return value, 0, position
    if wire == BYTES:
        size, position = _read_varint(data, position, stop)
    else:
        size = 4 if wire == FIXED32 else 8
    return position, position + size, position + size


def _read_varint(data: bytes, position: int, stop: int) -> tuple[int, int]:
    """The varint at `position`, and where it ends."""
    if position < stop and data[position] < 0x80:
        return data[position], position + 1
    value = 0
    for index in range(MAX_VARINT):
        if position + index >= stop:
            raise malformed("a number is cut off")
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value >= 2**64:
                break
            return value, position + index + 1
    raise malformed("a number has more than 64 bits")


def _run(tag: int, wire: int) -> re.Pattern[bytes]:
    """A pattern of one or more unpacked values in a row; possessive, so that it needs no memory of them."""
    value = _SHORT_VARINT if wire == VARINT else rb".{4}" if wire == FIXED32 else rb".{8}"
    return re.compile(rb"(?:" + re.escape(bytes([tag])) + value + rb")++", re.DOTALL)


def _unknown(kind: Message, tag: int) -> AuditError:
    number, wire = tag >> 3, tag & 7
    for known, field in kind.fields.items():
        if known >> 3 == number:
            return malformed(f"field {field.name} of {kind.name} has wire type {wire}, not {field.wire}")
    return broken(
        "protobuf-unknown-field", f"{kind.name} has a field {number}, which bundles do not use", ENTRY
    )


def malformed(detail: str) -> AuditError:
    """The error for bytes that are not those of an ONNX file."""
    return broken("protobuf-malformed", f"is not a well-formed ONNX file: {detail}", ENTRY)
