"""Feature selection: every selector says by `get_support` which columns it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.lowering._registry import lowers, transforms
from afterfit.lowering.sklearn._compose import container

if TYPE_CHECKING:
    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Lowered, Table


@lowers(
    "sklearn.feature_selection.GenericUnivariateSelect",
    "sklearn.feature_selection.SelectFdr",
    "sklearn.feature_selection.SelectFpr",
    "sklearn.feature_selection.SelectFromModel",
    "sklearn.feature_selection.SelectFwe",
    "sklearn.feature_selection.SelectKBest",
    "sklearn.feature_selection.SelectPercentile",
    "sklearn.feature_selection.SequentialFeatureSelector",
    "sklearn.feature_selection.VarianceThreshold",
)
@transforms("sklearn.feature_selection.RFE", "sklearn.feature_selection.RFECV")
def lower_selector(estimator: Any, X: Table, context: Context) -> Table:
    chosen = np.flatnonzero(estimator.get_support())
    if len(chosen) == 0:
        raise context.refuse(estimator, "it selects no column", "Fit it so that it keeps at least one column")
    held = X.joined() if container(estimator) == "default" else X
    return held.select(chosen.tolist())


@lowers("sklearn.feature_selection.RFE", "sklearn.feature_selection.RFECV")
def lower_recursive_elimination(estimator: Any, X: Table, context: Context) -> Lowered:
    """What its own estimator answers on the selected columns."""
    return context.lower(estimator.estimator_, lower_selector(estimator, X, context), "estimator_")
