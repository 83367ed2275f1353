"""The Open Inference Protocol, version 2, over REST, with Triton's extensions that its clients call.

https://github.com/kserve/open-inference-protocol and https://github.com/triton-inference-server/server/tree/main/docs/protocol
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from afterfit._version import __version__
from afterfit.errors import SchemaError
from afterfit.serving._data_plane import INLINE_BODY
from afterfit.serving._exchange import HttpError, Problem, Response, Route
from afterfit.serving.contracts._inference import PACKED, Inference
from afterfit.serving.contracts._instances import refuse_with_error
from afterfit.serving.contracts._rows import (
    JSON_BODY,
    TableReader,
    encode,
    get,
    parse_object,
    problem_of_rows,
)
from afterfit.serving.contracts._statistics import statistics
from afterfit.serving.contracts._tensors import DATATYPES, describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from afterfit.runtime import Model
    from afterfit.serving._data_plane import DataPlane, ServedModel
    from afterfit.serving._exchange import Handler
    from afterfit.serving._repository import Repository

_INFER_BODY = frozenset({b"application/json", b"application/octet-stream"})
_EXTENSIONS = ["binary_tensor_data", "model_configuration", "statistics"]
_LIVE = {"live": True, "ready": True}


class OpenInferenceContract:
    """`/v2`: health, metadata and inference; with a `repository` also what is served, and loading and unloading it."""

    def __init__(self, plane: DataPlane, repository: Repository | None = None) -> None:
        self._plane = plane
        self._repository = repository

    def routes(self) -> Sequence[Route]:
        """Every version of every model; without a version the last one answers."""
        extensions = [*_EXTENSIONS, *(["model_repository"] if self._repository is not None else [])]
        server = {"name": "afterfit", "version": __version__, "extensions": extensions}
        routes = [
            get("/v2", Response(encode(server))),
            get("/v2/health/live", Response(encode(_LIVE)), "public"),
            get("/v2/health/ready", Response(encode(_LIVE)), "public"),
            Route("/v2/models/stats", "GET", self._statistics(None), access="admin"),
        ]
        for name, versions in self._plane.versions.items():
            for version, served in versions.items():
                routes += self._model_routes(f"/v2/models/{name}/versions/{version}", served)
            routes += self._model_routes(f"/v2/models/{name}", self._plane.models[name])
        if self._repository is not None:
            routes += self._repository_routes(self._repository)
        return routes

    def _model_routes(self, path: str, served: ServedModel) -> list[Route]:
        model = served.model
        ready = {"name": model.name, **_LIVE}
        return [
            get(path, Response(encode(metadata(model, list(self._plane.versions[model.name]))))),
            get(f"{path}/ready", Response(encode(ready))),
            get(f"{path}/config", Response(encode(configuration(model)))),
            Route(f"{path}/stats", "GET", self._statistics(served), access="admin"),
            Route(f"{path}/infer", "POST", self._infer(served), _INFER_BODY),
        ]

    def _repository_routes(self, repository: Repository) -> list[Route]:
        routes = [Route("/v2/repository/index", "POST", self._index(repository), JSON_BODY, access="admin")]
        for name in repository.names():
            path = f"/v2/repository/models/{name}"
            for verb, change in (("load", repository.load), ("unload", repository.unload)):
                handler = _changing(partial(change, name))
                routes.append(Route(f"{path}/{verb}", "POST", handler, JSON_BODY, access="admin"))
        return routes

    def missing(self, path: str) -> Problem | None:
        """A model or version that is not served, or another path under `/v2`."""
        if path != "/v2" and not path.startswith("/v2/"):
            return None
        names = ", ".join(list(self._plane.models)[:10]) or "none"
        detail = f"There is nothing here; the models are {names}, and /v2/models/NAME describes one."
        return Problem(404, "unknown-model", detail)

    def refuse(self, problem: Problem) -> Response:
        """`{"error": ...}`, with the mistakes listed in it and as `errors`."""
        return refuse_with_error(problem)

    def _infer(self, served: ServedModel) -> Handler:
        plane = self._plane
        tables = TableReader(served, plane.limits.max_rows)

        async def infer(body: bytes, headers: Mapping[bytes, bytes]) -> Response:
            read = partial(Inference, tables, body, headers)
            beside = len(body) > INLINE_BODY
            try:
                asked = await plane.in_thread(read) if beside else read()
                return await plane.answer(
                    served, asked.decode, asked.write, beside=beside, deadline=asked.deadline
                )
            except SchemaError as error:
                return self.refuse(problem_of_rows(served, error))

        return infer

    def _statistics(self, served: ServedModel | None) -> Handler:
        plane = self._plane

        async def tell(body: bytes, headers: Mapping[bytes, bytes]) -> bytes:  # noqa: ARG001 - a handler takes them
            versions = [one for of_name in plane.versions.values() for one in of_name.values()]
            models = [one.model for one in ([served] if served is not None else versions)]
            found = await plane.in_thread(partial(statistics, plane.meter, models))
            return encode({"model_stats": found})

        return tell

    def _index(self, repository: Repository) -> Handler:
        async def index(body: bytes, headers: Mapping[bytes, bytes]) -> bytes:  # noqa: ARG001 - a handler takes them
            only_ready = bool(body.strip()) and parse_object(body).get("ready") is True
            served = self._plane.versions
            found = [
                {"name": name, "version": version, "state": "READY", "reason": ""}
                for name, versions in served.items()
                for version in versions
            ]
            if not only_ready:
                found += [
                    {"name": name, "state": "UNAVAILABLE", "reason": "unloaded"}
                    for name in repository.names()
                    if name not in served
                ]
            return encode(found)

        return index


def _changing(change: Any) -> Handler:
    """Loads or unloads a model. A page of another site may not: browsers say where a request comes from."""

    async def handle(body: bytes, headers: Mapping[bytes, bytes]) -> Response:  # noqa: ARG001 - a handler takes them
        if b"origin" in headers:
            raise HttpError(403, "from-a-page", "Models are not loaded or unloaded from a page in a browser.")
        failure = await change()
        if failure is not None:
            raise HttpError(400, "not-loaded", failure)
        return Response(b"{}")

    return handle


def metadata(model: Model, versions: list[str]) -> dict[str, object]:
    """What `GET /v2/models/{name}` answers.

    `inputs` has one tensor for each column that the model reads. `alternative_inputs` are those that hold many
    columns at once, and may be sent instead.
    """
    columns = [column for column in model.schema.columns if column.input is not None]
    datatypes = {"number": "FP64", "text": "BYTES", "integer": "INT64"}
    packed = {name: model.schema.packed(PACKED[name]) for name in PACKED}
    return {
        "name": model.name,
        "versions": versions,
        "platform": "onnxruntime_onnx",
        "inputs": [
            describe(column) | {"parameters": {"nullable": column.nullable}}
            for column in columns
            if column.shape is None
        ],
        "outputs": [
            {"name": output.name, "datatype": DATATYPES[output.type], "shape": list(output.shape)}
            for output in model.schema.outputs
        ],
        "alternative_inputs": [
            {
                "name": name,
                "datatype": datatypes[name],
                "shape": [-1, len(held)],
                "columns": [column.name for column in held],
            }
            for name, held in packed.items()
            if held and all(column.name != name for column in model.schema.columns)
        ],
    }


def configuration(model: Model) -> dict[str, object]:
    """What `GET /v2/models/{name}/config` answers: the part of Triton's ModelConfig that clients read."""

    def typed(datatype: str) -> str:
        return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"

    return {
        "name": model.name,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": 0,
        "input": [
            {"name": column.name, "data_type": typed(DATATYPES[column.type]), "dims": [-1, 1]}
            for column in model.schema.columns
            if column.input is not None and column.shape is None
        ],
        "output": [
            {
                "name": output.name,
                "data_type": typed(DATATYPES[output.type]),
                "dims": list(output.shape),
            }
            for output in model.schema.outputs
        ],
    }
