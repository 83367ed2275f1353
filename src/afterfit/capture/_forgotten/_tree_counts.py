"""Missing values in `X` that were filled in before trees were trained: told by how many rows each node counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.capture._forgotten._findings import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from afterfit.capture._forgotten._rows import NumberColumn, Rows
    from afterfit.lowering import Context, Origin

TREES = 10
"""Trees of an ensemble that are looked at."""


def _mode(known: NDArray[np.float64]) -> float:
    values, counts = np.unique(known, return_counts=True)
    return float(values[counts.argmax()])


_FILLS: dict[str, Callable[[NDArray[np.float64]], float]] = {
    "mean": lambda known: float(known.mean()),
    "median": lambda known: float(np.median(known)),
    "most frequent value": _mode,
    "number 0": lambda _: 0.0,
}


@dataclass(frozen=True)
class _Tree:
    """A fitted tree: arrays `[n]` with one entry a node, the root first. `seen`: the rows of `X` it was trained on."""

    feature: NDArray[Any]
    threshold: NDArray[Any]
    left: NDArray[Any]
    right: NDArray[Any]
    is_leaf: NDArray[np.bool_]
    missing_left: NDArray[np.bool_]
    counts: NDArray[Any]
    seen: NDArray[Any]

    def counted(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """How many rows of `values` `[N, k]` come to each node."""
        counts = np.zeros(len(self.counts), dtype=np.int64)
        rows, nodes = self.seen, np.zeros(len(self.seen), dtype=np.int64)
        while len(rows):
            counts += np.bincount(nodes, minlength=len(counts))
            inner = ~self.is_leaf[nodes]
            rows, nodes = rows[inner], nodes[inner]
            value = values[rows, self.feature[nodes]]
            left = np.where(np.isnan(value), self.missing_left[nodes], value <= self.threshold[nodes])
            nodes = np.where(left, self.left[nodes], self.right[nodes]).astype(np.int64)
        return counts


def tree_count_findings(context: Context, rows: Rows) -> list[Finding]:
    """Trees whose nodes counted other rows than those of `X`, and exactly those of `X` filled in.

    Only where `X` are the training rows: of any other rows nothing counts alike, and nothing is said.
    """
    for step in context.steps:
        columns = [_received(origin, rows) for origin in step.received.origins]
        held = [column for column in columns if column is not None]
        if len(held) < len(columns) or not any(np.isnan(column.values).any() for column in held):
            continue
        values = np.stack([column.values for column in held], axis=1)
        trees = list(_trees(step.estimator, len(values)))
        if not trees or _count_alike(trees, values):
            continue
        for name, fill in _FILLS.items():
            if _count_alike(trees, _filled(values, fill)):
                gaps = next(column for column in held if np.isnan(column.values).any())
                missing = int(np.isnan(gaps.values).sum())
                return [
                    Finding(
                        f"{missing} values of {gaps.name!r} are missing in X, and the nodes of the "
                        f"{type(step.estimator).__name__} counted the rows of X with the {name} of each column "
                        "filled in",
                        "imputer",
                    )
                ]
    return []


def _received(origin: Origin | None, rows: Rows) -> NumberColumn | None:
    """A column as a step receives it, filled in by the imputers before the step; None where that is not known."""
    column = rows[origin.column] if origin is not None and origin.verbatim else None
    if origin is None or column is None or not origin.fills:
        return column
    fill = origin.fills[0]
    if origin.replaced or not isinstance(fill, int | float | np.number):
        return None
    return replace(column, values=np.where(np.isnan(column.values), float(fill), column.values))


def _filled(values: NDArray[np.float64], fill: Callable[[NDArray[np.float64]], float]) -> NDArray[np.float64]:
    filled = values.copy()
    for column in filled.T:
        gaps = np.isnan(column)
        if gaps.any() and not gaps.all():
            column[gaps] = fill(column[~gaps])
    return filled


def _count_alike(trees: list[_Tree], values: NDArray[np.float64]) -> bool:
    return all(np.array_equal(tree.counted(values), tree.counts) for tree in trees)


def _trees(estimator: Any, rows: int) -> Iterator[_Tree]:
    """The first trees of an estimator, with the rows of `X` that each was trained on if `X` are the training rows."""
    name = type(estimator).__name__
    if name in _HIST and getattr(estimator, "is_categorical_", None) is None:
        for predictors in estimator._predictors[:TREES]:  # noqa: SLF001 - the trees have no public name
            nodes = predictors[0].nodes
            yield _Tree(
                feature=nodes["feature_idx"],
                threshold=nodes["num_threshold"],
                left=nodes["left"],
                right=nodes["right"],
                is_leaf=nodes["is_leaf"] != 0,
                missing_left=nodes["missing_go_to_left"] != 0,
                counts=nodes["count"].astype(np.int64),
                seen=np.arange(rows),
            )
    elif name in _SINGLE:
        yield from _of_cython(estimator, np.arange(rows))
    elif name in _FORESTS and getattr(estimator, "_n_samples", None) == rows:
        samples = estimator.estimators_samples_ if estimator.bootstrap else [np.arange(rows)] * TREES
        for tree, sample in zip(estimator.estimators_[:TREES], samples, strict=False):
            yield from _of_cython(tree, np.unique(sample))


def _of_cython(estimator: Any, seen: NDArray[Any]) -> Iterator[_Tree]:
    tree = estimator.tree_
    # Before 1.3 trees had no answer for a missing value.
    missing_left = getattr(tree, "missing_go_to_left", None)
    if missing_left is None:
        return
    # These trees compare x as float32, which is not above t exactly where x is not above what is left of t.
    from afterfit.lowering._tree_ensemble import round_thresholds_from_float32

    yield _Tree(
        feature=tree.feature,
        threshold=round_thresholds_from_float32(np.asarray(tree.threshold)),
        left=tree.children_left,
        right=tree.children_right,
        is_leaf=tree.children_left == -1,
        missing_left=np.asarray(missing_left) != 0,
        counts=np.asarray(tree.n_node_samples),
        seen=seen,
    )


_HIST = {"HistGradientBoostingClassifier", "HistGradientBoostingRegressor"}
_SINGLE = {"DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor"}
_FORESTS = {"RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor"}
