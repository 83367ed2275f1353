"""Which parameters matter for a metric, and how sure that is.

PED-ANOVA (Watanabe, Bansal, Hutter: PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
Subspaces,
IJCAI 2023): a parameter matters as far as its values among the best runs are distributed otherwise than among
all: by the
Pearson divergence of the two, parameter by parameter. It needs no model, takes numbers and categories alike,
and does not
see interactions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FEWEST = 10
"""Runs below which nothing is said."""

FEW = 50
"""Runs below which the answer is called a hint."""

BEST = 0.25
"""Share of the runs that counts as the best."""

BINS = 5
RESAMPLES = 500
INTERVAL = 0.9


@dataclass(frozen=True, slots=True)
class Importance:
    """`share` of the divergence of all parameters, 0 to 1, with a bootstrap interval of 90 %.

    `chance`: how often a parameter without influence, its values shuffled over the runs, diverges at least as much: a
    permutation p-value. Where it is not small the parameter is not told apart from one without influence.
    """

    name: str
    share: float
    low: float
    high: float
    chance: float
    values: int


def explain_metric(
    columns: Mapping[str, Sequence[Any]],
    metric: Sequence[float],
    *,
    lower: bool,
    seed: int = 0,
    move: Callable[[float | None, str], None] | None = None,
) -> list[Importance]:
    """The importance of each column (one value for each run, None where a run has none) for a metric, the
    largest first.

    Columns of one value are left out. Values that are numbers throughout are cut into 5 bins of equally many;
    others, and
    numbers of at most 5 values, count as categories; None is a category. `metric` is finite. Pure: one `seed`,
    one answer. `move(fraction, note)` is told how far it is.
    Raises `ArgumentError` for fewer than 10 runs, or where no column varies.
    """
    value = np.asarray(metric, dtype=np.float64)
    if len(value) < FEWEST:
        raise ArgumentError(
            f"{len(value)} runs have this metric; importance needs {FEWEST} at least, and {FEW} to be more than a hint"
        )
    codes = {name: codes_of(column) for name, column in columns.items()}
    codes = {name: code for name, code in codes.items() if code.max() > 0}
    if not codes:
        raise ArgumentError("no parameter differs between these runs")
    names, table = list(codes), np.stack(list(codes.values()))
    signed = value if lower else -value
    divergence = _divergences(table, signed)
    generator = np.random.default_rng(seed)
    drawn, shuffled = np.zeros((RESAMPLES, len(names))), np.zeros(len(names))
    for i in range(RESAMPLES):
        if move is not None and i % 10 == 0:
            move(i / RESAMPLES, "resampling")
        rows = generator.integers(0, len(value), len(value))
        drawn[i] = _shares(_divergences(table[:, rows], signed[rows]))
        shuffled += _divergences(table, generator.permutation(signed)) >= divergence - 1e-12
    share = _shares(divergence)
    low, high = np.quantile(drawn, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2], axis=0)
    chance = (shuffled + 1) / (RESAMPLES + 1)
    found = [
        Importance(
            name, float(share[i]), float(low[i]), float(high[i]), float(chance[i]), int(table[i].max()) + 1
        )
        for i, name in enumerate(names)
    ]
    return sorted(found, key=lambda one: (-one.share, one.name))


def codes_of(column: Sequence[Any]) -> np.ndarray:
    """The bin or category of each value, from 0."""
    known = [v for v in column if v is not None]
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in known)
    if numeric and len(set(known)) > BINS:
        numbers = np.array([math.nan if v is None else float(v) for v in column])
        edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1]))
        code = np.searchsorted(edges, numbers, side="left")
        code[np.isnan(numbers)] = len(edges) + 1
        keys: list[Any] = code.tolist()
    else:
        keys = [f"{type(v).__name__}:{v!r}" for v in column]
    order = {key: i for i, key in enumerate(sorted(set(keys)))}
    return np.array([order[key] for key in keys], dtype=np.int64)


def _divergences(table: np.ndarray, value: np.ndarray) -> np.ndarray:
    """For each row of `table` (codes [P, N]) the Pearson divergence of its values among the best from those
    among all.
    """
    rows, width = len(value), int(table.max()) + 1
    best = value <= np.quantile(value, BEST, method="inverted_cdf")
    at = table + width * np.arange(len(table))[:, None]
    size = width * len(table)
    # One more in each category, as the prior of the paper does, so that none has no probability.
    everything = np.bincount(at.ravel(), minlength=size).reshape(-1, width)
    top = np.bincount(at[:, best].ravel(), minlength=size).reshape(-1, width)
    used = everything > 0
    count = used.sum(axis=1, keepdims=True)
    p_all = np.where(used, (everything + 1) / (rows + count), 1.0)
    p_top = np.where(used, (top + 1) / (int(best.sum()) + count), 1.0)
    divergence: np.ndarray = (p_all * (p_top / p_all - 1) ** 2).sum(axis=1)
    return divergence


def _shares(divergence: np.ndarray) -> np.ndarray:
    whole = float(divergence.sum())
    return divergence / whole if whole > 0 else np.zeros(len(divergence))
