"""What `schema.json` says: the columns people send, and the answers they get."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec
import numpy as np

LogicalType = Literal["float", "integer", "boolean", "string"]
ColumnType = LogicalType | Literal["any"]
"""`any` only for a column that the model never reads and that is of none of the logical types."""
InputName = Literal["number", "text", "integer"]
"""The inputs that many columns share."""
Scalar = str | int | float | bool
TokenPattern = Literal[r"\b\w\w+\b", r"\b\w+\b", r"\S+"]
"""The words of a text: runs of at least two, or of at least one, of the characters of words; or of any but spaces."""

Packed = dict[str, np.ndarray[Any, Any]]
"""Input name to array: `number` float64 `[N, a]`, `text` object of str `[N, b]`, `integer` int64 `[N, c]`.

An input without columns is absent. A missing number is NaN, a missing string `encode_text(None)`; booleans
are 0.0 and 1.0. The input of a tensor column is an array `[N, *shape]` of its element type or, where a size is
open, a 1-D object array `[N]` of such arrays `[*sizes]`, since the sizes of the rows may differ.
"""

DTYPES: dict[str, Any] = {"number": np.float64, "text": object, "integer": np.int64}
"""The dtype of each packed input."""

TENSOR_DTYPES: dict[ColumnType, Any] = {
    "float": np.float64,
    "integer": np.int64,
    "boolean": np.bool_,
    "string": object,
}
"""The dtype of the input of a tensor column, by the type of its elements."""

TENSOR_INPUT = "tensor_{}"
"""What the input of the n-th tensor column is called, counted from 0."""

MISSING_TEXT = "\x1a"
"""How a missing string stands in a `text` input: U+001A SUBSTITUTE alone.

A string that itself begins with U+001A is written with one more in front, so no two values share a
spelling: `encode_text` is injective, and `decode_text(encode_text(s)) == s` for every string or None.
"""

FLOAT_EXACT = 2**53
"""Integers up to this magnitude are exact in float64; columns beyond it travel in the `integer` input."""


def encode_text(value: str | None) -> str:
    """The spelling of a string, or of a missing one, in a `text` input."""
    if value is None:
        return MISSING_TEXT
    return MISSING_TEXT + value if value[:1] == MISSING_TEXT else value


def decode_text(value: str) -> str | None:
    """The inverse of `encode_text`."""
    if value[:1] != MISSING_TEXT:
        return value
    return value[1:] or None


class Categories(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The values the model learned for a column, in the order it learned them.

    `open`: the model has an answer for values outside them. Where it is False, such a value is an error.
    """

    values: tuple[Scalar, ...]
    open: bool


class Bounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The numbers the model has an answer for, as in JSON Schema; a value outside is an error.

    None where there is no such bound. A missing value, where the column is nullable, is no number and lies
    within any bounds. Since format 2.
    """

    minimum: float | None = None
    exclusive_minimum: float | None = None
    maximum: float | None = None
    exclusive_maximum: float | None = None

    @property
    def lowest(self) -> float:
        """The smallest float64 that lies within; `-inf` where there is no lower bound."""
        least = -math.inf if self.minimum is None else self.minimum
        if self.exclusive_minimum is None:
            return least
        return max(least, math.nextafter(self.exclusive_minimum, math.inf))

    @property
    def highest(self) -> float:
        """The largest float64 that lies within; `inf` where there is no upper bound."""
        most = math.inf if self.maximum is None else self.maximum
        if self.exclusive_maximum is None:
            return most
        return min(most, math.nextafter(self.exclusive_maximum, -math.inf))

    def admit(self, value: float) -> bool:
        """Whether the number lies within; NaN does not."""
        return self.lowest <= value <= self.highest

    def meet(self, other: Bounds) -> Bounds:
        """The bounds of the numbers that lie within both. Commutative, associative and idempotent."""
        low = self if self.lowest >= other.lowest else other
        high = self if self.highest <= other.highest else other
        return Bounds(
            minimum=low.minimum,
            exclusive_minimum=low.exclusive_minimum,
            maximum=high.maximum,
            exclusive_maximum=high.exclusive_maximum,
        )

    def in_words(self) -> str:
        """What a number must be, such as `greater than 0 and at most 1`."""
        stated = (
            ("at least", self.minimum),
            ("greater than", self.exclusive_minimum),
            ("at most", self.maximum),
            ("less than", self.exclusive_maximum),
        )
        return " and ".join(
            f"{word} {int(bound) if bound.is_integer() and abs(bound) < FLOAT_EXACT else bound}"
            for word, bound in ((word, float(bound)) for word, bound in stated if bound is not None)
        )


class Hashing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Terms are told apart by their MurmurHash3 alone: each belongs to one of `features` columns.

    `signed`: a term whose hash is negative counts as -1.
    """

    features: int
    signed: bool


class Analyzer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the text of a column is cut into terms, which reach the graph with their counts. Since format 2.

    `kind`: n-grams of words, of characters, or of characters within words (`char_wb`). `unicode`: the version of
    Unicode whose tables say what a word and a lower case are. `input`: the number of the graph's inputs,
    `terms0` and `counts0` for 0; `columns0` and `counts0` where there is `hashing`. `matrix_width`: how wide the
    widest matrix is that the graph makes of the terms, 0 if it makes none; who runs the graph on few enough
    rows at a time bounds its memory by it.
    """

    kind: Literal["word", "char", "char_wb"]
    lowercase: bool
    strip_accents: Literal["ascii", "unicode"] | None
    token_pattern: TokenPattern | None
    stop_words: tuple[str, ...] | None
    ngram_range: tuple[int, int]
    hashing: Hashing | None
    unicode: str
    input: int
    matrix_width: int

    @property
    def inputs(self) -> tuple[str, str]:
        """The names of its two inputs of the graph."""
        terms = "terms" if self.hashing is None else "columns"
        return f"{terms}{self.input}", f"counts{self.input}"


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One raw column.

    `nullable`: the model has an answer where the value is missing. `range`: the smallest and largest value
    seen while saving (None for text, booleans and columns with no value). `input` and `position`: where the
    value sits among the packed inputs of the graph; both None for a column the model never reads, which
    people may send or leave out.

    `shape`: of a tensor column the sizes of one row's value, -1 where open (at least 1 then); `type`, `range`
    and `bounds` are those of its elements, none of which may be missing. It has an input of its own, at
    position 0. None for other columns. Since format 2.
    """

    name: str
    type: ColumnType
    nullable: bool
    input: str | None
    position: int | None
    categories: Categories | None = None
    range: tuple[float | str, float | str] | None = None
    example: Scalar | None = None
    bounds: Bounds | None = None
    analyzers: tuple[Analyzer, ...] | None = None
    shape: tuple[int, ...] | None = None


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One output of the graph.

    `name` is `prediction`, `probabilities`, `scores` or `transformed`. `shape` counts rows as -1.
    `classes` are the labels, in the order of the columns of `probabilities`. `columns` name the
    columns of `transformed`, where the transformer knows them.
    """

    name: str
    type: LogicalType
    shape: tuple[int, ...]
    classes: tuple[Scalar, ...] | None = None
    columns: tuple[str, ...] | None = None


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The columns in the order of `X`, and the outputs in the order of the graph."""

    columns: tuple[Column, ...]
    outputs: tuple[Output, ...]

    def column(self, name: str) -> Column:
        """The column called `name`; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def inputs(self) -> tuple[str, ...]:
        """The names of the graph's inputs: those that many columns share, then those of tensor columns."""
        tensors = [column.input for column in self.columns if column.shape is not None and column.input]
        shared = [name for name in DTYPES if self.packed(name)]
        return (*shared, *sorted(tensors, key=lambda name: (len(name), name)))

    def packed(self, name: str) -> tuple[Column, ...]:
        """The columns of one packed input, by position."""
        found = [column for column in self.columns if column.input == name]
        return tuple(sorted(found, key=lambda column: column.position or 0))

    @property
    def analyzed(self) -> tuple[tuple[Column, Analyzer], ...]:
        """Every analyzer with its column, by the number of its inputs."""
        found = [(column, analyzer) for column in self.columns for analyzer in column.analyzers or ()]
        return tuple(sorted(found, key=lambda pair: pair[1].input))

    def output(self, name: str) -> Output | None:
        """The output called `name`, or None."""
        return next((output for output in self.outputs if output.name == name), None)
