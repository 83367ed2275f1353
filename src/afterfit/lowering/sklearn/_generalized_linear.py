"""Linear models with something around the sum: a link, a threshold, or another regressor inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._links import flat, inlier_or_outlier
from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Regression, Table, constant
from afterfit.lowering.sklearn._linear import weighted_sums

if TYPE_CHECKING:
    from afterfit.lowering._context import Context


@lowers(
    "sklearn.linear_model.GammaRegressor",
    "sklearn.linear_model.PoissonRegressor",
    "sklearn.linear_model.TweedieRegressor",
)
def lower_generalized_linear_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    """The inverse of the link of the sum; `TweedieRegressor` chooses its link by `link` and `power`."""
    values = flat(weighted_sums(estimator, X, estimator.coef_, estimator.intercept_, context))
    link = type(estimator._base_loss.link).__name__  # noqa: SLF001 - no public equivalent
    if link == "LogLink":
        return Regression(op.exp(values))
    if link == "IdentityLink":
        return Regression(values)
    raise context.refuse(estimator, f"its link is {link}, and only the logarithm and the identity are known")


@lowers("sklearn.linear_model.SGDOneClassSVM")
def lower_sgd_one_class_svm(estimator: Any, X: Table, context: Context) -> Classification:
    scores = weighted_sums(estimator, X, np.ravel(estimator.coef_), -estimator.offset_, context)
    return inlier_or_outlier(flat(scores), op.greater_or_equal(flat(scores), constant(0.0)))


@lowers("sklearn.linear_model.RANSACRegressor")
def lower_ransac_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    answer = context.lower_predictor(estimator.estimator_, X.joined(), "estimator_")
    if not isinstance(answer, Regression):
        raise context.refuse(estimator, "the estimator inside it is no regressor")
    return answer
