"""A connection that speaks as much HTTP/1.1 as a load test needs, and costs little.

An HTTP library would be most of what is measured.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from afterfit.loadtest._target import Target

_HEAD_END = b"\r\n\r\n"
_MAX_HEAD = 65_536


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes


class CutError(Exception):
    """The connection ended before the answer did."""


class MalformedReplyError(Exception):
    """What came back is no HTTP."""


class Connection(asyncio.Protocol):
    """One connection, on which one request is under way at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._buffer = b""
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits: an answer without a length ends with its connection, others are cut."""
        del exc
        self.is_open = False
        if self._waiter is None or self._waiter.done():
            return
        try:
            reply = _parse(self._buffer, ended=True)
        except MalformedReplyError as error:
            self._waiter.set_exception(error)
            return
        if reply is None:
            self._waiter.set_exception(CutError())
        else:
            self._waiter.set_result(reply[0])

    def data_received(self, data: bytes) -> None:
        """Gather an answer until it is whole."""
        self._buffer = self._buffer + data if self._buffer else data
        if self._waiter is None or self._waiter.done():
            self.abort()
            return
        try:
            found = _parse(self._buffer, ended=False)
        except MalformedReplyError as error:
            self._waiter.set_exception(error)
            self.abort()
            return
        if found is None:
            return
        reply, keep = found
        self._buffer = b""
        if not keep:
            self.close()
        self._waiter.set_result(reply)

    def ask(self, message: bytes) -> asyncio.Future[Reply]:
        """Send a request; its answer. Raises CutError or MalformedReplyError where there is none."""
        self._waiter = asyncio.get_running_loop().create_future()
        if self._transport is None or not self.is_open:
            self._waiter.set_exception(CutError())
        else:
            self._transport.write(message)
        return self._waiter

    def send_and_leave(self, message: bytes) -> None:
        """Send, and close without waiting for an answer."""
        if self._transport is not None:
            self._transport.write(message)
        self.close()

    def close(self) -> None:
        """Close once everything is sent."""
        self.is_open = False
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()


async def connect(target: Target, context: ssl.SSLContext | None) -> Connection:
    """A new connection. Raises OSError where the server does not take it."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, target.host, target.port, ssl=context)
    return connection


def tls_context(target: Target) -> ssl.SSLContext | None:
    """What connections to the target share; making one takes tens of milliseconds."""
    return ssl.create_default_context() if target.tls else None


def _parse(data: bytes, *, ended: bool) -> tuple[Reply, bool] | None:
    """The answer at the start of `data`, and whether the connection goes on; None where it is not whole."""
    end = data.find(_HEAD_END)
    if end < 0:
        if len(data) > _MAX_HEAD:
            raise MalformedReplyError("the head of the answer has no end")
        return None
    head = data[:end].lower()
    if not head.startswith(b"http/1.1 ") or not head[9:12].isdigit():
        raise MalformedReplyError(f"the answer begins with {data[:40]!r}, which is no HTTP/1.1")
    status = int(head[9:12])
    keep = b"\r\nconnection: close" not in head
    start = end + 4
    length = _field(head, b"\r\ncontent-length:")
    if length is not None:
        if not length.isdigit():
            raise MalformedReplyError(f"the answer is said to be {length!r} bytes long")
        stop = start + int(length)
        return (Reply(status, data[start:stop]), keep) if len(data) >= stop else None
    if _field(head, b"\r\ntransfer-encoding:") == b"chunked":
        body = _unchunk(data, start)
        return None if body is None else (Reply(status, body), keep)
    if status in {204, 304}:
        return Reply(status, b""), keep
    return (Reply(status, data[start:]), False) if ended else None


def _field(head: bytes, name: bytes) -> bytes | None:
    at = head.find(name)
    if at < 0:
        return None
    at += len(name)
    end = head.find(b"\r\n", at)
    return head[at : None if end < 0 else end].strip()


def _unchunk(data: bytes, at: int) -> bytes | None:
    parts: list[bytes] = []
    while True:
        line = data.find(b"\r\n", at)
        if line < 0:
            return None
        try:
            size = int(data[at:line].partition(b";")[0], 16)
        except ValueError:
            raise MalformedReplyError("a chunk of the answer has no size") from None
        at = line + 2
        if len(data) < at + size + 2:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(data[at : at + size])
        at += size + 2
