"""Discriminant analysis: linear in the columns, or one rotated and scaled distance for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._links import binary, flat, logistic, most_likely, refuse_float32, softmax
from afterfit.lowering._registry import lowers, transforms
from afterfit.lowering._table import Classification, Table, constant
from afterfit.lowering.sklearn._linear import weighted_sums

if TYPE_CHECKING:
    from afterfit.lowering._context import Context


@lowers("sklearn.discriminant_analysis.LinearDiscriminantAnalysis")
def lower_linear_discriminant_analysis(estimator: Any, X: Table, context: Context) -> Classification:
    scores = weighted_sums(estimator, X, estimator.coef_, estimator.intercept_, context)
    if len(estimator.classes_) > 2:
        return most_likely(estimator.classes_, scores, softmax(scores))
    index = op.cast(op.greater(flat(scores), constant(0.0)), to=np.int64)
    return Classification(estimator.classes_, index, binary(logistic(scores)))


@transforms("sklearn.discriminant_analysis.LinearDiscriminantAnalysis")
def transform_linear_discriminant_analysis(estimator: Any, X: Table, context: Context) -> Table:
    """The columns projected onto the directions that part the classes best."""
    matrix = context.numbers(estimator, X)
    if X.number_dtype == np.float32:
        context.note_float32_sum(estimator)
    if estimator.solver == "svd":
        matrix = op.sub(matrix, constant(estimator.xbar_))
    directions = estimator.scalings_[:, : estimator._max_components]  # noqa: SLF001 - no public equivalent
    dtype = np.result_type(X.number_dtype, directions.dtype)
    return Table.of(op.matmul(matrix, constant(directions)), directions.shape[1], dtype)


@lowers("sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis")
def lower_quadratic_discriminant_analysis(estimator: Any, X: Table, context: Context) -> Classification:
    refuse_float32(estimator, X, context, *estimator.means_)
    matrix = context.numbers(estimator, X)
    distances = []
    for mean, rotation, scaling in zip(
        estimator.means_, estimator.rotations_, estimator.scalings_, strict=True
    ):
        rotated = op.matmul(op.sub(matrix, constant(mean)), constant(rotation * scaling**-0.5))
        distances.append(op.reduce_sum(op.mul(rotated, rotated), constant([1], np.int64)))
    volumes = [np.sum(np.log(scaling)) for scaling in estimator.scalings_]
    doubled = op.add(op.concat(distances, axis=1), constant(volumes))
    joint = op.add(op.mul(constant(-0.5), doubled), constant(np.log(estimator.priors_)))
    return most_likely(estimator.classes_, joint, softmax(joint))
