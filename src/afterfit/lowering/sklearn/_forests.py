"""Random forests and extra trees: the mean over trees, added up in the order of the trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from afterfit.lowering._registry import lowers
from afterfit.lowering.sklearn._trees import classify, regress

if TYPE_CHECKING:
    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Classification, Labels, Regression, Table


@lowers("sklearn.ensemble.RandomForestClassifier", "sklearn.ensemble.ExtraTreesClassifier")
def lower_forest_classifier(estimator: Any, X: Table, context: Context) -> Classification | Labels:
    """The mean over trees of the shares of the classes in the leaf reached."""
    return classify(estimator, [tree.tree_ for tree in estimator.estimators_], X, context)


@lowers("sklearn.ensemble.RandomForestRegressor", "sklearn.ensemble.ExtraTreesRegressor")
def lower_forest_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    """The mean over trees of the value of the leaf reached."""
    return regress(estimator, [tree.tree_ for tree in estimator.estimators_], X, context)
