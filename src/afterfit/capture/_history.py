"""The log of a training, as each library keeps it, in one form."""

from __future__ import annotations

import itertools
import numbers
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from afterfit.capture._frames import kind_of
from afterfit.errors import ArgumentError
from afterfit.tracking import Curves, draw_svg, encode_curves, read_curves

_TAKEN = (
    "a Keras History, a dict of lists, a dict of dicts of lists (evals_result), a DataFrame with a row a step, a list "
    "of dicts, a list of losses, or a fitted estimator that kept its curve"
)

_SETS = {
    "train": "train",
    "training": "train",
    "learn": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "eval": "validation",
    "test": "test",
}
_PREFIXED = re.compile(r"(train|training|val|valid|validation|eval|test)[_/\-. ](?=[^\W\d])(.+)", re.DOTALL)
_UNITS = {
    "epoch": "epoch",
    "iteration": "iteration",
    "iter": "iteration",
    "round": "round",
    "step": "step",
    "global_step": "step",
}
_SHOWN = 20


@dataclass
class _Log:
    """What was read of a history: `series` are its columns, by metric and set of rows."""

    unit: str = "step"
    step: Any = None
    series: dict[tuple[str, str], tuple[str, Any]] = field(default_factory=dict)
    """Metric and set of rows to the name that the history gives them, and the values."""
    mistakes: list[str] = field(default_factory=list)

    def add(self, metric: str, rows: str, label: str, values: Any) -> bool:
        """Take a curve, unless there is one of this metric and these rows."""
        if (metric, rows) in self.series:
            return False
        self.series[metric, rows] = (label, values)
        return True

    def add_column(self, name: str, values: Any) -> None:
        """Take a column whose name says which rows it is of: `val_loss`, `train/loss`, `loss`."""
        found = _PREFIXED.fullmatch(name)
        metric, rows = (found[2], _SETS[found[1]]) if found else (name, "train")
        # A trainer may log both `loss` and `train_loss`: the later keeps its whole name.
        if not self.add(metric, rows, name, values) and not self.add(name, rows, name, values):
            self.mistakes.append(f"{name!r} occurs twice")


def history_entries(history: Any) -> dict[str, bytes]:
    """`training/history.json` and `training/curves.svg`; equal histories give equal bytes.

    Raises `ArgumentError` with every mistake of the history.
    """
    curves = read_history(history)
    return {"training/history.json": encode_curves(curves), "training/curves.svg": draw_svg(curves).encode()}


def read_history(history: Any) -> Curves:
    """The curves of a history, whatever library kept it. Values are taken exactly; a gap stays a gap.

    Law: a history in our own form is returned equal. Raises `ArgumentError` with every mistake.
    """
    if isinstance(history, Mapping) and set(history) == {"unit", "step", "metrics"}:
        log = _read_canonical(history)
    elif isinstance(getattr(history, "history", None), Mapping):
        log = _Log(unit="epoch", step=list(history.epoch))
        _add_columns(log, history.history)
    else:
        log = _read_plain(history)
    return _checked(log)


def _read_plain(history: Any) -> _Log:
    kind = kind_of(history)
    if kind in {"pandas", "polars", "pyarrow"} and hasattr(history, "columns"):
        return _with_step(_frame_columns(history, kind))
    if isinstance(history, Mapping):
        sets = [isinstance(member, Mapping) for member in history.values()]
        return _read_sets(history) if sets and all(sets) else _with_step(history)
    if isinstance(history, np.ndarray) and history.ndim == 1:
        history = history.tolist()
    if isinstance(history, Sequence) and not isinstance(history, str | bytes):
        if history and all(isinstance(record, Mapping) for record in history):
            names = dict.fromkeys(name for record in history for name in record)
            return _with_step({name: [record.get(name) for record in history] for name in names})
        log = _Log()
        log.add("loss", "train", "the list", history)
        return log
    return _read_estimator(history)


def _read_canonical(history: Mapping[str, Any]) -> _Log:
    log = _Log(unit=str(history["unit"]), step=history["step"])
    for metric, sets in history["metrics"].items():
        for rows, values in sets.items():
            log.add(metric, rows, f"{metric}, {rows}", _unspelled(values))
    return log


def _unspelled(values: Any) -> Any:
    """Values read from our own JSON, where numbers that are not finite are words."""
    words = ("NaN", "Infinity", "-Infinity")
    return [float(v) if isinstance(v, str) and v in words else v for v in values]


def _read_sets(history: Mapping[Any, Mapping[Any, Any]]) -> _Log:
    """Set of rows to metric to values, as boosters keep them; or the other way round, where names say so."""
    log = _Log(unit="iteration")
    inner = {str(name) for member in history.values() for name in member}
    turned = inner <= set(_SETS) and not {str(name) for name in history} & set(_SETS)
    for outer, member in history.items():
        for name, values in member.items():
            rows, metric = (str(name), str(outer)) if turned else (str(outer), str(name))
            # Two sets may have names that mean the same; then each keeps its own.
            known = _SETS.get(rows, rows)
            if not log.add(metric, known, f"{outer}, {name}", values):
                log.add(metric, rows, f"{outer}, {name}", values)
    return log


def _with_step(columns: Mapping[Any, Any]) -> _Log:
    """Columns, one of which may count the steps: the first by the usual names that rises throughout."""
    log = _Log()
    named = {str(name): values for name, values in columns.items()}
    for name, unit in _UNITS.items():
        values = named.get(name)
        if values is not None and len(named) > 1 and _rises(values):
            log.unit, log.step = unit, list(named.pop(name))
            break
    _add_columns(log, named)
    return log


def _rises(values: Any) -> bool:
    if isinstance(values, str) or not isinstance(values, Iterable):
        return False
    found = [_as_number(value) for value in values]
    known = [value for value in found if isinstance(value, float)]
    return len(known) == len(found) and all(a < b for a, b in itertools.pairwise(known))


def _add_columns(log: _Log, columns: Mapping[Any, Any]) -> None:
    for name, values in columns.items():
        log.add_column(str(name), values)


def _frame_columns(frame: Any, kind: str) -> dict[str, list[Any]]:
    if kind == "polars":
        return dict(frame.to_dict(as_series=False))
    if kind == "pyarrow":
        return dict(frame.to_pydict())
    columns = {} if frame.index.name not in _UNITS else {frame.index.name: frame.index.tolist()}
    for position, name in enumerate(frame.columns):
        series = frame.iloc[:, position]
        # pandas holds a gap of a column of numbers as NaN.
        values = [None if gap else v for v, gap in zip(series.tolist(), series.isna().tolist(), strict=True)]
        columns[str(name)] = values
    return columns


_ESTIMATOR_CURVES = (
    ("loss_curve_", "loss", "train"),
    ("lower_bounds_", "lower_bound", "train"),
    ("oob_scores_", "loss", "out of bag"),
)


def _read_estimator(model: Any) -> _Log:
    """The curve that a fitted estimator keeps, that of the last step or of the best candidate included."""
    while True:
        inner = getattr(model, "best_estimator_", None) or getattr(model, "regressor_", None)
        if inner is None and getattr(model, "steps", None):
            inner = model.steps[-1][1]
        if inner is None:
            break
        model = inner
    results = getattr(model, "evals_result_", None)
    if callable(getattr(model, "get_evals_result", None)):
        results = model.get_evals_result()
    if isinstance(results, Mapping) and results:
        return _read_sets(results)
    log = _Log(unit="epoch" if hasattr(model, "loss_curve_") else "iteration")
    for attribute, metric, rows in _ESTIMATOR_CURVES:
        _add_kept(log, model, attribute, metric, rows)
    # MLP scores held-out rows by accuracy or R².
    score = "accuracy" if hasattr(model, "classes_") else "r2"
    _add_kept(log, model, "validation_scores_", score, "validation")
    # GradientBoosting keeps the loss; HistGradientBoosting a score, by default the loss with its sign turned.
    scoring = getattr(model, "scoring", None)
    metric = "negative_loss" if scoring == "loss" else scoring if isinstance(scoring, str) else "score"
    _add_kept(log, model, "train_score_", metric if hasattr(model, "scoring") else "loss", "train")
    _add_kept(log, model, "validation_score_", metric, "validation")
    if not log.series:
        raise ArgumentError(f"history is a {type(model).__name__} that holds no curve; give {_TAKEN}")
    return log


def _add_kept(log: _Log, model: Any, attribute: str, metric: str, rows: str) -> None:
    values = getattr(model, attribute, None)
    if values is not None and np.ndim(values) == 1 and len(values):
        log.add(metric, rows, attribute, values)


def _checked(log: _Log) -> Curves:
    """The curves, once every value is a number and every curve has as many as there are steps."""
    found = {key: (label, _numbers(label, values, log)) for key, (label, values) in log.series.items()}
    steps = None if log.step is None else _numbers("the steps", log.step, log)
    longest = max((len(values) for _, values in found.values()), default=0) if steps is None else len(steps)
    for label, values in found.values():
        if len(values) != longest and not any(mistake.startswith(f"{label!r} ") for mistake in log.mistakes):
            log.mistakes.append(
                f"{label!r} has {len(values)} values for {longest} steps; write None where a step has none"
            )
    if not log.mistakes and (not found or not longest):
        log.mistakes.append(f"it holds no curve; give {_TAKEN}")
    counted = tuple(float(i) for i in range(longest)) if steps is None else tuple(steps)
    if any(step is None or not np.isfinite(step) for step in counted):
        log.mistakes.append("the steps have gaps; number each of them")
    if log.mistakes:
        shown = [f"  {mistake}" for mistake in log.mistakes[:_SHOWN]]
        more = len(log.mistakes) - _SHOWN
        raise ArgumentError(
            "\n".join(["history cannot be kept:", *shown, *([f"  and {more} more"] if more > 0 else [])])
        )
    metrics: dict[str, dict[str, tuple[float | None, ...]]] = {}
    for (metric, rows), (_, values) in found.items():
        metrics.setdefault(metric, {})[rows] = tuple(values)
    curves = Curves(unit=log.unit, step=tuple(step for step in counted if step is not None), metrics=metrics)
    # Read back, so that the order of what was given decides nothing.
    return read_curves(encode_curves(curves))


def _numbers(label: str, values: Any, log: _Log) -> list[float | None]:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        log.mistakes.append(f"{label!r} is {_shown(values)}; give a list with one number for each step")
        return []
    found = [_as_number(value) for value in values]
    wrong = [i for i, value in enumerate(found) if isinstance(value, str)]
    if wrong:
        rest = f", as are {len(wrong) - 1} more" if len(wrong) > 1 else ""
        log.mistakes.append(
            f"{label!r} holds {found[wrong[0]]} at position {wrong[0]}, which is no number{rest}"
        )
    return [None if isinstance(value, str) else value for value in found]


def _as_number(value: Any) -> float | str | None:
    """A value as float64, None for a gap; a description of what is no number that float64 holds exactly."""
    if value is None or type(value).__name__ == "NAType":
        return None
    item = value.item() if callable(getattr(value, "item", None)) and np.size(value) == 1 else value
    if isinstance(item, bool) or not isinstance(item, numbers.Real):
        return _shown(value)
    try:
        return float(item) if float(item) == item or item != item else _shown(value)  # noqa: PLR0124 - NaN
    except OverflowError:
        return _shown(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
