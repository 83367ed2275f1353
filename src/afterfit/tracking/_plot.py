"""Curves as characters, for a terminal."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from afterfit.tracking._panels import COLOURS, panels, placed, plain, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from afterfit.tracking._curves import Curves
    from afterfit.tracking._panels import Panel

PANELS = 8
"""Metrics that are drawn; a line says how many are not."""

SYMBOLS = ".*+x#@"
"""What stands for the sets of rows, in their order, where there is no colour to tell them apart."""

_ROWS = 10
_LABEL = 10
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot of a braille character, by row and column."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A piece of text and its colour, None for the terminal's own."""

    text: str
    colour: str | None = None


def draw_plot(curves: Curves | Sequence[Panel], width: int, *, colour: bool) -> list[list[Mark]]:
    """The lines of a drawing, each in pieces: with `colour` in braille dots, otherwise in one symbol for each set.

    `width`: characters a line has at most, for names that are not longer.
    """
    drawn = panels(curves)
    lines: list[list[Mark]] = []
    for panel in drawn[:PANELS]:
        lines += _draw_panel(panel, max(20, width - _LABEL - 2), colour=colour)
        lines.append([])
    if len(drawn) > PANELS:
        lines.append([Mark(f"{len(drawn) - PANELS:,} more metrics with --json or --curves")])
    return lines


def _draw_panel(panel: Panel, width: int, *, colour: bool) -> list[list[Mark]]:
    head = [Mark(plain(panel.metric))]
    for number, rows in enumerate(panel.runs):
        paint, symbol = COLOURS[number % len(COLOURS)], SYMBOLS[number % len(SYMBOLS)]
        head += [Mark("   "), Mark(f"{'─' if colour else symbol} {plain(rows)}", paint if colour else None)]
    lines = [head]
    caption = panel.caption()
    if caption:
        lines.append([Mark(plain(caption, 100))])
    low, high = panel.span
    cells = _braille(panel, low, high, width) if colour else _symbols(panel, low, high, width)
    labels = {0: shown(panel.high), _ROWS - 1: shown(panel.low)}
    for row in range(_ROWS):
        label = labels.get(row, "")[:_LABEL].rjust(_LABEL)
        lines.append([Mark(f"{label} {'│' if colour else '|'}"), *(cells[row, i] for i in range(width))])
    first, last = f"{plain(panel.unit)} {shown(low)}", shown(high)
    lines.append([Mark(" " * (_LABEL + 2) + first + last.rjust(max(1, width - len(first))))])
    return lines


def _symbols(panel: Panel, low: float, high: float, width: int) -> dict[tuple[int, int], Mark]:
    cells = {(row, i): Mark(" ") for row in range(_ROWS) for i in range(width)}
    for number, runs in enumerate(panel.runs.values()):
        for x, y in _dots(panel, runs, (low, high), (width, _ROWS)):
            cells[y, x] = Mark(SYMBOLS[number % len(SYMBOLS)])
    if panel.best is not None:
        point = [(panel.best.step, panel.best.value)]
        for x, y in _dots(panel, [point], (low, high), (width, _ROWS)):
            cells[y, x] = Mark("o")
    return cells


def _braille(panel: Panel, low: float, high: float, width: int) -> dict[tuple[int, int], Mark]:
    bits: dict[tuple[int, int], int] = {}
    colours: dict[tuple[int, int], str] = {}
    for number, runs in enumerate(panel.runs.values()):
        for x, y in _dots(panel, runs, (low, high), (width * 2, _ROWS * 4)):
            cell = (y // 4, x // 2)
            bits[cell] = bits.get(cell, 0) | _DOTS[y % 4][x % 2]
            colours[cell] = COLOURS[number % len(COLOURS)]
    cells = {
        (row, i): Mark(chr(0x2800 + bits[row, i]), colours[row, i]) if (row, i) in bits else Mark(" ")
        for row in range(_ROWS)
        for i in range(width)
    }
    if panel.best is not None:
        point = [(panel.best.step, panel.best.value)]
        for x, y in _dots(panel, [point], (low, high), (width, _ROWS)):
            cells[y, x] = Mark("●")
    return cells


def _dots(
    panel: Panel,
    runs: list[list[tuple[float, float]]],
    span: tuple[float, float],
    size: tuple[int, int],
) -> Iterator[tuple[int, int]]:
    """The dots that lines through the points touch, on a canvas of so many columns and rows."""
    columns, rows = size
    for run in runs:
        placed_run = [
            (
                round(placed(step, *span) * (columns - 1)),
                round((1 - placed(value, panel.low, panel.high)) * (rows - 1)),
            )
            for step, value in run
        ]
        yield placed_run[0]
        for (x0, y0), (x1, y1) in itertools.pairwise(placed_run):
            length = max(abs(x1 - x0), abs(y1 - y0), 1)
            for i in range(1, length + 1):
                yield round(x0 + (x1 - x0) * i / length), round(y0 + (y1 - y0) * i / length)
