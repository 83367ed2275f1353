"""Does a network answer in the units of `y`? If not, a scaler before it or after it was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import ForgottenPreprocessingError
from afterfit.lowering import Regression

if TYPE_CHECKING:
    from afterfit.capture._graph import LoweredModel
    from afterfit.capture._reference import Reference

CALL = (
    "afterfit.save(model, path, X=X, y=y, preprocess=<the scaler of X>, postprocess=<the scaler of y>), with the "
    "fitted transformers that were applied by hand"
)
WORSE = 2.0
"""Squared errors above this many times the variance of `y`: R^2 below -1, worse than any constant within `y` is."""


def check_answers(reference: Reference, lowered: LoweredModel, frame: Any, y: Any) -> None:
    """Compare what a network that answers with numbers says of the rows of `X` with `y`, where it is given.

    A network that was fitted on these rows answers better than the mean of `y` does, or at least no worse; one that
    was fitted on scaled rows, or to a scaled target, answers in other units.

    Raises `ForgottenPreprocessingError`.
    """
    known = None if y is None else np.asarray(y)
    is_network = reference.asked is not reference.model and isinstance(lowered.lowered, Regression)
    if known is None or not is_network or known.dtype.kind not in "iuf":
        return
    answered = np.asarray(reference.answer(frame, ["prediction"])["prediction"], dtype=np.float64)
    if known.size != answered.size or len(known) < 2:
        return
    known = known.astype(np.float64).reshape(answered.shape)
    error = float(np.mean((answered - known) ** 2))
    variance = float(np.mean((known - known.mean(axis=0)) ** 2))
    if not error > WORSE * variance or variance == 0.0:
        return
    raise ForgottenPreprocessingError(
        [
            f"its answers to the rows of X run from {answered.min():.6g} to {answered.max():.6g} and y from "
            f"{known.min():.6g} to {known.max():.6g}; they are off by {error**0.5:.6g} (root mean square), where the "
            f"mean of y alone is off by {variance**0.5:.6g}"
        ],
        CALL,
    )
