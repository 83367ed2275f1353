"""The curves of a training: metrics over steps, for the training rows and for held-out ones."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal

import msgspec

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

TRAIN, VALIDATION = "train", "validation"


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics over the steps of a training.

    `unit`: what a step is, such as `epoch`. `step`: the number of each step, as the framework counts them.
    `metrics`: name of the metric to name of the set of rows (`train`, `validation` or another) to one value for
    each step; None where there is none. Values are float64; NaN and the infinities are values.
    """

    unit: str
    step: tuple[float, ...]
    metrics: Mapping[str, Mapping[str, tuple[float | None, ...]]]


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The best value of a metric: in which set of rows, at which position and step, and whether low is good."""

    rows: str
    position: int
    step: float
    value: float
    direction: Literal["lower", "higher"]


_Spelled = Literal["NaN", "Infinity", "-Infinity"]


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    unit: str
    step: list[float]
    metrics: dict[str, dict[str, list[float | _Spelled | None]]]


def encode_curves(curves: Curves) -> bytes:
    """`training/history.json`: canonical JSON; equal curves give equal bytes, and `read_curves` takes them back."""
    # Imported here, since drawing the curves of a run needs nothing of the format of bundles.
    from afterfit.bundle import encode_json

    return encode_json(
        {
            "unit": curves.unit,
            "step": [int(step) if step.is_integer() else step for step in curves.step],
            "metrics": {
                metric: {rows: list(values) for rows, values in sets.items()}
                for metric, sets in curves.metrics.items()
            },
        }
    )


def read_curves(content: bytes) -> Curves:
    """The curves of a `training/history.json`, by name of metric, the training rows first.

    Raises `ArgumentError` where the document does not hold curves of one length.
    """
    try:
        document = msgspec.json.decode(content, type=_Document)
    except msgspec.ValidationError as error:
        raise ArgumentError(f"the history holds no curves as FORMAT.md describes them: {error}") from None
    lengths = {len(values) for sets in document.metrics.values() for values in sets.values()}
    if lengths != {len(document.step)} or not document.step:
        raise ArgumentError("the history holds no curves, or curves that differ in length from its steps")
    metrics = {
        metric: {rows: tuple(map(_number, sets[rows])) for rows in sorted(sets, key=_training_first)}
        for metric, sets in sorted(document.metrics.items())
    }
    return Curves(unit=document.unit, step=tuple(document.step), metrics=metrics)


def best_of(metric: str, curves: Curves) -> Best | None:
    """Where a metric was best, on held-out rows if there are any; None where its name does not say what is good.

    The first of equally good steps; values that are not finite are never best.
    """
    direction = direction_of(metric)
    sets = curves.metrics[metric]
    rows = VALIDATION if VALIDATION in sets else next((name for name in sets if name != TRAIN), TRAIN)
    known = [(i, v) for i, v in enumerate(sets[rows]) if v is not None and math.isfinite(v)]
    if direction is None or not known:
        return None
    sign = 1 if direction == "lower" else -1
    position, value = min(known, key=lambda point: sign * point[1])
    return Best(rows=rows, position=position, step=curves.step[position], value=value, direction=direction)


_LOWER = frozenset(
    [
        "loss",
        "error",
        "err",
        "rmse",
        "mse",
        "mae",
        "mape",
        "msle",
        "rmsle",
        "logloss",
        "mlogloss",
        "merror",
        "deviance",
        "perplexity",
        "hinge",
        "nll",
        "crossentropy",
        "entropy",
        "divergence",
        "brier",
        "hamming",
        "nloglik",
        "multiclass",
        "multiclassova",
        "huber",
        "l1",
        "l2",
        "smape",
        "cer",
        "wer",
    ]
)
_HIGHER = frozenset(
    [
        "auc",
        "prauc",
        "aucpr",
        "accuracy",
        "acc",
        "f1",
        "fbeta",
        "precision",
        "recall",
        "sensitivity",
        "specificity",
        "r2",
        "ndcg",
        "map",
        "iou",
        "dice",
        "bleu",
        "kappa",
        "mcc",
        "likelihood",
        "totalf1",
        "explained",
    ]
)


def direction_of(metric: str) -> Literal["lower", "higher"] | None:
    """Whether low or high values of a metric are good, by the words of its name; None where they do not say.

    >>> direction_of("val_mean_squared_error"), direction_of("neg_log_loss"), direction_of("my_score")
    ('lower', 'higher', None)
    """
    words = [word for word in re.split(r"[^a-z0-9]+", metric.lower()) if word]
    if not words or words[0] == "1":
        return None
    negated = words[0] in {"neg", "negative", "minus"}
    lower, higher = not _LOWER.isdisjoint(words), not _HIGHER.isdisjoint(words)
    if lower == higher:
        return None
    return "lower" if lower != negated else "higher"


def _number(value: float | str | None) -> float | None:
    return None if value is None else float(value)


def _training_first(rows: str) -> tuple[int, str]:
    return ({TRAIN: 0, VALIDATION: 1}.get(rows, 2), rows)
