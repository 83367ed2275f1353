"""What passes between the HTTP layer and a contract: a response, a route, and an error that is an answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping, MutableMapping, Sequence

    from afterfit.errors import CellError, OverloadedError

    Scope = MutableMapping[str, Any]

Headers = list[tuple[bytes, bytes]]

NOSNIFF = (b"x-content-type-options", b"nosniff")
JSON = (b"content-type", b"application/json")
PROBLEM_JSON = (b"content-type", b"application/problem+json")
RETRY_SECONDS = 1


Access = Literal["public", "predict", "pull", "admin"]
"""Everyone; who may ask a model; who may have the bundles; who may see and change how the server runs."""


class Response(NamedTuple):
    """A whole answer; the HTTP layer adds the length."""

    body: bytes
    status: int = 200
    headers: Sequence[tuple[bytes, bytes]] = (JSON, NOSNIFF)


class FileResponse(NamedTuple):
    """A part of an open file as an answer: `size` bytes from `start`, sent piece by piece; it is closed then."""

    file: BinaryIO
    start: int
    size: int
    status: int
    headers: Sequence[tuple[bytes, bytes]]


class Handler(Protocol):
    """Answers one request, whose body was read whole.

    `headers` are by lower-case name, the last one of each. The answer is a response, or bytes for JSON with
    status 200, or a part of a file. It raises `HttpError`, `SchemaError` or `OverloadedError` to say no.
    """

    def __call__(self, body: bytes, headers: Mapping[bytes, bytes], /) -> Awaitable[Answer]: ...


Answer = bytes | Response | FileResponse


@dataclass(frozen=True)
class Route:
    """One method of one path. `media_types`: what a body may be; none where a body is not read.

    `access`: who may call it where callers are told apart.
    """

    path: str
    method: str
    handler: Handler
    media_types: frozenset[bytes] = frozenset()
    access: Access = "predict"


class Gate(Protocol):
    """Stands before every route: nothing of a request is read before it is let in."""

    def admit(self, scope: Scope, route: Route | None) -> Problem | None:
        """Why the request is not let in, or None where it is. `route` is None where there is no such path.

        What it learns of the caller it keeps in `scope["state"]`.
        """
        ...

    def leave(self, scope: Scope) -> None:
        """The request has ended, whether it was let in or not."""
        ...


class Observer(Protocol):
    """Is told of every answer, after it was sent."""

    def observe(self, scope: Scope, route: Route | None, status: int, seconds: float, sent: int) -> None:
        """`seconds` from the first byte of the head to the last of the answer, `sent` bytes of body."""
        ...


class Contract(Protocol):
    """One wire contract: its routes, and how it says no."""

    def routes(self) -> Sequence[Route]:
        """Every route, with its exact path; called again whenever the models change."""
        ...

    def missing(self, path: str) -> Problem | None:
        """What is wrong with `path`, which has no route, if it looks like one of this contract."""
        ...

    def refuse(self, problem: Problem) -> Response:
        """The answer that says `problem`."""
        ...


@dataclass(frozen=True)
class Problem:
    """Why a request is not answered, in no contract's words yet.

    `kind` is a short stable name, `detail` a sentence for the person who sent it.
    """

    status: int
    kind: str
    detail: str
    errors: tuple[CellError, ...] | None = None
    truncated: bool = False
    headers: Headers = field(default_factory=list)

    @property
    def title(self) -> str:
        return HTTPStatus(self.status).phrase


class ClientLeftError(Exception):
    """The client closed the connection before its request was whole; there is nobody to answer."""


class HttpError(Exception):
    """Raised by a handler, or on the way to one, to answer with a problem."""

    def __init__(
        self, status: int, kind: str, detail: str, *, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        self.problem = Problem(status, kind, detail, headers=list(headers))
        super().__init__(detail)


def overloaded(error: OverloadedError) -> Problem:
    """The problem of a server that has too much to do."""
    return Problem(
        503,
        "overloaded",
        f"{error}; send the request again in {RETRY_SECONDS} second",
        headers=[(b"retry-after", str(RETRY_SECONDS).encode())],
    )


def limited(said: str, seconds: float) -> Problem:
    """The problem of a caller that has used up a limit; `seconds` until it may ask again."""
    wait = max(1, math.ceil(seconds))
    return Problem(
        429,
        "too-many-requests",
        f"{said}; send this again in {wait:,} second{'s' if wait != 1 else ''}.",
        headers=[(b"retry-after", str(wait).encode())],
    )


def printable(text: str) -> str:
    """`text` with lone surrogates, which no JSON can hold, written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def problem_response(problem: Problem) -> Response:
    """A problem as `application/problem+json` (RFC 9457), the wording of every path of no other contract."""
    content: dict[str, object] = {
        "type": f"urn:afterfit:problem:{problem.kind}",
        "title": problem.title,
        "status": problem.status,
        "detail": printable(problem.detail),
    }
    if problem.errors is not None:
        content["errors"] = error_list(problem.errors)
        if problem.truncated:
            content["truncated"] = True
    return Response(msgspec.json.encode(content), problem.status, [PROBLEM_JSON, NOSNIFF, *problem.headers])


def error_list(errors: Iterable[CellError]) -> list[dict[str, object]]:
    """Mistakes, or warnings, as JSON objects."""
    return [
        {
            "row": error.row,
            "column": None if error.column is None else printable(error.column),
            "expected": printable(error.expected),
            "got": printable(error.got),
            "fix": printable(error.fix),
        }
        for error in errors
    ]
