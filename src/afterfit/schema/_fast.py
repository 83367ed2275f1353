"""Requests at full speed: one msgspec type per schema that accepts good requests only.

What it accepts, `Rule.read` accepts with the same result; whatever it does not accept is read again, slowly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec.structs import astuple

from afterfit.schema._tensor_rule import TensorRule
from afterfit.schema._types import FLOAT_EXACT, encode_text
from afterfit.schema._values import FLOAT64_MAX, Rule

FLOAT64 = np.dtype(np.float64)
INT64 = np.dtype(np.int64)
OBJECT = np.dtype(object)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from afterfit.schema._types import Packed


class DoubtfulError(Exception):
    """The body is not certainly good: read it the slow way."""


class UnpackedRows:
    """Rows of one request that were read and are good, to be packed together with those of others (`join_rows`).

    `respell`: some text may begin with U+001A.
    """

    __slots__ = ("reader", "respell", "rows")

    def __init__(self, reader: Reader, rows: list[tuple[Any, ...]], *, respell: bool) -> None:
        self.reader = reader
        self.rows = rows
        self.respell = respell

    def __len__(self) -> int:
        return len(self.rows)

    def pack(self) -> Packed:
        """The rows, packed."""
        return self.reader.pack(self.rows, respell=self.respell)


def join_rows(parts: Sequence[Packed | UnpackedRows]) -> Packed:
    """The rows of one or several requests of one schema, packed in their order.

    Law: what packing each by itself and joining the arrays gives.
    """
    unpacked = [part for part in parts if isinstance(part, UnpackedRows)]
    if len(unpacked) == len(parts):
        rows = [row for part in unpacked for row in part.rows]
        return unpacked[0].reader.pack(rows, respell=any(part.respell for part in unpacked))
    packed = [part.pack() if isinstance(part, UnpackedRows) else part for part in parts]
    if len(packed) == 1:
        return packed[0]
    return {name: np.concatenate([part[name] for part in packed]) for name in packed[0]}


def build_reader(inputs: Mapping[str, Sequence[Rule | TensorRule]], ignored: Sequence[str]) -> Reader | None:
    """A function of a request body and its largest number of rows to the packed rows.

    `inputs`: the rules of each input by position; `ignored` names the columns that the model never reads. The
    function raises `DoubtfulError`, `msgspec.MsgspecError`, `UnicodeDecodeError` or `RecursionError`
    wherever the body is not certainly good. None where the schema has no fast way.
    """
    numbers, texts, integers = (_scalar_rules(inputs, name) for name in ("number", "text", "integer"))
    tensors: dict[str, TensorRule] = {
        name: rule for name, rules in inputs.items() for rule in rules if isinstance(rule, TensorRule)
    }
    scalars = (*numbers, *texts, *integers)
    every: list[Rule | TensorRule] = [*scalars, *tensors.values()]
    if any(rule.closed is not None and not rule.closed for rule in scalars):
        # No type accepts nothing.
        return None
    if any(rule.column.type == "string" for rule in tensors.values()):
        # Colons inside nested strings would have to be counted.
        return None
    decode = _build_decoder(every, ignored)
    return None if decode is None else Reader(decode, numbers, texts, integers, tensors, ignored)


class Reader:
    """What `build_reader` returns; a row holds numbers, texts, integers, tensors and ignored values, in this order."""

    __slots__ = (
        "_analyzed",
        "_checks",
        "_decode",
        "_first_ignored",
        "_first_integer",
        "_first_tensor",
        "_first_text",
        "_ignored_colons",
        "_nullable_text",
        "_row_colons",
        "_tensors",
    )

    def __init__(
        self,
        decode: Callable[[bytes], Any],
        numbers: Sequence[Rule],
        texts: Sequence[Rule],
        integers: Sequence[Rule],
        tensors: Mapping[str, TensorRule],
        ignored: Sequence[str],
    ) -> None:
        self._decode = decode
        self._first_text = len(numbers)
        self._first_integer = self._first_text + len(texts)
        self._first_tensor = self._first_integer + len(integers)
        self._first_ignored = self._first_tensor + len(tensors)
        self._tensors = tensors
        self._nullable_text = any(rule.nullable for rule in texts)
        scalars = (*numbers, *texts, *integers)
        self._row_colons = _count_colons(rule.column.name for rule in scalars)
        self._row_colons += _count_colons(rule.column.name for rule in tensors.values())
        self._ignored_colons = [_count_colons([name]) for name in ignored]
        self._analyzed = [
            (position, rule) for position, rule in enumerate(texts, start=len(numbers)) if rule.readers
        ]
        self._checks = [
            (name, position, rule)
            for name, group in (("number", numbers), ("integer", integers))
            for position, rule in enumerate(group)
            if rule.closed is not None
        ]

    def __call__(self, body: bytes, max_rows: int | None) -> Packed:
        rows, respell = self._read(body, max_rows)
        packed = self.pack(rows, respell=respell)
        for name, position, rule in self._checks:
            if not rule.vouch(packed[name][:, position]).all():
                raise DoubtfulError
        return packed

    def read(self, body: bytes, max_rows: int | None) -> Packed | UnpackedRows:
        """The rows without packing them, where nothing is left to be found out by packing."""
        if self._checks or self._tensors:
            return self(body, max_rows)
        rows, respell = self._read(body, max_rows)
        return UnpackedRows(self, rows, respell=respell)

    def _read(self, body: bytes, max_rows: int | None) -> tuple[list[tuple[Any, ...]], bool]:
        rows: list[tuple[Any, ...]] = [astuple(row) for row in self._decode(body).rows]
        if not rows or (max_rows is not None and len(rows) > max_rows):
            raise DoubtfulError
        escapes = b"\\" in body
        # msgspec lets the last of repeated keys win, so colons are counted; an escaped one would hide.
        if (escapes and b"\\u003" in body) or (
            body.count(b":") != 1 + self._row_colons * len(rows) and self._repeats_a_key(body, rows)
        ):
            raise DoubtfulError
        for position, rule in self._analyzed:
            if not all(rule.vouch_for_text(row[position]) for row in rows):
                raise DoubtfulError
        # U+001A can only come escaped, since JSON forbids control characters in strings.
        return rows, escapes and b"\\u001" in body

    def _repeats_a_key(self, body: bytes, rows: Sequence[tuple[Any, ...]]) -> bool:
        """Whether there are more colons than the keys and values found account for."""
        count = 1 + self._row_colons * len(rows)
        for row in rows:
            texts = row[self._first_text : self._first_integer]
            count += sum(word.count(":") for word in texts if word is not None)
            for colons, raw in zip(self._ignored_colons, row[self._first_ignored :], strict=True):
                if raw is not None:
                    count += colons + bytes(raw).count(b":")
        return body.count(b":") != count

    def pack(self, rows: Sequence[tuple[Any, ...]], *, respell: bool) -> Packed:
        """The rows by element type; `respell`: some text may begin with U+001A."""
        first_text, first_integer = self._first_text, self._first_integer
        packed: Packed = {}
        if first_text:
            packed["number"] = np.array([row[:first_text] for row in rows], dtype=FLOAT64)
        if first_integer > first_text:
            words = [row[first_text:first_integer] for row in rows]
            if respell or (self._nullable_text and any(None in row for row in words)):
                words = [tuple(map(encode_text, row)) for row in words]
            packed["text"] = np.array(words, dtype=OBJECT)
        if self._first_tensor > first_integer:
            packed["integer"] = np.array(
                [row[first_integer : self._first_tensor] for row in rows], dtype=INT64
            )
        for position, (name, tensor) in enumerate(self._tensors.items(), self._first_tensor):
            packed[name] = _pack_nested(tensor, [row[position] for row in rows])
        return packed


def _scalar_rules(inputs: Mapping[str, Sequence[Rule | TensorRule]], name: str) -> list[Rule]:
    return [rule for rule in inputs.get(name, ()) if isinstance(rule, Rule)]


def _pack_nested(rule: TensorRule, values: Sequence[Any]) -> NDArray[Any]:
    """Nested lists, whose elements are known to be good, as the input takes them."""
    try:
        arrays = [np.array(value, dtype=rule.dtype) for value in values]
    except ValueError:
        raise DoubtfulError from None
    if not all(rule.fits(array.shape) for array in arrays):
        raise DoubtfulError
    return rule.pack(arrays)


def _count_colons(names: Iterable[str]) -> int:
    """The colons that members of these names bring, outside their values."""
    return sum(1 + name.count(":") for name in names)


def _build_decoder(
    rules: Sequence[Rule | TensorRule], ignored: Sequence[str]
) -> Callable[[bytes], Any] | None:
    names = [rule.column.name for rule in rules] + list(ignored)
    fields: list[Any] = [(f"c{position}", _field_type(rule)) for position, rule in enumerate(rules)]
    # Raw skips the value without building it.
    fields += [(f"c{position}", msgspec.Raw, None) for position in range(len(rules), len(names))]
    try:
        row = msgspec.defstruct(
            "Row",
            fields,
            rename={f"c{position}": name for position, name in enumerate(names)},
            forbid_unknown_fields=True,
            gc=False,
        )
    except ValueError:
        # A field cannot be renamed to what JSON would have to escape.
        return None
    body = msgspec.defstruct("Body", [("rows", list[row])], forbid_unknown_fields=True)  # type: ignore[valid-type]  # made above
    return msgspec.json.Decoder(body).decode


def _field_type(rule: Rule | TensorRule) -> Any:
    """The type of the values that are certainly good for a column."""
    if isinstance(rule, TensorRule):
        nested = _field_type(rule.element)
        for _ in rule.shape:
            nested = list[nested]  # type: ignore[valid-type]  # a type made here, for msgspec
        return nested
    kind = rule.column.type
    one_of: Any = Literal
    accepted: list[Any] = [None] if rule.nullable else []
    if kind == "string":
        if rule.closed is not None and rule.column.categories is not None:
            accepted.append(one_of[rule.column.categories.values])
        else:
            accepted.append(str)
    elif kind == "boolean":
        accepted.append(bool)
    elif rule.column.input == "integer":
        accepted.append(Annotated[int, msgspec.Meta(ge=int(rule.low), le=int(rule.high))])
    elif kind == "integer":
        # The integer 2**53 + 1 is read as the float 2**53, so that float is not certainly good.
        low, high = max(rule.low, 1 - FLOAT_EXACT), min(rule.high, FLOAT_EXACT - 1)
        exact = msgspec.Meta(ge=float(low), le=float(high), multiple_of=1)
        accepted.append(Annotated[float, exact])
    else:
        low, high = max(rule.low, -FLOAT64_MAX), min(rule.high, FLOAT64_MAX)
        accepted.append(Annotated[float, msgspec.Meta(ge=low, le=high)])
        # numpy reads these as Python does.
        spelled = (
            ["NaN"] * rule.nullable + ["Infinity"] * (rule.high > high) + ["-Infinity"] * (rule.low < low)
        )
        if spelled:
            accepted.append(one_of[tuple(spelled)])
    union = accepted[0]
    for member in accepted[1:]:
        union = union | member
    return union
