"""Linear classifiers whose answers on `X` are beyond the resolution of a probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.capture._forgotten._findings import Finding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from afterfit.capture._graph import LoweredModel
    from afterfit.capture._reference import Reference
    from afterfit.schema import Packed

SATURATION = 36.7
"""Beyond this log-odds float64 rounds the probability to exactly 1 (1 - exp(-36.7) == 1 - 2**-53)."""

SATURATED_SHARE = 0.5
IMPOSSIBLE_SHARE = 0.01


def saturation_findings(reference: Reference, lowered: LoweredModel, packed: Packed, y: Any) -> list[Finding]:
    """A linear classifier that rules out what happened in over 1 % of the rows of `X`, with probability 0.

    Without `y`: one that did not learn the names of the columns of `X`, and of which at least every second answer is
    beyond the resolution of a probability.
    """
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
        if share <= IMPOSSIBLE_SHARE:
            return []
        return [
            Finding(
                f"it gives what happened in {share:.0%} of the rows of X the probability 0, {cause}", "scaler"
            )
        ]
    share = float(np.mean(_margin(odds) > SATURATION))
    if share < SATURATED_SHARE or hasattr(model, "feature_names_in_"):
        return []
    return [
        Finding(
            f"on {share:.0%} of the rows of X its log-odds are beyond {SATURATION} (probability exactly 0 or 1), "
            f"{cause}; if these are the raw rows it was fitted on, give y as well",
            "scaler",
        )
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
