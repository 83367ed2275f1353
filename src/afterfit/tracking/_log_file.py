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
from typing import TYPE_CHECKING, Any

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

if sys.platform != "win32":
    # There is no flock on Windows: there a run counts as running until it says that it ended.
    import fcntl

MAGIC = b"AFRUN1\r\n"
SUFFIX = ".log"
HEADER = struct.Struct("<II")
DOCUMENT, POINT = 1, 2
_CODES: dict[type, str] = {float: "d", int: "q", bool: "?"}
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
            payload = bytes([DOCUMENT]) + json.dumps(document, separators=(",", ":")).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise ArgumentError(f"cannot be recorded: {error}") from None
        self._append(HEADER.pack(len(payload), zlib.crc32(payload)) + payload)

    def write_point(self, step: int | float, values: dict[str, Any]) -> None:
        """Append the values of metrics at a step: bool, int, float or str, each kept exactly."""
        key = (type(step), *values, *map(type, values.values()))
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._new_layout(key, step, values)
        if layout is not None:
            try:
                payload = layout[0].pack(POINT, layout[1], time.time(), step, *values.values())
            except struct.error:  # an integer of more than 64 bits
                layout = None
        if layout is None:
            self.write_document({"time": time.time(), "step": step, "values": values})
            return
        self._append(HEADER.pack(len(payload), zlib.crc32(payload)) + payload)

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
