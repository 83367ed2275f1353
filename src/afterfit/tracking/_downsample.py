"""Curves of any length drawn with few points that lose no extreme."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from afterfit.tracking._curves import Best, direction_of
from afterfit.tracking._panels import Panel, finite_runs, margined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from afterfit.tracking._record import Series

BUCKETS = 500
"""Stretches that a curve is drawn in; about the pixels of a panel."""


def downsample(value: np.ndarray, buckets: int = BUCKETS) -> np.ndarray:
    """The positions to draw of `value` (float64 [N]): of each stretch the first, last, lowest and highest, and a gap.

    M4 (Jugel, Jerzak, Hackenbroich, Markl: M4: A Visualization-Oriented Time Series Data Aggregation, VLDB 2014), with
    stretches of equally many points, and the first value that is not finite, so that a curve stays parted where it is.
    Laws: positions are ascending; at most 5 for a bucket; the lowest and highest finite value are among them;
    all of them
    where N <= 5 * `buckets`.
    """
    if len(value) <= 5 * buckets:
        return np.arange(len(value))
    width = math.ceil(len(value) / buckets)
    rows = math.ceil(len(value) / width)
    padded = np.full(rows * width, np.nan)
    padded[: len(value)] = value
    grid = padded.reshape(rows, width)
    finite = np.isfinite(grid)
    start = np.arange(rows) * width
    last = np.minimum(start + width, len(value)) - 1
    gap = start + (~finite).argmax(axis=1)
    found = [
        start,
        last,
        start + np.where(finite, grid, np.inf).argmin(axis=1),
        start + np.where(finite, grid, -np.inf).argmax(axis=1),
        gap[~finite.all(axis=1)],
    ]
    positions = np.unique(np.concatenate(found))
    return positions[positions < len(value)]


def panel_of(metric: str, series: Mapping[str, Series], unit: str = "step") -> Panel | None:
    """One metric of several runs, drawn together; None where none has a finite value at a finite step.

    The best value is that of all points, by the name of the metric where it says what is good.
    """
    runs: dict[str, list[list[tuple[float, float]]]] = {}
    best: Best | None = None
    direction = direction_of(metric)
    gone, lows, highs, steps, whole = 0, [], [], [], True
    for label, one in series.items():
        step, value = one.numbers()
        step, value = step[np.isfinite(step)], value[np.isfinite(step)]
        known = np.isfinite(value)
        gone += int((~known).sum())
        if not known.any():
            continue
        kept = downsample(value)
        runs[label] = finite_runs(step[kept].tolist(), value[kept].tolist())
        low, high = np.where(known, value, np.inf).argmin(), np.where(known, value, -np.inf).argmax()
        lows.append(float(value[low]))
        highs.append(float(value[high]))
        steps += [float(step[0]), float(step[-1])]
        whole = whole and bool((step[kept] == np.floor(step[kept])).all())
        at = int(high if direction == "higher" else low)
        sign = -1 if direction == "higher" else 1
        if direction is not None and (best is None or sign * float(value[at]) < sign * best.value):
            best = Best(
                rows=label, position=at, step=float(step[at]), value=float(value[at]), direction=direction
            )
    if not runs:
        return None
    span = (min(steps), max(steps))
    return Panel(metric, runs, best, *margined(min(lows), max(highs)), gone, unit, span, whole)
