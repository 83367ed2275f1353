"""What contracts of JSON share: reading rows of objects or lists, naming mistakes, writing answers."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import msgspec

from afterfit.errors import CellError, SchemaError, TooManyRowsError
from afterfit.runtime import decoded_texts
from afterfit.schema import TablePacker
from afterfit.serving._data_plane import INLINE_BODY
from afterfit.serving._exchange import HttpError, Problem, Response, Route, error_list, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from afterfit.runtime import Model
    from afterfit.schema import Column, Output, Packed
    from afterfit.serving._batching import Batch, Ticket
    from afterfit.serving._data_plane import DataPlane, ServedModel
    from afterfit.serving._exchange import Access

JSON_BODY = frozenset({b"application/json"})

MAX_EXTRA_COLUMNS = 1_000
"""Columns that a table may have beside those of the model."""

_DEFAULT_HEADERS = Response(b"").headers

encode = msgspec.json.Encoder().encode


class TableReader:
    """Reads tables that are no list of objects for one model; the validator is the schema's."""

    def __init__(self, served: ServedModel, max_rows: int) -> None:
        self.served = served
        self.max_rows = max_rows
        self.columns: tuple[Column, ...] = served.model.schema.columns
        self.width = len(self.columns)
        self._packer = TablePacker(served.model.schema)

    def read_columns(self, columns: Mapping[str, np.ndarray[Any, Any] | list[Any]]) -> Packed:
        """A table given by its columns, those that the model does not know ignored. Raises SchemaError."""
        rows = len(next(iter(columns.values()), ()))
        self.check_size(rows, len(columns))
        if any(column.shape is not None for column in self.columns):
            # What lies within such a value is read as in a row.
            known = {column.name: columns[column.name] for column in self.columns if column.name in columns}
            return self.read_objects([{name: known[name][row] for name in known} for row in range(rows)])
        return self.served.admit(self._packer.pack_columns(columns))

    def read_objects(self, rows: Sequence[Any]) -> Packed:
        """Rows as objects: every name must be known, and every column that the model reads be there."""
        self.check_size(len(rows), 0)
        return self.served.admit(self.served.model.decoder.decode_rows(rows))

    def read_instances(self, instances: object) -> Packed:
        """Rows as objects, as lists in the order of the columns, or as bare values of the only column."""
        if not isinstance(instances, list):
            raise mistake("a list of rows", "something else", "send [row, ...], even for one row")
        self.check_size(len(instances), 0)
        if any(isinstance(row, dict) for row in instances):
            return self.read_objects(instances)
        if self.width == 1 and not all(isinstance(row, list) for row in instances):
            return self.read_lists([self.columns[0].name], [[value] for value in instances])
        return self.read_lists([column.name for column in self.columns], instances)

    def read_lists(self, names: Sequence[str], rows: Sequence[object]) -> Packed:
        """Rows as lists of the values of the named columns. Raises SchemaError."""
        self.check_size(len(rows), len(names))
        errors = [
            CellError(
                number,
                None,
                f"a list of {len(names)} values",
                f"{len(row)} values" if isinstance(row, list) else "no list",
                f"send the values of {_listed(names)}, in this order",
            )
            for number, row in enumerate(rows)
            if not isinstance(row, list) or len(row) != len(names)
        ]
        if errors:
            raise SchemaError(errors[:1000], truncated=len(errors) > 1000)
        if len(set(names)) < len(names):
            raise mistake("each column once", "a column again", "name each column once")
        lists: list[list[Any]] = [row for row in rows if isinstance(row, list)]
        return self.read_columns({name: [row[place] for row in lists] for place, name in enumerate(names)})

    def check_size(self, rows: int, columns: int) -> None:
        """Refuse what is too long or too wide before anything is made of it, and what has no rows."""
        if rows > self.max_rows:
            expected, got = f"at most {self.max_rows:,} rows", f"{rows:,} rows"
            raise TooManyRowsError([CellError(None, None, expected, got, "send them in several requests")])
        if columns > self.width + MAX_EXTRA_COLUMNS:
            raise mistake(f"the {self.width} columns of the model", f"{columns:,} columns", "leave them out")
        if not rows:
            raise mistake("at least one row", "no rows", "send one row at least")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:20])
    return shown if len(names) <= 20 else f"{shown}, ... ({len(names)} in all)"


def mistake(expected: str, got: str, fix: str, *, column: str | None = None) -> SchemaError:
    """A mistake that is in no row."""
    return SchemaError([CellError(None, column, expected, got, fix)])


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; the words NaN and Infinity, which many clients write, are taken for numbers.

    Raises HttpError where there is none, or an object in it has a key twice.
    """
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        raise HttpError(400, "not-json", "The body is JSON nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = _parse_leniently(body)
    else:
        if _may_repeat_a_key(body, value):
            # It is read again only to be sure, and to be refused if so.
            _parse_leniently(body)
    if not isinstance(value, dict):
        raise HttpError(400, "not-an-object", "The body is no JSON object; send {...}.")
    return value


def _parse_leniently(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), object_pairs_hook=_object_of_pairs)
    except RecursionError:
        reason = "it is nested too deeply"
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8 at byte {error.start}"
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos}"
    except ValueError:
        reason = "a number in it has too many digits"
    raise HttpError(400, "not-json", f"The body is not JSON: {reason}.")


def _object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise HttpError(
            400,
            "repeated-key",
            "An object in the body has a key twice, which could mean either; send each once.",
        )
    return found


def _may_repeat_a_key(body: bytes, value: object) -> bool:
    """Whether an object in `body` may have a key twice, of which `value`, what was read of it, has the last.

    Each pair has one colon, so where the pairs of the value are as many as the colons of the body none was lost.
    Colons in texts are counted only where that is not so, and nothing is said where escapes may stand for some.
    """
    left = body.count(b":")
    in_texts = 0
    level: list[Any] = [value]
    while left and level:
        nested: list[Any] = []
        for one in level:
            kind = type(one)
            if kind is dict:
                left -= len(one)
                nested += one.values()
            elif kind is list:
                nested += one
            elif kind is str and ":" in one:
                in_texts += one.count(":")
        level = nested
    if not left:
        return False
    return b"\\" in body or (left != in_texts and left != in_texts + _colons_in_keys(value))


def _colons_in_keys(value: object) -> int:
    colons = 0
    level: list[Any] = [value]
    while level:
        nested: list[Any] = []
        for one in level:
            if type(one) is dict:
                colons += sum(key.count(":") for key in one)
                nested += one.values()
            elif type(one) is list:
                nested += one
        level = nested
    return colons


async def parsed(plane: DataPlane, body: bytes) -> dict[str, Any]:
    """`parse_object`, in a thread where the body is long."""
    if len(body) <= INLINE_BODY:
        return parse_object(body)
    return await plane.in_thread(lambda: parse_object(body))


def problem_of_rows(served: ServedModel, error: SchemaError) -> Problem:
    """413 where there are too many rows, 422 with every mistake otherwise."""
    if isinstance(error, TooManyRowsError):
        first = error.errors[0]
        return Problem(
            413, "too-many-rows", f"The body has {first.got}, and {first.expected} are taken; {first.fix}."
        )
    count = len(error.errors)
    return Problem(
        422,
        "invalid-rows",
        f"The rows do not fit the schema: {count}{' or more' if error.truncated else ''} "
        f"mistake{'s' if count != 1 else ''}, each listed in errors.",
        errors=tuple(served.explain_invalid(error)),
        truncated=error.truncated,
    )


def told(problem: Problem) -> str:
    """A problem in one text, each mistake on a line."""
    lines = [problem.detail.replace(", each listed in errors.", ":"), *map(str, problem.errors or ())]
    return printable("\n".join(lines))


def listed(problem: Problem) -> dict[str, object]:
    """The members that hold the mistakes of a problem, if there are any."""
    if problem.errors is None:
        return {}
    mistakes: dict[str, object] = {"errors": error_list(problem.errors)}
    return mistakes | ({"truncated": True} if problem.truncated else {})


def answer_rows(output: Output, batch: Batch, ticket: Ticket) -> list[Any]:
    """The rows of a ticket of one output as JSON values; numbers JSON lacks are spelled, missing texts null."""
    return spelled(answer_array(output, batch, ticket).tolist())  # type: ignore[no-any-return]  # a list of rows


def answer_array(output: Output, batch: Batch, ticket: Ticket) -> np.ndarray[Any, Any]:
    """The rows of a ticket of one output; texts of a table are decoded, None where missing."""
    return readable(output, batch.arrays[output.name][ticket.start : ticket.stop])


def readable(output: Output, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An output as people read it: the missing texts of a transformed table are None."""
    if output.type == "string" and output.name == "transformed":
        return decoded_texts(array)
    return array


def spelled(value: Any) -> Any:
    """Values with the numbers that JSON lacks as the strings that rows spell them with."""
    if isinstance(value, list):
        return [spelled(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def main_output(model: Model) -> Output:
    """What `predict` answers: predictions, or the transformed table."""
    name = "transformed" if model.task == "transformation" else "prediction"
    return next(output for output in model.schema.outputs if output.name == name)


def predictions_writer(served: ServedModel, parameters: object) -> Callable[[Batch, Ticket], bytes]:
    """Writes `{"predictions": [...]}`; the parameter `output` names another output than the predictions.

    Raises HttpError where the model has no such output.
    """
    model = served.model
    output = main_output(model)
    asked = parameters.get("output") if isinstance(parameters, dict) else None
    if asked is not None:
        names = [one.name for one in model.schema.outputs]
        if asked not in names:
            raise HttpError(
                400, "unknown-output", f"The model has no output of this name; it has {', '.join(names)}."
            )
        output = model.schema.outputs[names.index(asked)]

    def write(batch: Batch, ticket: Ticket) -> bytes:
        return b'{"predictions":%b}' % encode(answer_rows(output, batch, ticket))

    return write


def get(path: str, response: Response, access: Access = "predict") -> Route:
    """A route that always answers the same, which is for whoever asked and for no cache between."""
    if response.headers is _DEFAULT_HEADERS:
        response = response._replace(headers=(*_DEFAULT_HEADERS, (b"cache-control", b"no-store")))

    async def respond(body: bytes, headers: Mapping[bytes, bytes]) -> Response:  # noqa: ARG001 - a handler takes them
        return response

    return Route(path, "GET", respond, access=access)
