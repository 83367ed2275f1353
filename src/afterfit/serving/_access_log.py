"""The access log: one line of JSON for each request, and never a value of a row."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from afterfit.serving._exchange import Route, Scope
    from afterfit.serving._trace import Trace

STDERR = "-"
"""Instead of a path: standard error."""

MAX_PATH = 200
"""Characters of a path that is no route."""

_ATOMIC = 4096
"""Bytes that a pipe takes whole, so that lines of several workers are not mixed."""

_LOOK_SECONDS = 1.0
"""How often it is seen whether the file was moved away, to open a new one."""

_log = logging.getLogger("afterfit.serving")
_encode = msgspec.json.Encoder().encode


class _Line(msgspec.Struct, omit_defaults=True):
    time: datetime
    request_id: str
    trace_id: str
    span_id: str
    method: str
    route: str | None
    status: int
    ms: float
    bytes: int
    parent_id: str | None = None
    path: str | None = None
    model: str | None = None
    rows: int | None = None
    decode_ms: float | None = None
    model_ms: float | None = None
    write_ms: float | None = None
    key: str | None = None


class AccessLog:
    """Writes to a file, which it opens anew where it was moved away, or to standard error.

    Lines are gathered during one turn of the event loop and written at its end. What cannot be written is lost:
    a full disk must not stop the answers; the log of the server says so once. Must be used on the event loop.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lines: list[bytes] = []
        self._file = 2 if path == STDERR else open_log(path)
        self._look_at = time.monotonic() + _LOOK_SECONDS
        self._is_failing = False

    def write(
        self, trace: Trace, scope: Scope, route: Route | None, status: int, seconds: float, sent: int
    ) -> None:
        """Write the line of a request that was answered just now."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.flush)
        state = scope.get("state") or {}
        line = _Line(
            datetime.fromtimestamp(time.time() - seconds, UTC),
            trace.request_id,
            trace.trace_id,
            trace.span_id,
            scope["method"][:20],
            None if route is None else route.path,
            status,
            _ms(seconds) or 0.0,
            sent,
            None if trace.parent is None else trace.parent.span_id,
            _shown(scope["path"]) if route is None else None,
            trace.model,
            trace.rows,
            _ms(trace.decoding),
            _ms(trace.model_time),
            _ms(trace.writing),
            state.get("key"),
        )
        self._lines.append(_encode(line))

    def flush(self) -> None:
        """Write what was gathered."""
        lines, self._lines = self._lines, []
        try:
            self._reopen_if_moved()
            for part in _parts(lines):
                left = memoryview(part)
                while left:
                    left = left[os.write(self._file, left) :]
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                _log.error("the access log cannot be written, and lines of it are lost: %s", error)
            self._is_failing = True

    def close(self) -> None:
        """Write what is left."""
        self.flush()
        if self._path != STDERR:
            os.close(self._file)

    def _reopen_if_moved(self) -> None:
        now = time.monotonic()
        if self._path == STDERR or now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        try:
            is_same = os.path.samestat(os.stat(self._path), os.fstat(self._file))  # noqa: PTH116 - a string, as given
        except FileNotFoundError:
            is_same = False
        if not is_same:
            opened = open_log(self._path)
            os.close(self._file)
            self._file = opened


def open_log(path: str) -> int:
    """A descriptor that appends to the file; it is made where there is none, for its owner alone. Raises OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o600)


def _parts(lines: list[bytes]) -> list[bytes]:
    """The lines joined into pieces that are written whole."""
    parts: list[bytes] = []
    gathered = b""
    for line in lines:
        if gathered and len(gathered) + len(line) >= _ATOMIC:
            parts.append(gathered)
            gathered = b""
        gathered += line + b"\n"
    return [*parts, gathered] if gathered else parts


def _ms(seconds: float | None) -> float | None:
    # `round` takes four times as long.
    return None if seconds is None else int(1e6 * seconds) / 1e3


def _shown(path: str) -> str:
    return path[:MAX_PATH].encode("utf-8", "backslashreplace").decode()
