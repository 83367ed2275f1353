"""The reading end of a log file: its documents, and its points as columns.

Points are checked and taken apart by numpy, all of one layout at once, also where layouts take turns; Python walks from
frame to frame only until it knows in what order they do.
"""

from __future__ import annotations

import array
import functools
import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import ArgumentError
from afterfit.tracking._log_file import DOCUMENT, HEADER, MAGIC, POINT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_DTYPES = {"d": "<f8", "q": "<i8", "?": "?"}
_POINT_HEADER = struct.Struct("<IIBH")

_HEADERS = np.dtype([("length", "<u4"), ("crc", "<u4"), ("kind", "u1"), ("layout", "<u2")])

_TAIL = 64
"""Of these the last, which may go on where something else came before them."""

_STRETCH = 32
"""Turns that numpy looks at first."""

_WALK = 256
"""Frames that are walked over one by one before numpy takes those that go on like them."""

_BLOCK = 16_384
"""Points whose CRC is computed together: what the caches of a processor hold."""

_WIDEST = 96
"""Bytes of a point up to which table look-ups are faster than `zlib` point by point."""


@dataclass
class Points:
    """The points of one layout, as columns; `at`: where in the file each is, ascending."""

    at: np.ndarray
    step: np.ndarray
    time: np.ndarray
    values: dict[str, np.ndarray]


@dataclass
class LogContent:
    """What a file holds. `documents`: each with its place in the file, in order; `torn`: bytes at the end that are no
    whole frame; `size`: bytes of the file when it was read.
    """

    documents: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    points: list[Points] = field(default_factory=list)
    torn: int = 0
    size: int = 0


def read_log(path: Path) -> LogContent:
    """Read a file, also while it is written to. What follows the last whole frame is counted, not read.

    Raises `ArgumentError` where the file is none of ours.
    """
    content = path.read_bytes()
    if content[: len(MAGIC)] != MAGIC[: len(content)]:
        raise ArgumentError(f"{path} is no log of a run")
    scan = _Scan(content)
    end = scan.run()
    tables = []
    for number, dtype in scan.layouts.items():
        if scan.places[number]:
            at = np.concatenate(scan.places[number])
            frames = _frames(content, at, dtype)
            whole = _crcs(frames) == frames["crc"]
            if not whole.all():
                end = min(end, int(at[whole.argmin()]))
            tables.append((at, frames))
    found = LogContent([(at, document) for at, document in scan.documents if at < end], size=len(content))
    for at, frames in tables:
        count = int(np.searchsorted(at, end))
        if count:
            values = {name[1:]: frames[name][:count] for name in frames.dtype.names or () if name[0] == "="}
            found.points.append(Points(at[:count], frames["step"][:count], frames["time"][:count], values))
    found.torn = max(0, len(content) - end)
    return found


class _Scan:
    """Where the frames of a file are. Points are not checked yet; `places`: of those of each layout."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.documents: list[tuple[int, dict[str, Any]]] = []
        self.layouts: dict[int, np.dtype[Any]] = {}
        self.places: dict[int, list[np.ndarray]] = {}

    def run(self) -> int:
        """Find them; returns where the last whole frame ends."""
        content, at = self.content, len(MAGIC)
        while at + HEADER.size < len(content):
            length, crc = HEADER.unpack_from(content, at)
            end = at + HEADER.size + length
            if not length or end > len(content):
                break
            if content[at + HEADER.size] == DOCUMENT:
                payload = content[at + HEADER.size : end]
                if zlib.crc32(payload) != crc:
                    break
                self._take_document(at, json.loads(payload[1:]))
                at = end
                continue
            number = int.from_bytes(content[at + HEADER.size + 1 : at + HEADER.size + 3], "little")
            dtype = self.layouts.get(number)
            if content[at + HEADER.size] != POINT or dtype is None or dtype.itemsize != HEADER.size + length:
                break
            at, numbers = self._walk(at)
            if len(numbers) == _WALK:
                at = self._repeat(at, numbers)
        return min(at, len(content))

    def _take_document(self, at: int, document: dict[str, Any]) -> None:
        if "layout" in document:
            self.layouts[document["layout"]] = _dtype(document)
            self.places[document["layout"]] = []
        else:
            self.documents.append((at, document))

    def _walk(self, at: int) -> tuple[int, list[int]]:
        """Go over points one by one, at least one and until something else comes; returns where it does, and their
        layouts.
        """
        content, last = self.content, len(self.content) - _POINT_HEADER.size
        sizes = {number: dtype.itemsize for number, dtype in self.layouts.items()}
        found: dict[int, list[int]] = {number: [] for number in sizes}
        walked: list[int] = []
        unpack = _POINT_HEADER.unpack_from
        for _ in range(_WALK):
            if at > last:
                break
            length, _crc, kind, number = unpack(content, at)
            size = length + HEADER.size
            if kind != POINT or sizes.get(number) != size or at + size > len(content):
                break
            found[number].append(at)
            walked.append(number)
            at += size
        for number, places in found.items():
            if places:
                self.places[number].append(np.array(places))
        return at, walked

    def _repeat(self, at: int, walked: list[int]) -> int:
        """Where layouts took turns of late, take all further turns at once; returns where the last whole one ends."""
        turn = _turn_of(walked) or _turn_of(walked[-_TAIL:])
        if not turn:
            return at
        sizes = np.array([self.layouts[number].itemsize for number in turn])
        starts, whole = np.concatenate([[0], np.cumsum(sizes)[:-1]]), int(sizes.sum())
        most, count = (len(self.content) - at) // whole, _STRETCH
        while True:
            count = min(count, most)
            # Read on in larger pieces while the turns go on.
            alike = min(
                self._headers_alike(number, at + int(start), whole, count)
                for number, start in zip(turn, starts, strict=True)
            )
            if alike < count or count == most:
                break
            count *= 16
        if alike:
            begins = np.arange(at, at + alike * whole, whole)[:, None]
            for number in set(turn):
                within = starts[np.array(turn) == number]
                self.places[number].append((begins + within).ravel())
        return at + alike * whole

    def _headers_alike(self, number: int, at: int, step: int, count: int) -> int:
        """At how many of the places, from the first on, is a point of this layout."""
        if not count:
            return 0
        headers: np.ndarray = np.ndarray((count,), _HEADERS, self.content, at, (step,))
        same = headers["length"] == self.layouts[number].itemsize - HEADER.size
        same &= (headers["kind"] == POINT) & (headers["layout"] == number)
        return count if same.all() else int(same.argmin())


def _turn_of(walked: list[int]) -> list[int]:
    """The shortest sequence that repeats itself over all of these; nothing where there is none."""
    numbers = array.array("H", walked).tobytes()
    for length in range(1, len(walked) // 2 + 1):
        if numbers[2 * length :] == numbers[: -2 * length]:
            return walked[len(walked) - length :]
    return []


def _dtype(document: Mapping[str, Any]) -> np.dtype[Any]:
    columns = [("=" + name, _DTYPES[code]) for name, code in document["columns"]]
    head = [("length", "<u4"), ("crc", "<u4"), ("kind", "u1"), ("layout", "<u2"), ("time", "<f8")]
    return np.dtype([*head, ("step", _DTYPES[document["step"]]), *columns])


def _frames(content: bytes, at: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """The points at these places; without a copy where they follow one another."""
    size = dtype.itemsize
    if int(at[-1]) - int(at[0]) == (len(at) - 1) * size:
        return np.frombuffer(content, dtype, len(at), int(at[0]))
    windows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(content, np.uint8), size)
    frames: np.ndarray = windows[at].view(dtype).reshape(len(at))
    return frames


def _crcs(frames: np.ndarray) -> np.ndarray:
    """The CRC-32 of the payload of each point.

    It is linear: the CRC of bytes is that of zeros, changed (by xor) by what each byte contributes at its place.
    """
    length, count = frames.dtype.itemsize - HEADER.size, len(frames)
    content = frames.view(np.uint8).reshape(count, -1)[:, HEADER.size :]
    if length > _WIDEST or count < _BLOCK // 64:
        return np.array([zlib.crc32(row.tobytes()) for row in content], dtype=np.uint32)
    zeros, tables = _crc_tables(length)
    found = np.full(count, zeros, dtype=np.uint32)
    pairs = content[:, : length // 2 * 2].view("<u2")
    for start in range(0, count, _BLOCK):
        stop = start + _BLOCK
        for i, table in enumerate(tables):
            column = pairs[start:stop, i] if i < pairs.shape[1] else content[start:stop, -1]
            found[start:stop] ^= table.take(column.astype(np.intp), mode="clip")
    return found


@functools.lru_cache(maxsize=16)
def _crc_tables(length: int) -> tuple[int, list[np.ndarray]]:
    """The CRC of so many zeros, and what the values of each two bytes change in it."""
    zeros, tables = zlib.crc32(bytes(length)), []
    for start in range(0, length, 2):
        table = np.zeros(1, dtype=np.uint32)
        for bit in range(8 * min(2, length - start)):
            one = bytearray(length)
            one[start + bit // 8] = 1 << bit % 8
            table = np.concatenate([table, table ^ np.uint32(zlib.crc32(one) ^ zeros)])
        tables.append(table)
    return zeros, tables
