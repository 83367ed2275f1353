"""`{"instances": [...]}` in, `{"predictions": [...]}` out: KServe's first protocol, and Vertex AI."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from afterfit.errors import SchemaError
from afterfit.serving._data_plane import INLINE_BODY
from afterfit.serving._exchange import JSON, NOSNIFF, HttpError, Problem, Response, Route
from afterfit.serving.contracts._rows import (
    JSON_BODY,
    TableReader,
    encode,
    get,
    listed,
    parsed,
    predictions_writer,
    problem_of_rows,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from afterfit.serving._data_plane import DataPlane, ServedModel
    from afterfit.serving._exchange import Handler


class KServeContract:
    """KServe's protocol V1: `/v1/models`, `/v1/models/{name}` and `/v1/models/{name}:predict`."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def routes(self) -> Sequence[Route]:
        """Every model under its name."""
        routes = [get("/v1/models", Response(encode({"models": list(self._plane.models)})))]
        for name, served in self._plane.models.items():
            path = f"/v1/models/{name}"
            ready = {"name": name, "ready": True, "live": True}
            routes += [
                get(path, Response(encode(ready))),
                Route(
                    f"{path}:predict", "POST", predict_instances(self._plane, served, self.refuse), JSON_BODY
                ),
            ]
        return routes

    def missing(self, path: str) -> Problem | None:
        """A model that is not served."""
        if path != "/v1" and not path.startswith("/v1/"):
            return None
        names = ", ".join(list(self._plane.models)[:10])
        return Problem(404, "unknown-model", f"There is nothing here; the models are {names}.")

    def refuse(self, problem: Problem) -> Response:
        """`{"error": ...}`, with the mistakes listed in it and as `errors`."""
        return refuse_with_error(problem)


@dataclass(frozen=True, slots=True)
class VertexRoutes:
    """The paths that Vertex AI asks for: `AIP_HEALTH_ROUTE` and `AIP_PREDICT_ROUTE`."""

    health: str
    predict: str


class VertexContract:
    """What Vertex AI sends to a container, on the paths that it chose."""

    def __init__(self, plane: DataPlane, paths: VertexRoutes) -> None:
        self._plane = plane
        self._paths = paths

    def routes(self) -> Sequence[Route]:
        """The health path and, where there is one model, the predict path."""
        served = list(self._plane.models.values())
        routes = [get(self._paths.health, Response(encode({"status": "ready"})), "public")]
        if len(served) == 1:
            predict = predict_instances(self._plane, served[0], self.refuse)
            routes.append(Route(self._paths.predict, "POST", predict, JSON_BODY))
        return routes

    def missing(self, path: str) -> Problem | None:
        """The predict path where it would have to choose a model."""
        if path != self._paths.predict:
            return None
        count = len(self._plane.models)
        return Problem(404, "which-model", f"This server has {count} models; Vertex AI serves one.")

    def refuse(self, problem: Problem) -> Response:
        """As KServe's."""
        return refuse_with_error(problem)


def refuse_with_error(problem: Problem) -> Response:
    """`{"error": text}` of exactly the type application/json, which clients need to show it."""
    return Response(
        encode({"error": told(problem), **listed(problem)}),
        problem.status,
        [JSON, NOSNIFF, *problem.headers],
    )


def predict_instances(
    plane: DataPlane, served: ServedModel, refuse: Callable[[Problem], Response]
) -> Handler:
    """Answers `{"instances": [...], "parameters": {"output": ...}}`."""
    reader = TableReader(served, plane.limits.max_rows)

    async def predict(body: bytes, headers: Mapping[bytes, bytes]) -> bytes | Response:  # noqa: ARG001 - a handler takes them
        sent = await parsed(plane, body)
        if "instances" not in sent:
            raise HttpError(400, "no-instances", 'The body has no "instances"; send {"instances": [...]}.')
        write = predictions_writer(served, sent.get("parameters"))
        try:
            decode = partial(reader.read_instances, sent["instances"])
            return await plane.answer(served, decode, write, beside=len(body) > INLINE_BODY)
        except SchemaError as error:
            return refuse(problem_of_rows(served, error))

    return predict
