"""Checks of objects whose compiled code trusts its arrays: an index out of range would read foreign memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from afterfit.capture._adopt._constructors import refuse

_NO_CHILD = -1


def check_made(made: Any) -> None:
    """Refuse a tree or a sparse table whose indices point outside it."""
    kind = f"{type(made).__module__}.{type(made).__name__}"
    if kind == "sklearn.tree._tree.Tree":
        _check_tree(made)
    elif kind == "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor":
        _check_predictor(made)
    elif kind.startswith("scipy.sparse.") and hasattr(made, "check_format"):
        try:
            made.check_format(full_check=True)
        except (ValueError, TypeError, AttributeError) as error:
            raise refuse(f"it holds a sparse table that contradicts itself ({error})") from error


def _check_tree(tree: Any) -> None:
    count = tree.node_count
    left, right = np.asarray(tree.children_left), np.asarray(tree.children_right)
    inner = left != _NO_CHILD
    own = np.arange(count)
    ahead = all(np.all(child[inner] > own[inner]) and np.all(child[inner] < count) for child in (left, right))
    feature = np.asarray(tree.feature)[inner]
    if not ahead or np.any(feature < 0) or np.any(feature >= tree.n_features):
        raise refuse("it holds a tree whose nodes point outside it")


def _check_predictor(predictor: Any) -> None:
    nodes = getattr(predictor, "nodes", None)
    if not isinstance(nodes, np.ndarray) or nodes.dtype.names is None:
        raise refuse("it holds a tree that has no nodes")
    inner = nodes["is_leaf"] == 0
    own = np.arange(len(nodes))[inner]
    for child in (nodes["left"][inner], nodes["right"][inner]):
        if np.any(child <= own) or np.any(child >= len(nodes)):
            raise refuse("it holds a tree whose nodes point outside it")
    sets = getattr(predictor, "raw_left_cat_bitsets", None)
    categorical = inner & (nodes["is_categorical"] != 0)
    if np.any(categorical) and np.any(nodes["bitset_idx"][categorical] >= (0 if sets is None else len(sets))):
        raise refuse("it holds a tree whose nodes point outside it")
