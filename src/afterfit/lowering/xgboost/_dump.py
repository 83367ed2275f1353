"""XGBoost's own JSON form of a model (`Booster.save_raw("json")`), read into arrays."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.lowering._tree_ensemble import Trees, no_categories

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_HESSIAN_STEPS = 1024
"""Sums of the hessian, by which the heavier side of a split is known, are counted in these parts of 1."""


@dataclass(frozen=True)
class Dump:
    """`booster`: `gbtree`, `dart` or `gblinear`; `base_score` float32 `[1]` or `[outputs]`; `model`: its JSON.

    `weights`: by what `dart` multiplies each tree. `features`: how many columns it was fitted on. `outputs`: how
    many margins a row has. `categories`: the values of each categorical column, in the order of their codes.
    """

    booster: str
    objective: str
    base_score: NDArray[np.float32]
    outputs: int
    features: int
    model: dict[str, Any]
    weights: NDArray[np.float32] | None
    categories: dict[int, list[Any]]
    coded: tuple[int, ...]

    @property
    def vector_leaves(self) -> bool:
        """Whether a leaf holds a value for every output (`multi_strategy="multi_output_tree"`)."""
        trees = self.model.get("trees", [])
        return any(int(tree["tree_param"]["size_leaf_vector"]) > 1 for tree in trees[:1])


def read_dump(booster: Any) -> Dump:
    """What a native booster says of itself."""
    learner = json.loads(booster.save_raw("json"))["learner"]
    parameters = learner["learner_model_param"]
    gradient_booster = learner["gradient_booster"]
    name = gradient_booster["name"]
    inner = gradient_booster["gbtree"] if name == "dart" else gradient_booster
    model = inner["model"]
    score = json.loads(parameters["base_score"])
    return Dump(
        booster=name,
        objective=learner["objective"]["name"],
        base_score=np.atleast_1d(np.array(score, dtype=np.float32)),
        outputs=max(int(parameters["num_class"]), int(parameters["num_target"]), 1),
        features=int(parameters["num_feature"]),
        model=model,
        weights=np.array(gradient_booster["weight_drop"], dtype=np.float32) if name == "dart" else None,
        categories=_categories(model),
        coded=tuple(i for i, kind in enumerate(learner["feature_types"]) if kind == "c"),
    )


def _categories(model: dict[str, Any]) -> dict[int, list[Any]]:
    """The categories of a DataFrame's columns, which XGBoost keeps as text in Arrow's layout, or as integers."""
    found: dict[int, list[Any]] = {}
    for position, encoded in enumerate(model.get("cats", {}).get("enc", ())):
        if "offsets" not in encoded:
            found[position] = list(encoded["values"])
        elif encoded["offsets"]:
            text = np.array(encoded["values"], dtype=np.int8).tobytes()
            offsets = encoded["offsets"]
            found[position] = [text[first:last].decode("latin-1") for first, last in pairwise(offsets)]
    return found


def read_trees(dump: Dump, first: int, last: int) -> tuple[Trees, NDArray[np.float64], NDArray[np.int64]]:
    """The trees from `first` up to `last` as they decide on float32 columns, their leaves, and their outputs.

    The values of the leaves are `[n]`, or `[n, outputs]`; the outputs `[trees]` say to which margin a tree adds.
    Where XGBoost goes left if a value is below a threshold, these trees ask whether it is at most the number
    before. A category in the set of a split goes right in XGBoost, and left here: its sides are turned round.
    """
    raw = dump.model["trees"][first:last]
    members = max((max(tree["categories"]) + 1 for tree in raw if tree["categories"]), default=0)
    width = max([members, *map(len, dump.categories.values())])
    trees = Trees.join([_read_tree(tree, width, dump) for tree in raw])
    values = np.concatenate([_leaf_values(tree, dump.outputs) for tree in raw])
    if dump.weights is not None:
        weights = np.repeat(dump.weights[first:last], np.diff(trees.starts))
        values = values * weights.reshape(-1, *[1] * (values.ndim - 1))
    return trees, values.astype(np.float64), np.array(dump.model["tree_info"][first:last], dtype=np.int64)


def _leaf_values(tree: dict[str, Any], outputs: int) -> NDArray[np.float32]:
    if int(tree["tree_param"]["size_leaf_vector"]) <= 1:
        return np.array(tree["split_conditions"], dtype=np.float32)
    is_leaf = np.array(tree["left_children"]) == -1
    rows = np.array(tree["leaf_weights"], dtype=np.float32).reshape(-1, outputs)
    values = np.zeros((len(is_leaf), outputs), dtype=np.float32)
    values[is_leaf] = rows[np.array(tree["right_children"])[is_leaf]]
    return values


def _read_tree(tree: dict[str, Any], width: int, dump: Dump) -> Trees:
    left = np.array(tree["left_children"], dtype=np.int64)
    right = np.array(tree["right_children"], dtype=np.int64)
    feature = np.array(tree["split_indices"], dtype=np.int64)
    missing_left = np.array(tree["default_left"]) == 1
    thresholds = np.array(tree["split_conditions"], dtype=np.float32)
    nodes = np.array(tree["categories_nodes"], dtype=np.int64)
    by_category = no_categories(len(left), width)
    if len(nodes):
        left[nodes], right[nodes] = right[nodes], left[nodes]
        missing_left[nodes] = ~missing_left[nodes]
        by_category["category_set"][nodes] = np.arange(len(nodes))
        by_category["goes_left"] = _sets(tree, width)
        counts = [len(dump.categories.get(i, ())) for i in feature[nodes].tolist()]
        by_category["categories"] = np.array(counts, dtype=np.int64)
    return Trees(
        starts=np.array([0, len(left)]),
        feature=feature,
        threshold=np.nextafter(thresholds, np.float32(-np.inf)).astype(np.float64),
        left=left,
        right=right,
        is_leaf=left == -1,
        missing_left=missing_left,
        samples=(np.array(tree["sum_hessian"]) * _HESSIAN_STEPS).astype(np.int64),
        **by_category,
    )


def _sets(tree: dict[str, Any], width: int) -> NDArray[np.bool_]:
    sizes: Sequence[int] = tree["categories_sizes"]
    sets = np.zeros((len(sizes), width), dtype=np.bool_)
    for row, (start, size) in enumerate(zip(tree["categories_segments"], sizes, strict=True)):
        sets[row, tree["categories"][start : start + size]] = True
    return sets
