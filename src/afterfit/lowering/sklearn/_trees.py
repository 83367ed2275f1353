"""Single trees, and what every family of scikit-learn's `sklearn.tree` trees shares.

These trees round the columns to float32 and compare them with float64 thresholds. The thresholds are moved
so that they decide the same for columns in float64, see `round_thresholds_from_float32`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Labels, Regression, constant
from afterfit.lowering._tree_ensemble import (
    Trees,
    no_categories,
    note_thresholds,
    refuse_too_large,
    round_thresholds_from_float32,
    sum_leaf_rows,
    sum_leaves,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Table


@lowers("sklearn.tree.DecisionTreeClassifier", "sklearn.tree.ExtraTreeClassifier")
def lower_tree_classifier(estimator: Any, X: Table, context: Context) -> Classification | Labels:
    """The shares of the classes in the leaf reached."""
    return classify(estimator, [estimator.tree_], X, context)


@lowers("sklearn.tree.DecisionTreeRegressor", "sklearn.tree.ExtraTreeRegressor")
def lower_tree_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    """The value of the leaf reached, or its values where there are several targets."""
    return regress(estimator, [estimator.tree_], X, context)


def read_trees(estimator: Any, fitted: Sequence[Any], X: Table, context: Context) -> tuple[Var, Trees]:
    """The float64 matrix of `X`, and the fitted `tree_` objects as they decide on it."""
    refuse_too_large(estimator, sum(tree.node_count for tree in fitted), context)
    matrix = context.numbers(estimator, X)
    trees = Trees.join(read_tree(tree) for tree in fitted)
    note_thresholds(context, matrix, X, trees)
    return matrix, trees


def classify(estimator: Any, fitted: Sequence[Any], X: Table, context: Context) -> Classification | Labels:
    """The mean over trees of the shares of the classes in the leaf reached."""
    if estimator.n_outputs_ != 1:
        return _classify_targets(estimator, fitted, X, context)
    matrix, trees = read_trees(estimator, fitted, X, context)
    shares = np.concatenate([tree.value[:, 0, :] for tree in fitted])
    if shares.shape[1] != 2:
        mean = _mean(sum_leaf_rows(matrix, X.width, trees, shares), trees.count)
        return Classification(estimator.classes_, op.arg_max(mean, axis=1, keepdims=False), mean)
    second = _mean(sum_leaves(matrix, X.width, trees, shares[:, 1]), trees.count)
    first = op.sub(constant(1.0), second)
    index = op.cast(op.squeeze(op.greater(second, first), constant([1], np.int64)), to=np.int64)
    return Classification(estimator.classes_, index, op.concat([first, second], axis=1))


def _classify_targets(estimator: Any, fitted: Sequence[Any], X: Table, context: Context) -> Labels:
    """The labels of several targets, whose shares stand side by side in the leaves."""
    matrix, trees = read_trees(estimator, fitted, X, context)
    shares = np.concatenate([tree.value for tree in fitted])
    rows = _mean(sum_leaf_rows(matrix, X.width, trees, shares.reshape(len(shares), -1)), trees.count)
    mean = op.reshape(rows, constant([-1, *shares.shape[1:]], np.int64))
    best = op.arg_max(mean, axis=2, keepdims=False)
    targets = [
        Classification(np.asarray(classes), op.gather(best, constant(target, np.int64), axis=1))
        for target, classes in enumerate(estimator.classes_)
    ]
    return Labels.of(targets, np.asarray(estimator.classes_[0]).dtype)


def regress(estimator: Any, fitted: Sequence[Any], X: Table, context: Context) -> Regression:
    """The mean over trees of the value of the leaf reached."""
    matrix, trees = read_trees(estimator, fitted, X, context)
    values = np.concatenate([tree.value[:, :, 0] for tree in fitted])
    if estimator.n_outputs_ != 1:
        mean = _mean(sum_leaf_rows(matrix, X.width, trees, values), trees.count)
        return Regression(mean, targets=estimator.n_outputs_)
    mean = _mean(sum_leaves(matrix, X.width, trees, values[:, 0]), trees.count)
    return Regression(op.squeeze(mean, constant([1], np.int64)))


def _mean(sums: Var, count: int) -> Var:
    return sums if count == 1 else op.div(sums, constant(float(count)))


def read_tree(tree: Any) -> Trees:
    """One fitted `tree_` object."""
    is_leaf: NDArray[np.bool_] = tree.children_left == -1
    return Trees(
        starts=np.array([0, tree.node_count]),
        feature=tree.feature.astype(np.int64),
        threshold=round_thresholds_from_float32(tree.threshold),
        left=tree.children_left.astype(np.int64),
        right=tree.children_right.astype(np.int64),
        is_leaf=is_leaf,
        missing_left=tree.missing_go_to_left.astype(np.bool_),
        samples=tree.n_node_samples.astype(np.int64),
        **no_categories(tree.node_count),
    )
