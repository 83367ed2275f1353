"""Reading the body of a request: whole, within its limits, and unpacked where it came compressed."""

from __future__ import annotations

import asyncio
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

from afterfit.serving._exchange import ClientLeftError, HttpError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from afterfit.serving._data_plane import DataPlane
    from afterfit.serving._exchange import Answer, Route

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]

CONTENT_LENGTH = b"content-length"
CONTENT_TYPE = b"content-type"
CONTENT_ENCODING = b"content-encoding"

_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 5.0
STRANGER_BYTES = 1024 * 1024
"""Of a client that is not let in no more of the body is awaited, before it gets its answer."""

_LOOK_SECONDS = 1.0
_INLINE_COMPRESSED = 1024
"""Bytes: deflate makes up to a thousand times more of it, which a turn of the event loop can bear."""

_WINDOWS = {b"gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}


async def answer_long(
    plane: DataPlane, route: Route, headers: Mapping[bytes, bytes], message: Message, receive: Receive
) -> Answer:
    """Answer a request whose body is long or compressed, counting its bytes while they are held.

    Raises HttpError where it breaks a limit and ClientLeftError where the client does not finish.
    """
    held = _Held(plane)
    try:
        body = await _read(plane, headers, message, receive, held)
        encoding = headers.get(CONTENT_ENCODING, b"").strip().lower()
        if encoding in _WINDOWS:
            body = await _unpack(plane, body, encoding)
            held.take(len(body))
        return await route.handler(body, headers)
    finally:
        plane.release(held.size)


class _Held:
    """The bytes of one request that the data plane counts as held."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane
        self.size = 0

    def take(self, size: int) -> None:
        self._plane.reserve(size)
        self.size += size


async def _read(
    plane: DataPlane, headers: Mapping[bytes, bytes], message: Message, receive: Receive, held: _Held
) -> bytes:
    chunks: list[bytes] = []
    too_large = _stated_size(headers) > plane.limits.max_body
    try:
        async with asyncio.timeout(plane.limits.client_seconds):
            while True:
                if message["type"] != "http.request":
                    raise ClientLeftError
                chunk = message.get("body", b"")
                too_large = too_large or held.size + len(chunk) > plane.limits.max_body
                if too_large:
                    break
                held.take(len(chunk))
                chunks.append(chunk)
                if not message.get("more_body"):
                    return b"".join(chunks)
                message = await receive()
    except TimeoutError:
        raise too_slow(plane) from None
    if message.get("more_body"):
        await drain(receive)
    raise _too_large(plane)


class Arrivals:
    """Ends the waiting for bodies of which nothing comes. One look a second costs less than a timer for each.

    `waiting`: where it keeps the tasks that wait, and since when.
    """

    def __init__(self, seconds: float, waiting: dict[asyncio.Task[Any], float]) -> None:
        self._seconds = seconds
        self._waiting = waiting
        self._late: set[asyncio.Task[Any]] = set()
        self._now = 0.0
        self._look_again: asyncio.TimerHandle | None = None

    def enter(self) -> asyncio.Task[Any]:
        """The running task, which waits for the first part of a body from now on."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request is answered outside of a task")
        if self._look_again is None:
            self._look()
        self._waiting[task] = self._now
        return task

    def leave(self, task: asyncio.Task[Any]) -> None:
        """It waits no longer."""
        del self._waiting[task]
        self._late.discard(task)

    def is_cancelled(self, task: asyncio.Task[Any]) -> bool:
        """Whether its waiting was ended by somebody else, and not because nothing came in time; it goes on then."""
        if task not in self._late:
            return True
        task.uncancel()
        return False

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._now = loop.time()
        for task, since in self._waiting.items():
            if self._now - since >= self._seconds and task not in self._late:
                self._late.add(task)
                task.cancel()
        is_first = self._look_again is None
        wait = min(_LOOK_SECONDS, self._seconds)
        self._look_again = loop.call_later(wait, self._look) if self._waiting or is_first else None


async def drain(receive: Receive, most: int = _DRAIN_BYTES) -> None:
    """Let a client finish sending what will not be used, within bounds: many read no answer before."""
    left = most
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return


def check_head(headers: Mapping[bytes, bytes], route: Route) -> None:
    """Refuse what the headers alone tell: a wrong kind of body. Raises HttpError."""
    media_type = headers.get(CONTENT_TYPE)
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
    encoding = headers.get(CONTENT_ENCODING, b"").strip().lower()
    if encoding not in {b"", b"identity", *_WINDOWS}:
        raise HttpError(
            415,
            "unsupported-encoding",
            f"The body is said to be encoded as {encoding.decode('latin-1')[:100]!r}; send it as gzip, as deflate, "
            "or as it is.",
            headers=[(b"accept-encoding", b"gzip, deflate, identity")],
        )


def _stated_size(headers: Mapping[bytes, bytes]) -> int:
    stated = headers.get(CONTENT_LENGTH, b"").strip()
    return int(stated[:19]) if stated.isdigit() else 0


async def _unpack(plane: DataPlane, body: bytes, encoding: bytes) -> bytes:
    work = partial(_inflate, body, _WINDOWS[encoding], plane.limits.max_body)
    try:
        unpacked = work() if len(body) <= _INLINE_COMPRESSED else await plane.in_thread(work)
    except zlib.error:
        raise HttpError(
            400, "not-compressed", f"The body is said to be {encoding.decode()}, and it is not."
        ) from None
    if unpacked is None:
        raise _too_large(plane)
    return unpacked


def _inflate(body: bytes, window: int, most: int) -> bytes | None:
    """The unpacked body; None where it is longer than `most` bytes. Raises zlib.error where it is malformed."""
    unpacker = zlib.decompressobj(window)
    unpacked = unpacker.decompress(body, most + 1)
    if len(unpacked) > most:
        return None
    if not unpacker.eof or unpacker.unused_data:
        raise zlib.error("the stream is cut off, or something follows it")
    return unpacked


def too_slow(plane: DataPlane) -> HttpError:
    """The error of a body that did not arrive in time."""
    return HttpError(
        408, "too-slow", f"The body did not arrive within {plane.limits.client_seconds:g} seconds."
    )


def _too_large(plane: DataPlane) -> HttpError:
    limit = plane.limits.max_body
    return HttpError(
        413, "body-too-large", f"The body is larger than {limit} bytes, the limit; send fewer rows at a time."
    )
