"""Where a trace stops, and the line of the person's code that stopped it."""

from __future__ import annotations

import linecache
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

LIBRARIES = frozenset(
    {"afterfit", "contextlib", "functools", "inspect", "joblib", "numpy", "pandas", "scipy", "sklearn"}
)
"""Packages whose lines say nothing to the person; the line that called into them does."""

WRITE_ARRAYS = "Write the function with array operations on whole columns, or apply it before X is given"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a person's code."""

    file: str
    number: int

    def __str__(self) -> str:
        source = linecache.getline(self.file, self.number).strip()
        place = f'file "{self.file}", line {self.number}'
        return f"{place}: `{source}`" if source else place


class StopError(Exception):
    """Something in a person's code that has no exact form in a graph; `line` is where."""

    def __init__(self, reason: str, way_out: str = WRITE_ARRAYS) -> None:
        super().__init__(f"{reason}. {way_out}")
        self.reason = reason
        self.way_out = way_out
        self.line = _calling_line(sys._getframe(1))  # noqa: SLF001 - the only way to the caller's frame


def raised_line(error: BaseException) -> Line | None:
    """The innermost line of a person's code that `error` passed through."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    numbers = [number for _, number in traceback.walk_tb(error.__traceback__)]
    for frame, number in reversed(list(zip(frames, numbers, strict=True))):
        if not _is_library(frame):
            return Line(frame.f_code.co_filename, number)
    return None


def _calling_line(frame: FrameType | None) -> Line | None:
    while frame is not None:
        if not _is_library(frame):
            return Line(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


def _is_library(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in LIBRARIES
