"""The native contract: rows as JSON objects, answers as plain lists, every mistake at once."""

from __future__ import annotations

import difflib
import math
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
import numpy as np

from afterfit.errors import SchemaError, TooManyRowsError
from afterfit.serving._body import CONTENT_TYPE
from afterfit.serving._data_plane import INLINE_BODY, row_count
from afterfit.serving._exchange import HttpError, Problem, Response, Route, error_list, problem_response
from afterfit.serving.contracts._files import FILE_BODIES, FileReader, media_type, wanted_file
from afterfit.serving.contracts._openapi import example_row, openapi
from afterfit.serving.contracts._openapi_keys import describe_keys
from afterfit.serving.contracts._pages import page_routes
from afterfit.serving.contracts._rows import JSON_BODY, encode, get, problem_of_rows, readable, spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from afterfit.runtime import Model
    from afterfit.schema import Packed, UnpackedRows
    from afterfit.serving._batching import Batch, Ticket
    from afterfit.serving._data_plane import DataPlane, ServedModel
    from afterfit.serving._exchange import Handler

_BODIES = JSON_BODY | FILE_BODIES
_PLAIN = frozenset({b"application/json", None})
_ANY = frozenset({b"*/*", b"application/json", None})

ACCEPT = b"accept"
TIMEOUT = b"x-request-timeout"
"""Seconds within which the model's turn must have come; the request is refused otherwise."""

_encode_lines = msgspec.json.Encoder().encode_lines


class NativeContract:
    """Speaks for every model of a data plane."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def routes(self) -> Sequence[Route]:
        """`/predict` where there is one model, `/models/{name}/predict` for each, and what describes them."""
        served = self._plane.models
        routes = [
            get("/health/live", Response(encode({"status": "live"})), "public"),
            get("/health/ready", Response(encode({"status": "ready"})), "public"),
            get("/models", Response(encode({"models": [_summary(one.model) for one in served.values()]}))),
            get(
                "/openapi.json",
                Response(encode(describe_keys(openapi([one.model for one in served.values()])))),
            ),
        ]
        routes += page_routes()
        for name, versions in self._plane.versions.items():
            for version, one in versions.items():
                routes += self._model_routes(f"/models/{name}/versions/{version}", one)
            routes += self._model_routes(f"/models/{name}", served[name])
        if len(served) == 1:
            routes += self._answering_routes("", next(iter(served.values())))
        return routes

    def _model_routes(self, path: str, served: ServedModel) -> list[Route]:
        return [
            get(path, Response(encode(self._description(served.model)))),
            *self._answering_routes(path, served),
        ]

    def _answering_routes(self, path: str, served: ServedModel) -> list[Route]:
        return [
            Route(f"{path}/predict", "POST", self._predict(served), _BODIES),
            Route(f"{path}/check", "POST", self._check(served), _BODIES),
        ]

    def missing(self, path: str) -> Problem | None:
        """A model that is not served, or `/predict` where it would have to choose."""
        names = list(self._plane.models)
        if path in {"/predict", "/check"}:
            paths = ", ".join(f"/models/{name}{path}" for name in names[:10])
            return Problem(
                404, "which-model", f"This server has {len(names)} models; post to one of {paths}."
            )
        if not path.startswith("/models/"):
            return None
        asked = path.removeprefix("/models/").removesuffix("/predict").removesuffix("/check")
        if asked in self._plane.models:
            return None
        name, _, version = asked.partition("/versions/")
        if name in self._plane.models:
            served_versions = ", ".join(self._plane.versions[name])
            return Problem(
                404,
                "unknown-version",
                f"Of {name!r} this server has {served_versions}, not {version[:100]!r}.",
            )
        near = difflib.get_close_matches(asked[:200], names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(map(repr, names[:10]))}."
        return Problem(404, "unknown-model", f"This server has no model {asked[:100]!r}. {hint}")

    def refuse(self, problem: Problem) -> Response:
        """RFC 9457 problem details."""
        return problem_response(problem)

    def _predict(self, served: ServedModel) -> Handler:
        plane = self._plane
        shape = shaper(served.model)
        files = FileReader(plane, served)

        def answer(batch: Batch, ticket: Ticket) -> bytes:
            answered = shape(batch, ticket.start, ticket.stop)
            if batch.unusual:
                warnings = served.find_unusual(ticket.packed)
                if warnings:
                    return b'%b,"warnings":%b}' % (answered[:-1], encode(error_list(warnings)))
            return answered

        async def predict(body: bytes, headers: Mapping[bytes, bytes]) -> bytes | Response:
            try:
                deadline = _deadline(headers)
                if headers.get(CONTENT_TYPE) not in _PLAIN or headers.get(ACCEPT) not in _ANY:
                    return await predict_file(body, headers, deadline)
                decode = partial(served.read_json, body)
                return await plane.answer(
                    served, decode, answer, beside=len(body) > INLINE_BODY, deadline=deadline
                )
            except SchemaError as error:
                return problem_response(_problem_of_rows(served, error, body))

        async def predict_file(
            body: bytes, headers: Mapping[bytes, bytes], deadline: float
        ) -> bytes | Response:
            """Where the body, or what is to be answered, may be no JSON."""
            is_file = media_type(headers.get(CONTENT_TYPE)) in FILE_BODIES
            decode: Callable[[], Packed | UnpackedRows]
            if is_file:
                decode, beside = await files.decoder(body, headers), files.is_long(body, headers)
            else:
                decode, beside = partial(served.read_json, body), len(body) > INLINE_BODY
            wanted = wanted_file(headers.get(ACCEPT))
            write: Callable[[Batch, Ticket], bytes | Response] = answer
            if wanted is not None:
                write = await files.writer(wanted)
            try:
                return await plane.answer(
                    served,
                    decode,
                    write,
                    beside=beside,
                    deadline=deadline,
                    inline_rows=files.inline_rows(wanted),
                )
            except SchemaError as error:
                return problem_response(_problem_of_rows(served, error, None if is_file else body))

        return predict

    def _check(self, served: ServedModel) -> Handler:
        plane = self._plane
        files = FileReader(plane, served)

        async def check(body: bytes, headers: Mapping[bytes, bytes]) -> bytes | Response:
            is_file = media_type(headers.get(CONTENT_TYPE)) in FILE_BODIES
            decode = await files.decoder(body, headers) if is_file else partial(served.decode_json, body)
            try:
                beside = files.is_long(body, headers) if is_file else len(body) > INLINE_BODY
                packed = await plane.in_thread(decode) if beside else decode()
            except SchemaError as error:
                return problem_response(_problem_of_rows(served, error, None if is_file else body))
            warnings = error_list(served.find_unusual(packed))
            return encode({"ok": True, "rows": row_count(packed), "warnings": warnings})

        return check

    def _description(self, model: Model) -> dict[str, object]:
        """What `GET /models/{name}` answers; `example` is a body that can be posted as it is."""
        return {
            **_summary(model),
            "versions": list(self._plane.versions[model.name]),
            "framework": model.manifest.framework,
            "columns": model.schema.columns,
            "outputs": model.schema.outputs,
            "example": {"rows": [example_row(model)]},
        }


def _deadline(headers: Mapping[bytes, bytes]) -> float:
    """When the model's turn must have come, on the clock of `perf_counter`; at any time where not said.

    Raises HttpError where the header is no number of seconds.
    """
    stated = headers.get(TIMEOUT)
    if stated is None:
        return math.inf
    try:
        seconds = float(stated)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise HttpError(
            400, "invalid-timeout", "The header X-Request-Timeout is not a positive number of seconds."
        )
    return perf_counter() + seconds


def shaper(model: Model) -> Callable[[Batch, int, int], bytes]:
    """The function that writes rows `start` to `stop` of a batch as JSON.

    What never changes is written once for the model, and the values once for everyone who shares a run.
    """
    main = "transformed" if model.task == "transformation" else "prediction"
    others = [output.name for output in model.schema.outputs if output.name != main]
    head: dict[str, object] = {"model": model.name, "version": model.version}
    main_output = model.schema.output(main)
    if main_output is not None and main_output.columns is not None:
        head["columns"] = main_output.columns
    if "probabilities" in others and model.classes is not None:
        head["classes"] = spelled(model.classes.tolist())
    prefix = encode(head)[:-1] + b',"predictions":['
    rest = [(b'],"%s":[' % name.encode(), name) for name in others]

    # The function itself would do as the key, and would keep its model from being freed when it is swapped out.
    key_of_all = object()

    def shape(batch: Batch, start: int, stop: int) -> bytes:
        written = batch.shaped.get(key_of_all)
        if written is None:
            written = batch.shaped[key_of_all] = {
                output.name: _write_rows(readable(output, batch.arrays[output.name]))
                for output in model.schema.outputs
            }
        parts = [prefix, b",".join(written[main][start:stop])]
        for key, name in rest:
            parts += (key, b",".join(written[name][start:stop]))
        parts.append(b"]}")
        return b"".join(parts)

    return shape


def _write_rows(array: np.ndarray[Any, Any]) -> list[bytes]:
    """Each row of an output as JSON."""
    values = array.tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        values = spelled(values)
    # One call for all rows; JSON has no line breaks inside strings.
    return _encode_lines(values).split(b"\n")


def _problem_of_rows(served: ServedModel, error: SchemaError, body: bytes | None) -> Problem:
    """400 where a body of JSON is none at all, and as for every contract otherwise."""
    if body is not None and not isinstance(error, TooManyRowsError):
        try:
            msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as reason:
            why = "it is nested too deeply" if isinstance(reason, RecursionError) else str(reason)
            return Problem(400, "not-json", f"The body is not JSON: {why}.")
    return problem_of_rows(served, error)


def _summary(model: Model) -> dict[str, object]:
    summary: dict[str, object] = {
        "name": model.name,
        "version": model.version,
        "task": model.task,
        "predict": f"/models/{quote(model.name)}/predict",
    }
    if model.manifest.description is not None:
        summary["description"] = model.manifest.description
    return summary
