"""For those who run the server: what it counts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from afterfit.serving._exchange import NOSNIFF, Problem, Response, Route, problem_response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from afterfit.serving._data_plane import DataPlane
    from afterfit.serving._meters import ServerMeter

_EXPOSITION = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


class OperationsContract:
    """`/metrics`, in the Prometheus text format, over all workers."""

    def __init__(self, plane: DataPlane, meter: ServerMeter) -> None:
        self._plane = plane
        self._meter = meter

    def routes(self) -> Sequence[Route]:
        """`/metrics`."""
        return [Route("/metrics", "GET", self._metrics, access="admin")]

    def missing(self, path: str) -> Problem | None:  # noqa: ARG002 - a contract is asked
        """Nothing looks like a path of this contract."""
        return None

    def refuse(self, problem: Problem) -> Response:
        """RFC 9457 problem details."""
        return problem_response(problem)

    async def _metrics(self, body: bytes, headers: Mapping[bytes, bytes]) -> Response:  # noqa: ARG002 - a handler takes them
        self._plane.refresh_gauges()
        return Response(await asyncio.to_thread(self._meter.exposition), headers=[_EXPOSITION, NOSNIFF])
