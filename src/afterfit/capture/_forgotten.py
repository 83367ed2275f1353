"""Was the model fitted on numbers like those of `X`, or was a step of preprocessing left out?

Every rule here is a contradiction, not a likelihood: something the model learned that it cannot have learned
from rows like `X`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import ForgottenPreprocessingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from afterfit.capture._graph import LoweredModel
    from afterfit.capture._reference import Reference
    from afterfit.schema import InferredTable, Packed

CALL = (
    "afterfit.save(model, path, X=X, preprocess=<the fitted transformer, or the list of them>), or save a "
    "Pipeline that holds them"
)

SATURATION = 36.7
"""Beyond this log-odds float64 rounds the probability to exactly 1 (1 - exp(-36.7) == 1 - 2**-53)."""

_SATURATED_SHARE = 0.5
_IMPOSSIBLE_SHARE = 0.01
_THRESHOLDS_NEEDED = 3


def check_columns(reference: Reference, table: InferredTable) -> None:
    """Compare the columns of `X` with those the first estimator was fitted on: their number, names and order.

    Raises `ForgottenPreprocessingError`.
    """
    first = reference.preprocess[0] if reference.preprocess else reference.model
    names = [column.name for column in table.columns]
    known = getattr(first, "feature_names_in_", None)
    evidence: list[str] = []
    if table.named and known is not None and [str(name) for name in known] != names:
        evidence += _names_evidence([str(name) for name in known], names)
    fitted = getattr(first, "n_features_in_", None)
    if not evidence and fitted is not None and fitted != len(names):
        evidence.append(f"{type(first).__name__} was fitted on {fitted} columns and X has {len(names)}")
    learns_numbers = hasattr(first, "coef_") or hasattr(first, "tree_") or hasattr(first, "estimators_")
    text = [column.name for column in table.columns if column.type == "string" and not column.categorical]
    if learns_numbers and not evidence and text:
        shown = ", ".join(repr(name) for name in text[:5])
        evidence.append(f"{type(first).__name__} was fitted on numbers, and X has text in {shown}")
    if evidence:
        raise ForgottenPreprocessingError(evidence, CALL)


def _names_evidence(known: Sequence[str], given: Sequence[str]) -> list[str]:
    absent = [name for name in known if name not in given]
    if absent:
        shown = ", ".join(repr(name) for name in absent[:5])
        return [
            f"the model was fitted on {len(known)} columns, of which X lacks {len(absent)}, among them {shown}"
        ]
    return []


def check_scale(reference: Reference, lowered: LoweredModel, packed: Packed, y: Any) -> None:
    """Compare what the model learned with the values of `X`.

    A tree's thresholds lie between values it was trained on; if for most columns all of them lie outside the
    range of `X`, the trees saw other numbers. A linear classifier was fitted to another scale if it rules out,
    with probability 0, what happened in over 1 % of the rows (with `y` given); or, without `y`, if it did not
    learn the names of the columns of `X` and at least every second answer is beyond the resolution of a probability.

    Raises `ForgottenPreprocessingError`.
    """
    evidence = _threshold_evidence(lowered) + _saturation_evidence(reference, lowered, packed, y)
    if evidence:
        raise ForgottenPreprocessingError(evidence, CALL)


def _threshold_evidence(lowered: LoweredModel) -> list[str]:
    ranges = {i: column.range for i, column in enumerate(lowered.columns)}
    judged: dict[int, bool] = {}
    shown = ""
    for group in lowered.context.thresholds:
        span = ranges[group.column]
        verbatim = group.verbatim and span is not None and len(group.values) >= _THRESHOLDS_NEEDED
        if not verbatim or span is None:
            continue
        low, high = float(span[0]), float(span[1])
        outside = bool(np.all(group.values < low) or np.all(group.values > high))
        judged[group.column] = judged.get(group.column, True) and outside
        if outside and not shown:
            shown = (
                f"its trees split {lowered.columns[group.column].name!r} between {group.values.min():.6g} and "
                f"{group.values.max():.6g}, and in X it runs from {low:.6g} to {high:.6g}"
            )
    if judged and sum(judged.values()) * 2 > len(judged):
        return [shown]
    return []


def _saturation_evidence(reference: Reference, lowered: LoweredModel, packed: Packed, y: Any) -> list[str]:
    model = reference.model
    coef = getattr(model, "coef_", None)
    if reference.preprocess or coef is None or "probabilities" not in lowered.results:
        return []
    values = packed.get("number")
    read = [column for column in lowered.columns if column.input is not None]
    weights = np.atleast_2d(np.asarray(coef, dtype=np.float64))
    if values is None or len(read) != values.shape[1] or weights.shape[1] != values.shape[1]:
        return []
    odds = values @ weights.T + np.asarray(model.intercept_, dtype=np.float64)
    heaviest = int(np.argmax(np.abs(weights).max(axis=0) * np.nanmax(np.abs(values), axis=0)))
    low, high = np.nanmin(values[:, heaviest]), np.nanmax(values[:, heaviest])
    cause = (
        f"mostly through {read[heaviest].name!r}, which runs from {low:.6g} to {high:.6g} in X and has the weight "
        f"{weights[np.argmax(np.abs(weights[:, heaviest])), heaviest]:.6g}"
    )
    if y is not None:
        share = float(np.mean(_behind(odds, model.classes_, np.asarray(y)) > SATURATION))
        if share <= _IMPOSSIBLE_SHARE:
            return []
        return [f"it gives what happened in {share:.0%} of the rows of X the probability 0, {cause}"]
    share = float(np.mean(_margin(odds) > SATURATION))
    if share < _SATURATED_SHARE or hasattr(model, "feature_names_in_"):
        return []
    return [
        f"on {share:.0%} of the rows of X its log-odds are beyond {SATURATION} (probability exactly 0 or 1), {cause}; "
        "if these are the raw rows it was fitted on, give y as well"
    ]


def _behind(odds: NDArray[Any], classes: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """By how much the class that happened lies behind the best one, in log-odds; labels it never saw do not."""
    if odds.shape[1] == 1:
        odds = np.hstack([np.zeros_like(odds), odds])
    position = {label: i for i, label in enumerate(classes.tolist())}
    happened = np.array([position.get(label, -1) for label in y.tolist()])
    behind = odds.max(axis=1) - odds[np.arange(len(odds)), happened]
    return np.where(happened < 0, 0.0, behind)


def _margin(odds: NDArray[np.float64]) -> NDArray[Any]:
    if odds.shape[1] == 1:
        return np.abs(odds[:, 0])
    best = np.sort(odds, axis=1)
    return np.asarray(best[:, -1] - best[:, -2])
