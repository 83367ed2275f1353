"""Missing values in `X` that the trees of the model never saw while they were trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.capture._forgotten._findings import Finding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from afterfit.capture._forgotten._rows import Rows
    from afterfit.lowering import Context

SPLITS_NEEDED = 20
"""Where a column held missing values in training, a split sends them to the better side, which is the larger one in
about two of three; 20 splits that all do so are chance once in 3,000."""

MISSING_SHARE = 0.02
MISSING_NEEDED = 5
"""Of fewer missing values than this in `X`, the training rows may honestly have had none."""


def missing_findings(context: Context, rows: Rows) -> list[Finding]:
    """Columns with missing values in `X` whose every split sends them where scikit-learn sends the unknown.

    HistGradientBoosting splits that saw no missing value send one to the side with more rows.
    """
    for step in context.steps:
        if type(step.estimator).__name__ not in _FAMILIES or _is_categorical(step.estimator):
            continue
        splits = _splits(step.estimator)
        for i, origin in enumerate(step.received.origins):
            if origin is None or not origin.verbatim or origin.fills:
                continue
            column = rows[origin.column]
            if column is None:
                continue
            gaps = np.isnan(column.values)
            share = float(gaps.mean())
            agree = splits["agree"][splits["feature"] == i]
            if share < MISSING_SHARE or int(gaps.sum()) < MISSING_NEEDED:
                continue
            if len(agree) >= SPLITS_NEEDED and bool(agree.all()):
                return [
                    Finding(
                        f"{share:.0%} of {column.name!r} is missing in X, and all {len(agree)} splits on it send a "
                        "missing value where most rows went, as they do when training saw none",
                        "imputer",
                    )
                ]
    return []


_FAMILIES = {"HistGradientBoostingClassifier", "HistGradientBoostingRegressor"}


def _is_categorical(estimator: Any) -> bool:
    return getattr(estimator, "is_categorical_", None) is not None


def _splits(estimator: Any) -> dict[str, NDArray[Any]]:
    features, agree = [], []
    for predictors in estimator._predictors:  # noqa: SLF001 - the trees have no public name
        for predictor in predictors:
            nodes = predictor.nodes
            inner = nodes[nodes["is_leaf"] == 0]
            larger = nodes["count"][inner["left"]] > nodes["count"][inner["right"]]
            features.append(inner["feature_idx"])
            agree.append(larger == (inner["missing_go_to_left"] != 0))
    return {"feature": np.concatenate(features), "agree": np.concatenate(agree)}
