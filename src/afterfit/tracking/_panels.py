"""What every picture of curves shows, whatever it is drawn with: panels, scales, labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from afterfit.tracking._curves import Best, Curves, best_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COLOURS = ("#2563eb", "#ea580c", "#059669", "#9333ea", "#b91c1c", "#0891b2")
"""Of the sets of rows of a panel, in their order; the first two are told apart by people who confuse red and green."""

AXES = ("epoch", "iteration", "iter", "round", "step", "global_step")
"""Names of what counts steps; a metric called so is not drawn."""

POINTS = 2000
"""Points a curve is drawn with; of a longer one the lowest and the highest of each stretch."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One metric: for each set of rows its runs of finite points, the best of them, and the span of the values.

    `unit`: what a step is; `span`: the first and the last step of the picture.
    """

    metric: str
    runs: dict[str, list[list[tuple[float, float]]]]
    best: Best | None
    low: float
    high: float
    not_finite: int
    unit: str
    span: tuple[float, float]
    whole: bool
    """Whether every step is an integer."""

    def caption(self) -> str:
        """What is written under the name of the metric."""
        parts = []
        if self.best is not None:
            parts.append(
                f"best {shown(self.best.value)} ({self.best.rows}) at {self.unit} {shown(self.best.step)}"
            )
        if self.not_finite:
            parts.append(f"{self.not_finite:,} values are not finite")
        return "; ".join(parts)


def panels(curves: Curves | Sequence[Panel]) -> list[Panel]:
    """A panel for each metric that has a finite value; panels are taken as they are."""
    if not isinstance(curves, Curves):
        return list(curves)
    drawn = [_panel(metric, curves) for metric in curves.metrics if metric not in AXES]
    return [panel for panel in drawn if any(panel.runs.values())]


def _panel(metric: str, curves: Curves) -> Panel:
    sets = curves.metrics[metric]
    runs = {
        rows: [_thinned(run) for run in finite_runs(curves.step, values)] for rows, values in sets.items()
    }
    finite = [
        value for values in sets.values() for value in values if value is not None and math.isfinite(value)
    ]
    gone = sum(value is not None and not math.isfinite(value) for values in sets.values() for value in values)
    low, high = margined(min(finite, default=0.0), max(finite, default=1.0))
    whole = all(step.is_integer() for step in curves.step)
    best = best_of(metric, curves)
    return Panel(metric, runs, best, low, high, gone, curves.unit, span_of(curves), whole)


def margined(low: float, high: float) -> tuple[float, float]:
    """The span of an axis: a little around values that are all but equal."""
    # Half of each, since the difference of two float64 may be beyond float64.
    if high / 2 - low / 2 <= max(abs(low), abs(high)) * 1e-12:
        margin = max(abs(low) * 0.05, 1e-3)
        return low - margin, high + margin
    return low, high


def finite_runs(steps: Sequence[float], values: Sequence[float | None]) -> list[list[tuple[float, float]]]:
    """The points of a curve, parted where a value is missing or not finite."""
    runs: list[list[tuple[float, float]]] = [[]]
    for step, value in zip(steps, values, strict=True):
        if value is not None and math.isfinite(value):
            runs[-1].append((step, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _thinned(run: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(run) <= POINTS:
        return run
    stretch = math.ceil(len(run) / (POINTS // 2))
    kept = []
    for start in range(0, len(run), stretch):
        part = run[start : start + stretch]
        ends = {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
        kept += sorted(ends)
    return kept


def shown(value: float) -> str:
    """A number as people read it on a picture."""
    return f"{value:.6g}" if value.is_integer() and abs(value) < 1e6 else f"{value:.4g}"


def placed(value: float, low: float, high: float) -> float:
    """Where a value lies between two others, from 0 to 1."""
    span = high / 2 - low / 2
    return (value / 2 - low / 2) / span if span > 0 else 0.5


def ticks(low: float, high: float, wanted: int = 5, *, whole: bool = False) -> list[float]:
    """Round numbers between two others, some `wanted` of them; with `whole`, integers alone."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low]
    rough = span / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    if power == 0 or not math.isfinite(1 / power):
        return [low, high]
    size = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    if whole:
        size = max(1.0, float(round(size)))
    return list(_multiples(size, low, high))


def _multiples(size: float, low: float, high: float) -> Iterator[float]:
    for i in range(math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9) + 1):
        # Divided where the size is below 1, so that 3 steps of 0.1 are 0.3.
        yield i * size if size >= 1 else i / round(1 / size, 6)


def span_of(curves: Curves) -> tuple[float, float]:
    """The first and the last step."""
    return min(curves.step), max(curves.step)


def plain(text: str, width: int = 60) -> str:
    """A name that may come from a stranger: no character that steers or that XML forbids, and not endless."""
    safe = "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode("ascii")
        for char in text[:width]
    )
    return safe + ("..." if len(text) > width else "")
