"""Random forests and extra trees: the mean over trees, added up in the order of the trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Block, OneHot, Table, constant
from afterfit.lowering._tree_ensemble import sum_leaves
from afterfit.lowering.sklearn._trees import classify, read_trees, regress

if TYPE_CHECKING:
    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Classification, Labels, Regression


@lowers("sklearn.ensemble.RandomForestClassifier", "sklearn.ensemble.ExtraTreesClassifier")
def lower_forest_classifier(estimator: Any, X: Table, context: Context) -> Classification | Labels:
    """The mean over trees of the shares of the classes in the leaf reached."""
    return classify(estimator, [tree.tree_ for tree in estimator.estimators_], X, context)


@lowers("sklearn.ensemble.RandomForestRegressor", "sklearn.ensemble.ExtraTreesRegressor")
def lower_forest_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    """The mean over trees of the value of the leaf reached."""
    return regress(estimator, [tree.tree_ for tree in estimator.estimators_], X, context)


@lowers("sklearn.ensemble.RandomTreesEmbedding")
def lower_random_trees_embedding(estimator: Any, X: Table, context: Context) -> Table:
    """The leaf that is reached in every tree, one-hot."""
    fitted = [tree.tree_ for tree in estimator.estimators_]
    matrix, trees = read_trees(estimator, fitted, X, context)
    encoder = estimator.one_hot_encoder_
    places = np.zeros(trees.nodes)
    for start, leaves in zip(trees.starts[:-1], encoder.categories_, strict=True):
        places[start + leaves.astype(np.int64)] = np.arange(len(leaves))
    reached = op.cast(sum_leaves(matrix, X.width, trees, places, start=np.zeros(trees.count)), to=np.int64)
    blocks = [
        Block.of(OneHot(op.gather(reached, constant(i, np.int64), axis=1)), len(leaves), encoder.dtype)
        for i, leaves in enumerate(encoder.categories_)
    ]
    return Table(tuple(blocks), sparse=estimator.sparse_output)
