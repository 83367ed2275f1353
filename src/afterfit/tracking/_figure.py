"""Curves as a picture in a file.

The SVG is written here, since every bundle with a history holds one and saving must need no plotting library;
the PNG is drawn with matplotlib, from the same panels.
"""

from __future__ import annotations

import importlib.util
import io
import math
from html import escape
from typing import TYPE_CHECKING

from afterfit.errors import ArgumentError
from afterfit.tracking._panels import COLOURS, panels, placed, plain, shown, ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterfit.tracking._curves import Curves
    from afterfit.tracking._panels import Panel

PANELS = 24
"""Panels of a picture; it says how many metrics it leaves out."""

WIDTH, HEIGHT = 480, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 66, 44
_FOOT = 24


def draw_svg(curves: Curves | Sequence[Panel]) -> str:
    """A picture of the curves: a panel for each metric, a line for each set of rows, the best step marked.

    Pure and deterministic: equal curves give equal text. It holds no script and refers to nothing outside.
    """
    drawn = panels(curves)
    held = drawn[:PANELS]
    across = min(2, max(1, len(held)))
    down = max(1, math.ceil(len(held) / across))
    note = _note(drawn)
    width, height = across * WIDTH, down * HEIGHT + (_FOOT if note else 0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11" fill="#334155">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for i, panel in enumerate(held):
        x, y = i % across * WIDTH, i // across * HEIGHT
        lines += [f'<g transform="translate({x} {y})">', *_draw_panel(panel), "</g>"]
    if note:
        lines.append(_text(_LEFT, height - 8, note))
    return "\n".join([*lines, "</svg>"]) + "\n"


def draw_png(curves: Curves | Sequence[Panel]) -> bytes:
    """The same picture as PNG, drawn with matplotlib.

    Raises `ArgumentError` where matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ArgumentError(
            "a PNG is drawn with matplotlib, which is not installed: write an .svg file, or "
            'pip install "afterfit[plots]"'
        )
    from matplotlib.figure import Figure

    drawn = panels(curves)
    held = drawn[:PANELS]
    across = min(2, max(1, len(held)))
    down = max(1, math.ceil(len(held) / across))
    figure = Figure(figsize=(across * 4.8, down * 3.0), dpi=150, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes, panel in zip(grid, held, strict=False):
        # A dollar sign would otherwise begin a formula.
        axes.set_title(plain(panel.metric).replace("$", r"\$"), loc="left", fontweight="bold", fontsize=10)
        for colour, (rows, runs) in zip(_colours(len(panel.runs)), panel.runs.items(), strict=True):
            for number, run in enumerate(runs):
                label = f" {plain(rows)}".replace("$", r"\$") if number == 0 else None
                style = {"marker": "."} if len(run) == 1 else {}
                axes.plot(*zip(*run, strict=True), color=colour, label=label, linewidth=1.5, **style)
        if panel.best is not None:
            axes.axvline(panel.best.step, color="#64748b", linewidth=0.8, linestyle="--")
            axes.plot(panel.best.step, panel.best.value, "o", color="#0f172a", fillstyle="none")
        caption = panel.caption()
        axes.set_xlabel(plain(panel.unit) + (f"\n{plain(caption, 80)}" if caption else ""), fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(color="#e2e8f0")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False)
    for axes in grid[len(held) :]:
        axes.set_axis_off()
    note = _note(drawn)
    if note:
        figure.supxlabel(note, fontsize=8)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def _note(drawn: list[Panel]) -> str:
    if not drawn:
        return "no metric has a finite value"
    left_out = len(drawn) - PANELS
    return f"{left_out:,} more metrics are in history.json" if left_out > 0 else ""


def _draw_panel(panel: Panel) -> list[str]:
    low, high = panel.span
    inner_width, inner_height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def across(step: float) -> float:
        return _LEFT + placed(step, low, high) * inner_width

    def down(value: float) -> float:
        return _TOP + (1 - placed(value, panel.low, panel.high)) * inner_height

    foot = HEIGHT - _BOTTOM
    lines = [_text(_LEFT, 20, plain(panel.metric), ' font-size="14" font-weight="bold" fill="#0f172a"')]
    lines.append(_text(_LEFT, 36, plain(panel.caption(), 80)))
    for value in ticks(panel.low, panel.high):
        y = down(value)
        lines.append(f'<path d="M{_LEFT} {y:.2f}H{WIDTH - _RIGHT}" stroke="#e2e8f0"/>')
        lines.append(_text(_LEFT - 6, y + 4, shown(value), ' text-anchor="end"'))
    lines += [
        _text(across(step), foot + 16, shown(step), ' text-anchor="middle"')
        for step in ticks(low, high, whole=panel.whole)
    ]
    lines.append(f'<path d="M{_LEFT} {foot}H{WIDTH - _RIGHT}" stroke="#94a3b8"/>')
    lines.append(_text(_LEFT + inner_width / 2, foot + 34, plain(panel.unit), ' text-anchor="middle"'))
    x = float(_LEFT)
    for colour, (rows, runs) in zip(_colours(len(panel.runs)), panel.runs.items(), strict=True):
        lines.append(f'<path d="M{x:.2f} 50h16" stroke="{colour}" stroke-width="2"/>')
        lines.append(_text(x + 20, 54, plain(rows, 20)))
        x += 36 + 6.5 * len(plain(rows, 20))
        for run in runs:
            points = " ".join(f"{across(step):.2f},{down(value):.2f}" for step, value in run)
            if len(run) == 1:
                at = points.split(",")
                lines.append(f'<circle cx="{at[0]}" cy="{at[1]}" r="2" fill="{colour}"/>')
            else:
                lines.append(
                    f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5" '
                    'stroke-linejoin="round"/>'
                )
    if panel.best is not None:
        at_x, at_y = across(panel.best.step), down(panel.best.value)
        lines.append(f'<path d="M{at_x:.2f} {_TOP}V{foot}" stroke="#64748b" stroke-dasharray="4 3"/>')
        lines.append(
            f'<circle cx="{at_x:.2f}" cy="{at_y:.2f}" r="4" fill="none" stroke="#0f172a" stroke-width="1.5"/>'
        )
    return lines


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x:.2f}" y="{y:.2f}"{attributes}>{escape(text)}</text>'


def _colours(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]
