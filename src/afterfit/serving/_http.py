"""The ASGI application: find the route, read the body within its limits, send what a contract answers."""

from __future__ import annotations

import asyncio
import difflib
import logging
import math
from time import perf_counter
from typing import TYPE_CHECKING, Any

from afterfit.errors import AfterfitError, LimitExceededError, OverloadedError
from afterfit.serving._body import (
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    STRANGER_BYTES,
    Arrivals,
    answer_long,
    check_head,
    drain,
    too_slow,
)
from afterfit.serving._data_plane import INLINE_BODY
from afterfit.serving._exchange import (
    JSON,
    NOSNIFF,
    ClientLeftError,
    FileResponse,
    HttpError,
    Problem,
    Response,
    limited,
    overloaded,
    problem_response,
)
from afterfit.serving._send_file import send_file
from afterfit.serving._trace import REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence

    from opentelemetry.sdk.trace import Span

    from afterfit.runtime import Model
    from afterfit.serving._data_plane import DataPlane
    from afterfit.serving._exchange import Answer, Contract, Gate, Observer, Route
    from afterfit.serving._telemetry import Recorder
    from afterfit.serving._trace import Trace

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger("afterfit.serving")

LEFT = 499
"""Stands for a status where the client left before it could be answered."""

_FAILED = Problem(500, "internal", "The server failed to answer; its log says why.")
_NOT_READY = Problem(503, "not-ready", "The models are not loaded yet.", headers=[(b"retry-after", b"1")])


class Application:
    """An ASGI 3 application that answers for the models of a data plane.

    `load` makes the data plane when the server starts (ASGI lifespan, or `start`), and `contracts` the
    contracts that speak for it. `gate` is asked before anything of a request is read, and `observer` told of
    every answer; `recorder` follows a request from its beginning and gives it an id. `meanwhile` runs beside the
    requests from the start of the server to its end.

    Whatever is sent, the answer is one whole HTTP response; an exception that nobody expected is logged and
    answered with 500 and no word of it.
    """

    def __init__(
        self,
        load: Callable[[], DataPlane],
        contracts: Callable[[DataPlane], Sequence[Contract]],
        *,
        gate: Gate | None = None,
        observer: Observer | None = None,
        recorder: Recorder | None = None,
        meanwhile: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._load = load
        self._make_contracts = contracts
        self._gate = gate
        self._observer = observer
        self._recorder = recorder
        self._meanwhile = meanwhile
        self._contracts: Sequence[Contract] = ()
        self._table: dict[str, dict[str, tuple[Route, Contract]]] = {}
        self._plane: DataPlane | None = None
        self._long = 0
        self._arrivals = Arrivals(math.inf, {})

    def start(self) -> DataPlane:
        """Load the models and open the routes. Raises whatever loading raises."""
        plane = self._load()
        self._contracts = self._make_contracts(plane)
        self._open_routes()
        self._long = min(INLINE_BODY, plane.limits.max_body)
        self._arrivals = Arrivals(plane.limits.client_seconds, plane.arriving)
        self._plane = plane
        return plane

    def replace(self, models: Iterable[Model]) -> None:
        """Serve these models from now on; requests under way are answered by the model they came for.

        Must be called on the event loop, between start and stop.
        """
        if self._plane is None:
            raise RuntimeError("the application is not started")
        self._plane.replace(models)
        self._open_routes()

    def refresh_gauges(self) -> None:
        """Bring what is shown of the present up to date."""
        if self._plane is not None:
            self._plane.refresh_gauges()

    def _open_routes(self) -> None:
        table: dict[str, dict[str, tuple[Route, Contract]]] = {}
        for contract in self._contracts:
            for route in contract.routes():
                methods = table.setdefault(route.path, {})
                methods[route.method] = (route, contract)
                if route.method == "GET":
                    methods["HEAD"] = (route, contract)
        self._table = table

    def stop(self) -> None:
        """Close the routes and stop the threads."""
        self._table = {}
        if self._plane is not None:
            self._plane.close()
            self._plane = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] != "http":
            await self._answer_other(scope["type"], receive, send)
            return
        try:
            await self._answer_request(scope, receive, send)
        finally:
            if self._gate is not None:
                self._gate.leave(scope)

    async def _answer_request(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        started = perf_counter()
        begun = None if self._recorder is None else self._recorder.begin(scope)
        method: str = scope["method"]
        found = self._table.get(scope["path"])
        route, contract = (None, None) if found is None else found.get(method, (None, None))
        answer: Answer
        try:
            problem = None
            if self._gate is not None and self._plane is not None:
                problem = self._gate.admit(scope, route)
            if problem is not None:
                contract = contract or self._contract_of(scope["path"], found)
                answer = await self._refuse(problem, contract, method, receive)
            elif route is None:
                answer = await self._refuse_path(scope["path"], found, method, receive)
            else:
                answer = await self._answer(route, dict(scope["headers"]), receive)
        except ClientLeftError:
            self._told(begun, scope, route, LEFT, started, 0)
            return
        except Exception as error:  # noqa: BLE001 - whatever happens, the client gets an answer and the log the reason
            answer = await self._refuse_error(error, contract, scope, receive)
        identity = [] if begun is None else [(REQUEST_ID, begun[0].request_id.encode())]
        if isinstance(answer, FileResponse):
            answer = answer._replace(headers=[*answer.headers, *identity])
            status, sent = answer.status, answer.size
            await send_file(answer, method, send)
        else:
            if isinstance(answer, bytes):
                status, body = 200, answer
                head = [JSON, NOSNIFF, (CONTENT_LENGTH, b"%d" % len(body)), *identity]
            else:
                status, body = answer.status, answer.body
                head = [*answer.headers, (CONTENT_LENGTH, b"%d" % len(body)), *identity]
            sent = len(body)
            await send({"type": "http.response.start", "status": status, "headers": head})
            await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
        self._told(begun, scope, route, status, started, sent)

    def _told(
        self,
        begun: tuple[Trace, Span | None] | None,
        scope: MutableMapping[str, Any],
        route: Route | None,
        status: int,
        started: float,
        sent: int,
    ) -> None:
        seconds = perf_counter() - started
        if self._observer is not None:
            self._observer.observe(scope, route, status, seconds, sent)
        if self._recorder is not None and begun is not None:
            self._recorder.end(begun, scope, route, status, seconds, sent)

    async def _answer(self, route: Route, headers: dict[bytes, bytes], receive: Receive) -> Answer:
        if not route.media_types:
            return await route.handler(b"", headers)
        compressed = CONTENT_ENCODING in headers
        if compressed or headers.get(CONTENT_TYPE) not in route.media_types:
            check_head(headers, route)
        waiting = self._arrivals.enter()
        try:
            message = await receive()
        except asyncio.CancelledError:
            if self._arrivals.is_cancelled(waiting):
                raise
            raise too_slow(self._running()) from None
        finally:
            self._arrivals.leave(waiting)
        body = message.get("body", b"")
        if (
            compressed
            or len(body) > self._long
            # granian says that more may come even where the stated length is there already.
            or (message.get("more_body") and headers.get(CONTENT_LENGTH) != b"%d" % len(body))
        ):
            return await answer_long(self._running(), route, headers, message, receive)
        if message["type"] != "http.request":
            raise ClientLeftError
        return await route.handler(body, headers)

    def _running(self) -> DataPlane:
        if self._plane is None:
            raise HttpError(503, "not-ready", "The server is stopping.")
        return self._plane

    def _contract_of(self, path: str, found: dict[str, tuple[Route, Contract]] | None) -> Contract | None:
        """The contract whose words somebody expects who asks for a path that has no route."""
        if found:
            return next(iter(found.values()))[1]
        return next((one for one in self._contracts if one.missing(path) is not None), None)

    async def _refuse(
        self, problem: Problem, contract: Contract | None, method: str, receive: Receive
    ) -> Response:
        """Say no to a stranger."""
        if method not in {"GET", "HEAD"}:
            await drain(receive, STRANGER_BYTES)
        return problem_response(problem) if contract is None else contract.refuse(problem)

    async def _refuse_error(
        self, error: Exception, contract: Contract | None, scope: MutableMapping[str, Any], receive: Receive
    ) -> Response:
        if isinstance(error, HttpError):
            problem = error.problem
            if problem.status == 415:
                await drain(receive)
        elif isinstance(error, OverloadedError):
            problem = overloaded(error)
        elif isinstance(error, LimitExceededError):
            problem = limited(str(error), error.seconds)
        else:
            _log.error("unexpected error on %s %r", scope["method"], scope["path"], exc_info=error)
            problem = _FAILED
        return problem_response(problem) if contract is None else contract.refuse(problem)

    async def _refuse_path(
        self, path: str, found: dict[str, tuple[Route, Contract]] | None, method: str, receive: Receive
    ) -> Response:
        if method not in {"GET", "HEAD"}:
            await drain(receive)
        if self._plane is None:
            return problem_response(_NOT_READY)
        if found is not None:
            allowed = ", ".join(sorted(found))
            detail = f"{_shown(path)} answers {allowed}."
            problem = Problem(405, "method-not-allowed", detail, headers=[(b"allow", allowed.encode())])
            return next(iter(found.values()))[1].refuse(problem)
        for contract in self._contracts:
            missing = contract.missing(path)
            if missing is not None:
                return contract.refuse(missing)
        near = difflib.get_close_matches(path[:200], self._table, n=1)
        hint = f"Did you mean {near[0]}?" if near else "/openapi.json lists the paths there are."
        return problem_response(Problem(404, "not-found", f"There is no {_shown(path)}. {hint}"))

    async def _answer_other(self, kind: str, receive: Receive, send: Send) -> None:
        if kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
        if kind != "lifespan":
            raise ValueError(f"an ASGI connection of type {kind!r}")
        beside: asyncio.Task[None] | None = None
        while (await receive())["type"] == "lifespan.startup":
            failure = self._start_or_say_why()
            if failure is not None:
                await send({"type": "lifespan.startup.failed", "message": failure})
                return
            if self._meanwhile is not None:
                beside = asyncio.ensure_future(self._run_beside(self._meanwhile))
            await send({"type": "lifespan.startup.complete"})
        if beside is not None:
            beside.cancel()
            await asyncio.wait([beside])
        self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _run_beside(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        try:
            await meanwhile()
        except Exception:  # noqa: BLE001 - requests are answered whatever becomes of it
            _log.exception("what runs beside the requests ended")

    def _start_or_say_why(self) -> str | None:
        """A server takes an exception here to mean that there is nothing to start, and goes on."""
        try:
            self.start()
        except AfterfitError as error:
            return str(error)
        except Exception:  # noqa: BLE001 - see above
            _log.exception("the models could not be loaded")
            return "the models could not be loaded"
        return None


def _shown(path: str) -> str:
    return repr(path if len(path) <= 100 else path[:100] + "...")
