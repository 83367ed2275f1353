"""Nearest neighbours and nearest centroids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._links import flat, inlier_or_outlier, softmax
from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Labels, Regression, Table, constant
from afterfit.lowering.sklearn._cluster import nearest
from afterfit.lowering.sklearn._kernels import pairwise_distance
from afterfit.lowering.sklearn._nearest_rows import mean_of_rows, nearest_rows, rows_within, weights_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context

_AXIS = (1,)


@lowers("sklearn.neighbors.KNeighborsClassifier")
def lower_k_neighbors_classifier(estimator: Any, X: Table, context: Context) -> Classification | Labels:
    neighbours = nearest_rows(estimator, X, estimator.n_neighbors, context)
    weights = weights_of(estimator, neighbours.distances, context)
    parts = []
    for target in _label_targets(estimator):
        votes = op.gather(constant(target.labels), neighbours.positions, axis=0)
        if weights is not None:
            votes = op.mul(votes, op.unsqueeze(weights, constant([2], np.int64)))
        parts.append(
            _elected(target.classes, op.reduce_sum(votes, constant(_AXIS, np.int64), keepdims=False))
        )
    return _answer(estimator, parts)


@lowers("sklearn.neighbors.KNeighborsRegressor")
def lower_k_neighbors_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    neighbours = nearest_rows(estimator, X, estimator.n_neighbors, context)
    weights = weights_of(estimator, neighbours.distances, context)
    targets = _targets(estimator)
    return _regression(estimator, mean_of_rows(targets, neighbours, weights), targets)


@lowers("sklearn.neighbors.RadiusNeighborsClassifier")
def lower_radius_neighbors_classifier(estimator: Any, X: Table, context: Context) -> Classification | Labels:
    outliers = estimator.outlier_label_
    if outliers is None:
        raise context.refuse(
            estimator,
            "it has no class for rows without a neighbour in the radius",
            "Set outlier_label to one of the classes, or to 'most_frequent', and fit again",
        )
    weights = _weights_within(estimator, X, context)
    alone = op.equal(op.reduce_sum(weights, constant(_AXIS, np.int64)), constant(0.0))
    parts = []
    for target, outlier in zip(_label_targets(estimator), np.atleast_1d(outliers), strict=True):
        known: NDArray[Any] = np.flatnonzero(target.classes == outlier)
        if len(known) == 0:
            raise context.refuse(
                estimator,
                f"it answers {outlier}, which is none of its classes, for rows without a neighbour in the radius",
                "Set outlier_label to one of the classes, or to 'most_frequent', and fit again",
            )
        votes = op.matmul(weights, constant(target.labels))
        lone = np.eye(len(target.classes))[known[0]]
        parts.append(_elected(target.classes, op.where(alone, constant(lone[None, :]), votes)))
    return _answer(estimator, parts)


@lowers("sklearn.neighbors.RadiusNeighborsRegressor")
def lower_radius_neighbors_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    """The mean of the neighbours in the radius; where there is none, NaN in the dtype of the targets.

    For integer targets that is the smallest integer, not NaN.
    """
    targets = _targets(estimator)
    weights = _weights_within(estimator, X, context)
    total = op.reduce_sum(weights, constant(_AXIS, np.int64))
    with np.errstate(invalid="ignore"):
        nothing = np.full_like(np.atleast_1d(estimator._y[0]), np.nan)  # noqa: SLF001 - no public equivalent
    mean = op.div(op.matmul(weights, constant(targets)), total)
    mean = op.where(op.equal(total, constant(0.0)), constant(nothing[None, :]), mean)
    return _regression(estimator, mean, targets)


@lowers("sklearn.neighbors.KNeighborsTransformer")
def lower_k_neighbors_transformer(estimator: Any, X: Table, context: Context) -> Table:
    """One column for each row kept: the distance, or 1, where it is one of the nearest, otherwise 0."""
    by_distance = estimator.mode == "distance"
    _check_distances(estimator, context)
    neighbours = nearest_rows(estimator, X, estimator.n_neighbors + by_distance, context)
    found = neighbours.distances
    shape = op.concat(
        [op.shape(found, start=0, end=1), constant([estimator.n_samples_fit_], np.int64)], axis=0
    )
    values = found if by_distance else op.expand(constant(1.0), op.shape(found))
    graph = op.scatter_elements(op.expand(constant(0.0), shape), neighbours.positions, values, axis=1)
    return _graph_table(estimator, X, graph)


@lowers("sklearn.neighbors.RadiusNeighborsTransformer")
def lower_radius_neighbors_transformer(estimator: Any, X: Table, context: Context) -> Table:
    """One column for each row kept: the distance, or 1, where it lies within the radius, otherwise 0."""
    _check_distances(estimator, context)
    distances, within = rows_within(estimator, X, context)
    if estimator.mode == "connectivity":
        return _graph_table(estimator, X, op.cast(within, to=np.float64))
    return _graph_table(estimator, X, op.where(within, distances, constant(0.0)))


def _check_distances(estimator: Any, context: Context) -> None:
    """Refuse distances that scikit-learn takes from products: where rows are near each other, most digits cancel."""
    metric = estimator.effective_metric_
    by_product = {"euclidean", "l2", "sqeuclidean", "nan_euclidean", "cosine"}
    is_brute = estimator._fit_method == "brute"  # noqa: SLF001 - no public equivalent
    if estimator.mode == "distance" and is_brute and metric in by_product:
        raise context.refuse(
            estimator,
            f"its {metric} distances are differences of products, of which few digits are sure where rows are near",
            "Fit it with algorithm='ball_tree', with another metric, or with mode='connectivity'",
        )


def _graph_table(estimator: Any, X: Table, graph: Var) -> Table:
    single = X.number_dtype == np.float32 and estimator.mode == "distance"
    return replace(
        Table.of(graph, estimator.n_samples_fit_, np.float32 if single else np.float64), sparse=True
    )


@lowers("sklearn.neighbors.LocalOutlierFactor")
def lower_local_outlier_factor(estimator: Any, X: Table, context: Context) -> Classification:
    """The density around the neighbours, relative to that around the row itself."""
    neighbours = nearest_rows(estimator, X, estimator.n_neighbors_, context)
    if X.number_dtype == np.float32:
        context.note_float32_sum(estimator)
    axis = constant(_AXIS, np.int64)
    reach = estimator._distances_fit_X_[:, estimator.n_neighbors_ - 1]
    reached = op.max([neighbours.distances, op.gather(constant(reach), neighbours.positions)])
    density = op.div(constant(1.0), op.add(op.reduce_mean(reached, axis), constant(1e-10)))
    densities = op.gather(constant(estimator._lrd), neighbours.positions)  # noqa: SLF001 - no public equivalent
    factor = flat(op.reduce_mean(op.div(densities, density), axis))
    scores = op.sub(op.neg(factor), constant(estimator.offset_))
    return inlier_or_outlier(scores, op.greater_or_equal(scores, constant(0.0)))


@lowers("sklearn.neighbors.NearestCentroid")
def lower_nearest_centroid(estimator: Any, X: Table, context: Context) -> Classification:
    """The nearest centroid, or the best discriminant score where the classes have different priors."""
    matrix = context.numbers(estimator, X)
    if X.number_dtype == np.float32:
        context.note_float32_sum(estimator)
    centroids = np.asarray(estimator.centroids_, dtype=np.float64)
    has_priors = hasattr(estimator, "class_prior_")
    scores = _discriminant_scores(estimator, matrix) if has_priors else None
    if scores is not None and not np.isclose(estimator.class_prior_, 1 / len(centroids)).all():
        index = op.arg_max(scores, axis=1, keepdims=False)
    elif estimator.metric == "euclidean":
        index = nearest(matrix, centroids)
    else:
        index = op.arg_min(pairwise_distance(estimator.metric, matrix, centroids), axis=1, keepdims=False)
    probabilities = softmax(scores) if scores is not None and hasattr(estimator, "predict_proba") else None
    return Classification(estimator.classes_, index, probabilities)


def _discriminant_scores(estimator: Any, matrix: Var) -> Var:
    deviation = np.where(estimator.within_class_std_dev_ != 0, estimator.within_class_std_dev_, 1.0)
    scaled = op.div(matrix, constant(deviation))
    distances = pairwise_distance(estimator.metric, scaled, estimator.centroids_ / deviation)
    squares = op.mul(distances, distances)
    return op.sub(constant(2.0 * np.log(estimator.class_prior_)), squares)


@dataclass(frozen=True)
class _LabelTarget:
    """One target of a classifier: its `classes` `[k]`, and the label of each row kept, one-hot `[m, k]`."""

    classes: NDArray[Any]
    labels: NDArray[np.float64]


def _label_targets(estimator: Any) -> list[_LabelTarget]:
    kept = np.asarray(estimator._y)  # noqa: SLF001 - no public equivalent
    columns = kept.reshape(len(kept), -1).T
    classes = estimator.classes_ if estimator.outputs_2d_ else [estimator.classes_]
    return [
        _LabelTarget(np.asarray(known), np.eye(len(known))[column])
        for known, column in zip(classes, columns, strict=True)
    ]


def _answer(estimator: Any, parts: Sequence[Classification]) -> Classification | Labels:
    """What `predict` returns: the labels in the dtype of the first target's classes, where there are several."""
    return Labels.of(parts, np.asarray(parts[0].classes).dtype) if estimator.outputs_2d_ else parts[0]


def _targets(estimator: Any) -> NDArray[np.float64]:
    targets = np.asarray(estimator._y, dtype=np.float64)  # noqa: SLF001 - no public equivalent
    return targets.reshape(len(targets), -1)


def _regression(estimator: Any, values: Var, targets: NDArray[np.float64]) -> Regression:
    if np.ndim(estimator._y) == 1:  # noqa: SLF001 - no public equivalent
        return Regression(flat(values))
    return Regression(values, targets=targets.shape[1])


def _weights_within(estimator: Any, X: Table, context: Context) -> Var:
    """The weight of each row kept, float64 `[N, m]`, 0 outside the radius."""
    distances, within = rows_within(estimator, X, context)
    weights = weights_of(estimator, op.where(within, distances, constant(np.inf)), context)
    return op.cast(within, to=np.float64) if weights is None else weights


def _elected(classes: NDArray[Any], votes: Var) -> Classification:
    """The class with the most votes, the first where several have as many, and the shares of all."""
    total = op.reduce_sum(votes, constant(_AXIS, np.int64))
    index = op.arg_max(votes, axis=1, keepdims=False)
    return Classification(classes, index, op.div(votes, total))
