"""Outlier detectors that are trees or an ellipse."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._links import flat, inlier_or_outlier
from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Table, constant
from afterfit.lowering._tree_ensemble import Trees, note_thresholds, refuse_too_large, sum_leaves
from afterfit.lowering.sklearn._trees import read_tree

if TYPE_CHECKING:
    from afterfit.lowering._context import Context


@lowers("sklearn.ensemble.IsolationForest")
def lower_isolation_forest(estimator: Any, X: Table, context: Context) -> Classification:
    """How deep a row falls in the trees, on average."""
    fitted = [tree.tree_ for tree in estimator.estimators_]
    refuse_too_large(estimator, sum(tree.node_count for tree in fitted), context)
    trees = []
    for tree, features in zip(fitted, estimator.estimators_features_, strict=True):
        read = read_tree(tree)
        trees.append(replace(read, feature=np.where(read.is_leaf, 0, np.asarray(features)[read.feature])))
    joined = Trees.join(iter(trees))
    matrix = context.numbers(estimator, X)
    note_thresholds(context, matrix, X, joined)
    lengths = zip(
        estimator._decision_path_lengths,  # noqa: SLF001 - no public equivalent
        estimator._average_path_length_per_tree,  # noqa: SLF001 - likewise
        strict=True,
    )
    depths = sum_leaves(
        matrix, X.width, joined, np.concatenate([path + average - 1.0 for path, average in lengths])
    )
    share = op.div(depths, constant(_expected_depth(estimator)))
    scores = op.sub(op.neg(flat(op.pow(constant(2.0), op.neg(share)))), constant(estimator.offset_))
    return inlier_or_outlier(scores, op.greater_or_equal(scores, constant(0.0)))


def _expected_depth(estimator: Any) -> float:
    """The number of trees times the average depth of a tree of random splits, which scikit-learn divides by."""
    from sklearn.ensemble._iforest import _average_path_length

    average = float(_average_path_length([estimator._max_samples])[0])  # noqa: SLF001 - no public equivalent
    return len(estimator.estimators_) * average


@lowers("sklearn.covariance.EllipticEnvelope")
def lower_elliptic_envelope(estimator: Any, X: Table, context: Context) -> Classification:
    """The squared Mahalanobis distance to the centre."""
    moved = op.sub(context.numbers(estimator, X), constant(estimator.location_))
    turned = op.matmul(moved, constant(estimator.get_precision()))
    distances = op.reduce_sum(op.mul(turned, moved), constant([1], np.int64))
    scores = op.sub(op.neg(flat(distances)), constant(estimator.offset_))
    return inlier_or_outlier(scores, op.greater_or_equal(scores, constant(0.0)))
