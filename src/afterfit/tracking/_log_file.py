"""The file that a process appends what it logs to: frames with a CRC, one `write` each.

A record is in the page cache once `write` returns, so it survives the end of the process by any signal (not of the
machine's power). A process writes to a file of its own, so only the last frame of a file can be torn.

    file    = MAGIC frame*
    frame   = length (uint32) CRC-32 of the payload (uint32) payload
    payload = 1, JSON document                        all integers little-endian
            | 2, layout (uint16), time (float64, seconds since 1970), step, values

A document `{"layout": n, "step": code, "columns": [[name, code], ...]}` says what the points of a layout hold: `d`
float64, `q` int64, `?` boolean. JSON is Python's dialect: NaN and the infinities are literals, integers have any size.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import threading
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

if (
    sys.platform != "win32"
):  # There is no flock on Windows: there a run counts as running until it says that it ended.
    import fcntl

MAGIC = b"AFRUN1\r\n"
SUFFIX = ".log"
_HEADER = struct.Struct("<II")
_DOCUMENT, _POINT = 1, 2
_CODES: dict[type, str] = {float: "d", int: "q", bool: "?"}
_DTYPES = {"d": "<f8", "q": "<i8", "?": "?"}
_MOST_LAYOUTS = 65_535


class LogFile:
    """The writing end. Safe to use from many threads; of one process."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        self.path = path
        self._file = os.open(path, flags, 0o666)
        if sys.platform != "win32":
            # Held for as long as the process lives: whoever can take it exclusively knows that it ended.
            fcntl.flock(self._file, fcntl.LOCK_SH)
        self._lock = threading.RLock()
        self._layouts: dict[tuple[Any, ...], tuple[struct.Struct, int]] = {}
        self._append(MAGIC)

    def write_document(self, document: Mapping[str, Any]) -> None:
        """Append a document. Raises `ArgumentError` where it cannot be written as JSON."""
        try:
            payload = bytes([_DOCUMENT]) + json.dumps(document, separators=(",", ":")).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise ArgumentError(f"cannot be recorded: {error}") from None
        self._append(_HEADER.pack(len(payload), zlib.crc32(payload)) + payload)

    def write_point(self, step: int | float, values: dict[str, Any]) -> None:
        """Append the values of metrics at a step: bool, int, float or str, each kept exactly."""
        key = (type(step), *values, *map(type, values.values()))
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._new_layout(key, step, values)
        if layout is not None:
            try:
                payload = layout[0].pack(_POINT, layout[1], time.time(), step, *values.values())
            except struct.error:  # an integer of more than 64 bits
                layout = None
        if layout is None:
            self.write_document({"time": time.time(), "step": step, "values": values})
            return
        self._append(_HEADER.pack(len(payload), zlib.crc32(payload)) + payload)

    def close(self, *, durable: bool) -> None:
        """Close the file; with `durable`, once it is on the disk."""
        if durable:
            os.fsync(self._file)
        os.close(self._file)

    def _new_layout(
        self, key: tuple[Any, ...], step: int | float, values: Mapping[str, Any]
    ) -> tuple[struct.Struct, int] | None:
        codes = [_CODES.get(type(value)) for value in (step, *values.values())]
        if None in codes or len(self._layouts) > _MOST_LAYOUTS:
            return None
        known = [code for code in codes if code is not None]
        with self._lock:
            number = len(self._layouts)
            columns = [[name, code] for name, code in zip(values, known[1:], strict=True)]
            self.write_document({"layout": number, "step": known[0], "columns": columns})
            self._layouts[key] = layout = (struct.Struct("<BHd" + "".join(known)), number)
            return layout

    def _append(self, frame: bytes) -> None:
        with self._lock:
            written = os.write(self._file, frame)
            if written != len(frame):
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
                raise OSError(
                    f"{self.path}: the disk took {written} of {len(frame)} bytes; nothing was recorded"
                )


def is_writing(path: Path) -> bool:
    """Whether the process that writes a file still lives; True where the system cannot say."""
    if sys.platform == "win32":
        return True
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@dataclass
class Points:
    """Points of one layout that follow one another, as columns."""

    step: np.ndarray
    time: np.ndarray
    values: dict[str, np.ndarray]


@dataclass
class LogContent:
    """What a file holds, in its order; `torn`: bytes at its end that are no whole frame."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    points: list[Points] = field(default_factory=list)
    torn: int = 0


def read_log(path: Path) -> LogContent:
    """Read a file, also while it is written to. What follows the last whole frame is counted, not read.

    Raises `ArgumentError` where the file is none of ours.
    """
    content = path.read_bytes()
    if content[: len(MAGIC)] != MAGIC[: len(content)]:
        raise ArgumentError(f"{path} is no log of a run")
    found, at = LogContent(), len(MAGIC)
    layouts: dict[int, np.dtype[Any]] = {}
    view = memoryview(content)
    while at + _HEADER.size < len(content):
        length, crc = _HEADER.unpack_from(content, at)
        start, end = at + _HEADER.size, at + _HEADER.size + length
        if not length or end > len(content) or zlib.crc32(view[start:end]) != crc:
            break
        if content[start] == _DOCUMENT:
            document = json.loads(content[start + 1 : end])
            if "layout" in document:
                layouts[document["layout"]] = _dtype(document)
            else:
                found.documents.append(document)
            at = end
        else:
            dtype = layouts[int.from_bytes(content[start + 1 : start + 3], "little")]
            points = _read_points(content, at, dtype)
            found.points.append(
                Points(
                    points["step"],
                    points["time"],
                    {n[1:]: points[n] for n in dtype.names or () if n[0] == "="},
                )
            )
            at += len(points) * dtype.itemsize
    found.torn = len(content) - min(at, len(content))
    return found


def _dtype(document: Mapping[str, Any]) -> np.dtype[Any]:
    columns = [("=" + name, _DTYPES[code]) for name, code in document["columns"]]
    head = [("length", "<u4"), ("crc", "<u4"), ("kind", "u1"), ("layout", "<u2"), ("time", "<f8")]
    return np.dtype([*head, ("step", _DTYPES[document["step"]]), *columns])


def _read_points(content: bytes, at: int, dtype: np.dtype[Any]) -> np.ndarray:
    """The points of one layout from `at` on, as many as follow one another and are whole: at least one."""
    size, count = dtype.itemsize, 64
    while True:
        count = min(count, (len(content) - at) // size)
        frames = np.frombuffer(content, dtype, count, at)
        first = frames[0]
        same = (
            (frames["length"] == first["length"])
            & (frames["kind"] == _POINT)
            & (frames["layout"] == first["layout"])
        )
        alike = count if same.all() else int(same.argmin())
        # Read on in larger pieces while nothing else comes between.
        if alike < count or count == (len(content) - at) // size:
            break
        count *= 16
    view, stop = memoryview(content), at + alike * size
    found = [zlib.crc32(view[i + 8 : i + size]) for i in range(at, stop, size)]
    whole = np.array(found, dtype=np.uint32) == frames["crc"][:alike]
    return frames[: alike if whole.all() else int(whole.argmin())]
