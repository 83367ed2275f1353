"""Clustering: the nearest centre, and the distances to all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import inverts, lowers, transforms
from afterfit.lowering._table import Classification, Table, constant, round_to_float32
from afterfit.lowering.sklearn._kernels import euclidean

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context


@lowers("sklearn.cluster.KMeans", "sklearn.cluster.MiniBatchKMeans", "sklearn.cluster.MeanShift")
def lower_centres(estimator: Any, X: Table, context: Context) -> Classification:
    """The number of the nearest centre, the first where several are as near."""
    matrix = _matrix(estimator, X, context)
    centres = estimator.cluster_centers_
    return Classification(np.arange(len(centres)), nearest(matrix, centres))


@lowers("sklearn.cluster.AffinityPropagation")
def lower_affinity_propagation(estimator: Any, X: Table, context: Context) -> Classification:
    if len(getattr(estimator, "cluster_centers_", ())) == 0:
        raise context.refuse(
            estimator,
            "it has no cluster centres: it did not converge, or affinity='precomputed'",
            "Set damping or max_iter higher, with affinity='euclidean', and fit again",
        )
    return lower_centres(estimator, X, context)


@lowers("sklearn.cluster.Birch")
def lower_birch(estimator: Any, X: Table, context: Context) -> Classification:
    """The label of the nearest subcluster."""
    matrix = _matrix(estimator, X, context)
    classes, labels = np.unique(estimator.subcluster_labels_, return_inverse=True)
    index = nearest(matrix, estimator.subcluster_centers_)
    return Classification(classes, op.gather(constant(labels, np.int64), index))


@lowers("sklearn.cluster.BisectingKMeans")
def lower_bisecting_k_means(estimator: Any, X: Table, context: Context) -> Classification:
    """At each division the nearer of its two centres, down to a leaf."""
    matrix = _matrix(estimator, X, context)
    shift = getattr(estimator, "_X_mean", 0.0)

    def descend(node: Any) -> Var:
        if node.left is None:
            return constant([node.label], np.int64)
        centres = np.vstack([node.left.center, node.right.center]) + shift
        right = op.cast(nearest(matrix, centres), to=np.bool_)
        return op.where(right, descend(node.right), descend(node.left))

    rows = op.shape(matrix, start=0, end=1)
    index = op.expand(descend(estimator._bisecting_tree), rows)  # noqa: SLF001 - no public equivalent
    return Classification(np.arange(estimator.n_clusters), index)


@transforms("sklearn.cluster.KMeans", "sklearn.cluster.MiniBatchKMeans", "sklearn.cluster.BisectingKMeans")
def transform_centres(estimator: Any, X: Table, context: Context) -> Table:
    _refuse_single_rows(estimator, int(np.bincount(estimator.labels_).min()), context)
    return _distances(estimator, X, estimator.cluster_centers_, context)


@transforms("sklearn.cluster.Birch")
def transform_birch(estimator: Any, X: Table, context: Context) -> Table:
    leaves = estimator._get_leaves()  # noqa: SLF001 - no public equivalent
    sizes = [subcluster.n_samples_ for leaf in leaves for subcluster in leaf.subclusters_]
    _refuse_single_rows(estimator, min(sizes), context)
    return _distances(estimator, X, estimator.subcluster_centers_, context)


def nearest(matrix: Var, centres: NDArray[Any]) -> Var:
    """The position int64 `[N]` of the nearest of `centres` `[m, d]`, the first where several are as near.

    The square of the row itself is left out, as scikit-learn does it.
    """
    centres = np.asarray(centres, dtype=np.float64)
    products = op.matmul(matrix, constant(-2.0 * centres.T))
    return op.arg_min(
        op.add(products, constant(np.einsum("ij,ij->i", centres, centres))), axis=1, keepdims=False
    )


def _refuse_single_rows(estimator: Any, smallest: int, context: Context) -> None:
    if smallest == 1:
        raise context.refuse(
            estimator,
            "one of its centres is a single row, and the distance of such a row to itself, which scikit-learn takes as "
            "|x|^2 - 2 x.y + |y|^2, is nothing but rounding",
            "Use fewer clusters (n_clusters), or a larger threshold in Birch, and fit again",
        )


def _matrix(estimator: Any, X: Table, context: Context) -> Var:
    if X.number_dtype == np.float32:
        context.note_float32_sum(estimator)
    return context.numbers(estimator, X)


def _distances(estimator: Any, X: Table, centres: NDArray[Any], context: Context) -> Table:
    distances = euclidean(_matrix(estimator, X, context), centres)
    single = X.number_dtype == np.float32
    return Table.of(
        round_to_float32(distances) if single else distances,
        len(centres),
        np.float32 if single else np.float64,
    )


@lowers("sklearn.cluster.FeatureAgglomeration")
def lower_feature_agglomeration(estimator: Any, X: Table, context: Context) -> Table:
    """The mean, the smallest or the largest of the columns of each cluster."""
    if X.sparse:
        raise context.refuse(
            estimator, "it pools the columns of a sparse matrix", "Give it dense columns and fit again"
        )
    matrix = context.numbers(estimator, X)
    labels = np.asarray(estimator.labels_)
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if estimator.pooling_func is np.mean:
        # NumPy adds up in float64, whatever the columns are.
        sums = np.stack([labels == label for label in np.unique(labels)], axis=1).astype(np.float64)
        sizes = constant([float(len(found)) for found in members])
        return Table.of(op.div(op.matmul(matrix, constant(sums)), sizes), len(members))
    pool = {np.min: op.reduce_min, np.max: op.reduce_max}.get(estimator.pooling_func)
    if pool is None:
        raise context.refuse(
            estimator,
            f"its pooling_func is {getattr(estimator.pooling_func, '__qualname__', estimator.pooling_func)!r}",
            "Use numpy.mean, numpy.min or numpy.max and fit again",
        )
    axis = constant([1], np.int64)
    pooled = [pool(op.gather(matrix, constant(found, np.int64), axis=1), axis) for found in members]
    return Table.of(op.concat(pooled, axis=1), len(members), X.number_dtype)


@inverts("sklearn.cluster.FeatureAgglomeration")
def invert_feature_agglomeration(estimator: Any, values: Var, context: Context) -> Var:  # noqa: ARG001 - the protocol's
    _, places = np.unique(estimator.labels_, return_inverse=True)
    return op.gather(values, constant(places, np.int64), axis=1)
