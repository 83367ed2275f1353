"""The ASGI application: find the route, read the body within its limits, send what a contract answers."""

from __future__ import annotations

import asyncio
import difflib
import logging
from typing import TYPE_CHECKING, Any

from afterfit.errors import AfterfitError, OverloadedError
from afterfit.serving._data_plane import INLINE_BODY
from afterfit.serving._exchange import JSON, HttpError, Problem, Response, overloaded, problem_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence

    from afterfit.serving._data_plane import DataPlane
    from afterfit.serving._exchange import Contract, Route

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger("afterfit.serving")

BODY_SECONDS = 60.0
"""A body must have arrived whole within this time."""

_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 5.0
_CONTENT_LENGTH = b"content-length"
_CONTENT_TYPE = b"content-type"
_CONTENT_ENCODING = b"content-encoding"
_FAILED = Problem(500, "internal", "The server failed to answer; its log says why.")
_NOT_READY = Problem(503, "not-ready", "The models are not loaded yet.", headers=[(b"retry-after", b"1")])


class _ClientLeftError(Exception):
    """The client closed the connection before its request was whole; there is nobody to answer."""


class Application:
    """An ASGI 3 application that answers for the models of a data plane.

    `load` makes the data plane when the server starts (ASGI lifespan, or `start`), and `contracts` the
    contracts that speak for it. Whatever is sent, the answer is one whole HTTP response; an exception that
    nobody expected is logged and answered with 500 and no word of it.
    """

    def __init__(
        self, load: Callable[[], DataPlane], contracts: Callable[[DataPlane], Sequence[Contract]]
    ) -> None:
        self._load = load
        self._make_contracts = contracts
        self._contracts: Sequence[Contract] = ()
        self._table: dict[str, dict[str, tuple[Route, Contract]]] = {}
        self._plane: DataPlane | None = None
        self._max_body = 0
        self._long = 0

    def start(self) -> DataPlane:
        """Load the models and open the routes. Raises whatever loading raises."""
        plane = self._load()
        self._contracts = self._make_contracts(plane)
        for contract in self._contracts:
            for route in contract.routes():
                methods = self._table.setdefault(route.path, {})
                methods[route.method] = (route, contract)
                if route.method == "GET":
                    methods["HEAD"] = (route, contract)
        self._max_body = plane.limits.max_body
        self._long = min(INLINE_BODY, self._max_body)
        self._plane = plane
        return plane

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
        method: str = scope["method"]
        contract: Contract | None = None
        answer: bytes | Response
        try:
            found = self._table.get(scope["path"])
            if found is None or method not in found:
                answer = await self._refuse_path(scope["path"], found, method, receive)
            else:
                route, contract = found[method]
                headers = dict(scope["headers"])
                if not route.media_types:
                    answer = await route.handler(b"", headers)
                else:
                    if headers.get(_CONTENT_TYPE) not in route.media_types or _CONTENT_ENCODING in headers:
                        _check_head(headers, route)
                    message = await receive()
                    body = message.get("body", b"")
                    if len(body) > self._long or (
                        # granian says that more may come even where the stated length is there already.
                        message.get("more_body") and headers.get(_CONTENT_LENGTH) != b"%d" % len(body)
                    ):
                        answer = await self._answer_long(route, headers, message, receive)
                    elif message["type"] == "http.request":
                        answer = await route.handler(body, headers)
                    else:
                        return
        except _ClientLeftError:
            return
        except Exception as error:  # noqa: BLE001 - whatever happens, the client gets an answer and the log the reason
            answer = await self._refuse_error(error, contract, scope, receive)
        if isinstance(answer, bytes):
            head = [JSON, (_CONTENT_LENGTH, b"%d" % len(answer))]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            await send({"type": "http.response.body", "body": answer})
            return
        head = [*answer.headers, (_CONTENT_LENGTH, b"%d" % len(answer.body))]
        await send({"type": "http.response.start", "status": answer.status, "headers": head})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})

    async def _answer_long(
        self, route: Route, headers: dict[bytes, bytes], message: Message, receive: Receive
    ) -> bytes | Response:
        """Answer a request with a long body, whose bytes are counted while they are held."""
        plane = self._plane
        if plane is None:
            raise HttpError(503, "not-ready", "The server is stopping.")
        chunks: list[bytes] = []
        try:
            await self._read_long(plane, headers, message, receive, chunks)
            return await route.handler(b"".join(chunks), headers)
        finally:
            plane.release(sum(map(len, chunks)))

    async def _read_long(
        self,
        plane: DataPlane,
        headers: dict[bytes, bytes],
        message: Message,
        receive: Receive,
        chunks: list[bytes],
    ) -> None:
        stated = headers.get(_CONTENT_LENGTH, b"").strip()
        is_too_large = stated.isdigit() and (len(stated) > 18 or int(stated) > self._max_body)
        size = 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    if message["type"] != "http.request":
                        raise _ClientLeftError
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    is_too_large = is_too_large or size > self._max_body
                    if is_too_large:
                        break
                    plane.reserve(len(chunk))
                    chunks.append(chunk)
                    if not message.get("more_body"):
                        return
                    message = await receive()
        except TimeoutError:
            raise HttpError(
                408, "too-slow", f"The body did not arrive within {BODY_SECONDS:g} seconds."
            ) from None
        if message.get("more_body"):
            await self._drain(receive)
        raise HttpError(
            413,
            "body-too-large",
            f"The body is larger than {self._max_body} bytes, the limit; send fewer rows at a time.",
        )

    async def _drain(self, receive: Receive) -> None:
        """Let a client finish sending what will not be used, within bounds: many read no answer before."""
        left = _DRAIN_BYTES
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body"):
                        return
        except TimeoutError:
            return

    async def _refuse_error(
        self, error: Exception, contract: Contract | None, scope: MutableMapping[str, Any], receive: Receive
    ) -> Response:
        if isinstance(error, HttpError):
            problem = error.problem
            if problem.status == 415:
                await self._drain(receive)
        elif isinstance(error, OverloadedError):
            problem = overloaded(error)
        else:
            _log.error("unexpected error on %s %r", scope["method"], scope["path"], exc_info=error)
            problem = _FAILED
        return problem_response(problem) if contract is None else contract.refuse(problem)

    async def _refuse_path(
        self, path: str, found: dict[str, tuple[Route, Contract]] | None, method: str, receive: Receive
    ) -> Response:
        if method not in {"GET", "HEAD"}:
            await self._drain(receive)
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
        while (await receive())["type"] == "lifespan.startup":
            failure = self._start_or_say_why()
            if failure is not None:
                await send({"type": "lifespan.startup.failed", "message": failure})
                return
            await send({"type": "lifespan.startup.complete"})
        self.stop()
        await send({"type": "lifespan.shutdown.complete"})

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


def _check_head(headers: dict[bytes, bytes], route: Route) -> None:
    """Refuse what the headers alone tell: a wrong kind of body."""
    media_type = headers.get(_CONTENT_TYPE)
    if media_type is not None and media_type not in route.media_types:
        essence = media_type.partition(b";")[0].strip().lower()
        if essence and essence not in route.media_types:
            allowed = b", ".join(sorted(route.media_types))
            raise HttpError(
                415,
                "unsupported-media-type",
                f"The body is said to be {essence.decode('latin-1')[:100]!r}; send the header "
                f"Content-Type: {allowed.decode()}.",
                headers=[(b"accept", allowed)],
            )
    encoding = headers.get(_CONTENT_ENCODING)
    if encoding is not None and encoding.strip().lower() not in {b"", b"identity"}:
        raise HttpError(
            415,
            "unsupported-encoding",
            f"The body is said to be encoded as {encoding.decode('latin-1')[:100]!r}; send it as it is.",
            headers=[(b"accept-encoding", b"identity")],
        )
