"""MLflow's scoring server, whose `/invocations` and `/ping` are SageMaker's too."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from afterfit._version import __version__
from afterfit.errors import SchemaError
from afterfit.serving._body import CONTENT_TYPE
from afterfit.serving._data_plane import INLINE_BODY
from afterfit.serving._exchange import JSON, NOSNIFF, HttpError, Problem, Response, Route
from afterfit.serving.contracts._files import CSV, FileReader, media_type
from afterfit.serving.contracts._rows import (
    TableReader,
    encode,
    get,
    listed,
    mistake,
    parsed,
    predictions_writer,
    problem_of_rows,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from afterfit.schema import Packed
    from afterfit.serving._data_plane import DataPlane, ServedModel
    from afterfit.serving._exchange import Handler

_BODIES = frozenset({b"application/json", CSV})
_TEXT = [(b"content-type", b"text/plain; charset=utf-8"), NOSNIFF]
_ERROR_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "ENDPOINT_NOT_FOUND",
    408: "TEMPORARILY_UNAVAILABLE",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
}
_PATHS = {"/invocations", "/ping", "/version", "/health"}


class MlflowContract:
    """`/invocations` for the only model that is served; `/ping`, `/health` and `/version`."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def routes(self) -> Sequence[Route]:
        """`/ping` and `/health` answer as long as there is a model."""
        served = list(self._plane.models.values())
        routes = [get("/version", Response(__version__.encode(), headers=_TEXT))]
        if served:
            routes += [get(path, Response(b"\n", headers=_TEXT), "public") for path in ("/ping", "/health")]
        if len(served) == 1:
            routes.append(Route("/invocations", "POST", self._invoke(served[0]), _BODIES))
        return routes

    def missing(self, path: str) -> Problem | None:
        """`/invocations` where it would have to choose a model; `/ping` where there is none."""
        if path not in _PATHS:
            return None
        count = len(self._plane.models)
        if not count:
            return Problem(503, "no-model", "No model is served.")
        return Problem(
            404, "which-model", f"This server has {count} models; post to /models/NAME/predict of one."
        )

    def refuse(self, problem: Problem) -> Response:
        """`{"error_code": ..., "message": ...}`, with the mistakes listed in it and as `errors`."""
        content = {"error_code": _error_code(problem.status), "message": told(problem), **listed(problem)}
        status = 400 if problem.status == 422 else problem.status
        return Response(encode(content), status, [JSON, NOSNIFF, *problem.headers])

    def _invoke(self, served: ServedModel) -> Handler:
        plane = self._plane
        tables = TableReader(served, plane.limits.max_rows)
        files = FileReader(plane, served)

        async def invoke(body: bytes, headers: Mapping[bytes, bytes]) -> bytes | Response:
            beside = len(body) > INLINE_BODY
            decode: Callable[[], Packed]
            if media_type(headers.get(CONTENT_TYPE)) == CSV:
                decode = await files.decoder(body, headers)
                write, beside = predictions_writer(served, None), files.is_long(body, headers)
            else:
                sent = await parsed(plane, body)
                decode = partial(read_form, tables, sent)
                write = predictions_writer(served, sent.get("params"))
            try:
                return await plane.answer(served, decode, write, beside=beside)
            except SchemaError as error:
                return self.refuse(problem_of_rows(served, error))

        return invoke


def read_form(tables: TableReader, sent: dict[str, Any]) -> Packed:
    """The rows of one of MLflow's four forms of JSON. Raises HttpError where there is not exactly one."""
    forms = [name for name in _FORMS if name in sent]
    if len(forms) != 1:
        raise HttpError(
            400,
            "which-form",
            f"The body has {len(forms)} of the keys {', '.join(_FORMS)}; send exactly one of them.",
        )
    return _FORMS[forms[0]](tables, sent[forms[0]])


def _read_split(tables: TableReader, split: object) -> Packed:
    wanted = '{"columns": [name, ...], "data": [[value, ...], ...]}'
    if not isinstance(split, dict) or not isinstance(split.get("data"), list):
        raise mistake(wanted, "something else", "put the rows under data")
    names = split.get("columns", [column.name for column in tables.columns])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise mistake("columns as a list of names", "something else", f"send {wanted}")
    return tables.read_lists(names, split["data"])


def _read_records(tables: TableReader, records: object) -> Packed:
    if not isinstance(records, list):
        raise mistake("a list of objects", "something else", "send [{...}], even for one row")
    return tables.read_objects(records)


def _read_inputs(tables: TableReader, inputs: object) -> Packed:
    """A list as `instances` has it, or an object of lists by column."""
    if not isinstance(inputs, dict):
        return tables.read_instances(inputs)
    lengths = {len(values) if isinstance(values, list) else -1 for values in inputs.values()}
    if len(lengths) != 1 or -1 in lengths:
        raise mistake(
            "a list of values for each column, all of one length", "something else", "send {name: [...]}"
        )
    return tables.read_columns({name: _flat(values) for name, values in inputs.items()})


def _flat(values: list[Any]) -> list[Any]:
    """Values that may come as lists of one, as a column of a matrix does."""
    if all(isinstance(value, list) and len(value) == 1 for value in values):
        return [value[0] for value in values]
    return values


_FORMS: dict[str, Callable[[TableReader, Any], Packed]] = {
    "dataframe_split": _read_split,
    "dataframe_records": _read_records,
    "instances": lambda tables, rows: tables.read_instances(rows),
    "inputs": _read_inputs,
}


def _error_code(status: int) -> str:
    code = _ERROR_CODES.get(status)
    if code is None:
        code = "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR"
    return code
