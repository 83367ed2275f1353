"""Rows to packed inputs: requests and lists of dicts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from afterfit.errors import CellError, SchemaError, TooManyRowsError
from afterfit.schema._fast import DoubtfulError, Reader, UnpackedRows, build_reader
from afterfit.schema._mistakes import (
    BareWord,
    MisfitError,
    Mistakes,
    Suggestions,
    clip,
    name_list,
    nearest,
    show,
)
from afterfit.schema._tensor_rule import TensorRule, rule_of
from afterfit.schema._types import DTYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterfit.schema._types import Packed, Schema

BODY: Final = 'an object {"rows": [{"column": value, ...}, ...]}'

_DOUBTS: Final = (DoubtfulError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the fast way raises where a body is not certainly good."""

_LONGEST_NUMBER: Final = 1_000
"""Digits of the longest integer read from JSON; none that a column accepts has more than 309."""


class RowDecoder:
    """Reads rows that people send against one schema. Thread-safe; build it once and keep it."""

    def __init__(self, schema: Schema) -> None:
        self._names = [column.name for column in schema.columns if column.input is not None]
        self._ignored = frozenset(column.name for column in schema.columns if column.input is None)
        self._known = frozenset(column.name for column in schema.columns)
        self._rules = {column.name: rule_of(column) for column in schema.columns if column.input is not None}
        self._inputs = {
            name: [self._rules[column.name] for column in schema.packed(name)] for name in schema.inputs()
        }
        self._order = [rule for rules in self._inputs.values() for rule in rules]
        self._fast: Reader | None = None
        self._fast_built = False

    def decode_json(self, body: bytes, *, max_rows: int | None = None) -> Packed:
        """Pack the rows of a request body `{"rows": [{"column": value, ...}, ...]}`.

        Raises `SchemaError` with every mistake (up to 1,000), whatever the bytes are.
        """
        fast = self._fast_reader()
        if fast is not None:
            try:
                return fast(body, max_rows)
            except _DOUBTS:
                pass
        return self._decode_slowly(_find_rows(_parse(body)), max_rows)

    def read_json(self, body: bytes, *, max_rows: int | None = None) -> Packed | UnpackedRows:
        """What `decode_json` answers, or the same rows to be packed with those of other requests (`join_rows`).

        Raises `SchemaError` where `decode_json` does.
        """
        fast = self._fast_reader()
        if fast is not None:
            try:
                return fast.read(body, max_rows)
            except _DOUBTS:
                pass
        return self._decode_slowly(_find_rows(_parse(body)), max_rows)

    def _fast_reader(self) -> Reader | None:
        if not self._fast_built:
            self._fast = build_reader(self._inputs, sorted(self._ignored))
            self._fast_built = True
        return self._fast

    def decode_rows(self, rows: Sequence[Mapping[str, object]]) -> Packed:
        """Pack rows held as mappings, whose values may be numpy scalars.

        Strict: a key the schema does not know is a mistake, and so is an absent column, though it may be
        null. Columns the model never reads may be there or not. Raises `SchemaError` with every mistake (up
        to 1,000).
        """
        return self._decode_slowly(rows, None)

    def _decode_slowly(self, rows: Sequence[object], max_rows: int | None) -> Packed:
        if not rows:
            raise _body_error("at least one row", "no rows", "send one object for each row")
        if max_rows is not None and len(rows) > max_rows:
            raise TooManyRowsError(
                [
                    _body_cell(
                        f"at most {max_rows:,} rows", f"{len(rows):,} rows", "send them in several requests"
                    )
                ]
            )
        try:
            return self._pack(rows)
        except (MisfitError, LookupError, TypeError):
            mistakes = Mistakes()
            for number, row in enumerate(rows):
                self._explain(number, row, mistakes)
                if mistakes.truncated:
                    break
            mistakes.raise_any()
            raise

    def _pack(self, rows: Sequence[Any]) -> Packed:
        """Pack rows that are all good; raise anything else at the first one that is not."""
        readers = [(rule.column.name, rule.read) for rule in self._order]
        table = []
        for row in rows:
            values = [read(row[name]) for name, read in readers]
            if len(row) != len(values) and not self._known.issuperset(row):
                raise LookupError
            if getattr(row, "repeated", None):
                raise LookupError
            table.append(values)
        packed: Packed = {}
        start = 0
        for name, rules in self._inputs.items():
            stop = start + len(rules)
            tensor = rules[0]
            if isinstance(tensor, TensorRule):
                packed[name] = tensor.pack([values[start] for values in table])
            else:
                packed[name] = np.array([values[start:stop] for values in table], dtype=DTYPES[name])
            start = stop
        return packed

    def _explain(self, number: int, row: object, mistakes: Mistakes) -> None:
        """Add every mistake of one row."""
        if not isinstance(row, Mapping):
            mistakes.add(
                CellError(number, None, "an object of column names and values", show(row), "send {...}")
            )
            return
        unknown = [key for key in row if key not in self._known]
        absent = [name for name in self._names if name not in row]
        strange = [key for key in unknown if isinstance(key, str)]
        renamed = _match_names(strange, absent, mistakes.suggestions)
        left = [name for name in absent if name not in renamed.values()]
        for name in self._names:
            if name in row:
                self._explain_value(number, name, row[name], mistakes)
            elif name in left:
                rule = self._rules[name]
                fix = "send null where it is missing" if rule.nullable else "send it"
                mistakes.add(CellError(number, name, rule.expected, "nothing", fix))
        for key in unknown:
            shown = clip(key if isinstance(key, str) else show(key), 200)
            near = renamed.get(key) if isinstance(key, str) else None
            fix = f"did you mean {near!r}?" if near is not None else "leave it out"
            if near is None and left:
                fix = f"leave it out, or name one of {name_list(left)}"
            mistakes.add(CellError(number, shown, "a column of the model", "an unknown column", fix))
            if near is not None:
                self._explain_value(number, near, row[key], mistakes)
        for key in getattr(row, "repeated", ()):
            mistakes.add(
                CellError(number, clip(key, 200), "each column once", "the column again", "send one value")
            )

    def _explain_value(self, number: int, name: str, value: object, mistakes: Mistakes) -> None:
        rule = self._rules[name]
        if isinstance(rule, TensorRule):
            for misfit in rule.explain(value):
                mistakes.add(misfit.at(number, name, mistakes.suggestions))
            return
        try:
            rule.read(value)
        except MisfitError as misfit:
            mistakes.add(misfit.at(number, name, mistakes.suggestions))


def _match_names(unknown: Sequence[str], absent: Sequence[str], suggestions: Suggestions) -> dict[str, str]:
    """Unknown names, each with the absent column it probably means; no column twice."""
    left = list(absent)
    matched: dict[str, str] = {}
    for key in unknown:
        near = suggestions.find_name(key, left) if left else None
        if near is not None:
            matched[key] = near
            left.remove(near)
    return matched


class _Object(dict[str, Any]):
    """A JSON object; `repeated` are the keys that came more than once."""

    repeated: tuple[str, ...] = ()


def _build_object(pairs: list[tuple[str, Any]]) -> _Object:
    result = _Object(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        repeated = [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
        result.repeated = tuple(dict.fromkeys(repeated))
    return result


def _read_float(text: str) -> float | BareWord:
    value = float(text)
    return value if math.isfinite(value) else BareWord(text)


def _read_integer(text: str) -> int | BareWord:
    return int(text) if len(text) <= _LONGEST_NUMBER else BareWord(text)


def _parse(body: bytes) -> object:
    """The JSON value of a body; words JSON does not know are kept as `BareWord`, so that they get a place."""
    try:
        text = bytes(body).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _body_error(
            f"{BODY} in UTF-8",
            f"bytes that are not UTF-8 (at byte {error.start})",
            "encode the body as UTF-8",
        ) from None
    if not text.strip():
        raise _body_error(BODY, "an empty body", "send the rows as JSON")
    try:
        return json.loads(
            text,
            object_pairs_hook=_build_object,
            parse_float=_read_float,
            parse_int=_read_integer,
            parse_constant=BareWord,
        )
    except json.JSONDecodeError as error:
        raise _body_error(
            BODY, f"text that is not JSON ({error.msg} at character {error.pos})", "send valid JSON"
        ) from None
    except RecursionError:
        raise _body_error(BODY, "JSON nested too deeply", "send flat rows") from None


def _find_rows(value: object) -> list[object]:
    """The list of rows in a parsed body."""
    if not isinstance(value, _Object):
        fix = 'put the rows under the key "rows"'
        raise _body_error(BODY, show(value), fix)
    errors = []
    extra = [key for key in value if key != "rows"]
    if "rows" not in value:
        near = nearest("rows", extra[:100])
        fix = "add it" if near is None else f"rename {show(near)} to 'rows'"
        errors.append(_body_cell('the key "rows"', "none", fix))
        extra = [key for key in extra if key != near]
    elif not isinstance(value["rows"], list):
        errors.append(_body_cell('a list under "rows"', show(value["rows"]), "send [{...}] even for one row"))
    errors += [_body_cell('no key but "rows"', clip(repr(key[:100])), "leave it out") for key in extra[:100]]
    errors += [
        _body_cell("each key once", f"{clip(repr(key[:100]))} again", "send it once")
        for key in value.repeated
    ]
    if errors:
        raise SchemaError(errors, truncated=len(extra) > 100)
    rows: list[object] = value["rows"]
    return rows


def _body_cell(expected: str, got: str, fix: str) -> CellError:
    return CellError(None, None, expected, got, fix)


def _body_error(expected: str, got: str, fix: str) -> SchemaError:
    return SchemaError([_body_cell(expected, got, fix)])
