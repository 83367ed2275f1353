"""Decision trees as `TreeEnsemble` nodes of `ai.onnx.ml` 5, in double.

Every family of trees comes here with the same flat arrays. Building is vectorized: Python loops run over
trees, never over their nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.ml.v5 as ml
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import constant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Table

MOST_NODES = 50_000_000
"""More nodes than this, some 20 bytes each, come too near the 2 GB that one ONNX graph may have."""

_LEQ, _MEMBER = 0, 6
_LAST_STEP = 2.0**104
"""The distance of the two largest float32."""
_NODES_PER_PART = 60_000
_MOST_PARTS = 12
_GATHERED_PER_ROW = 2_048
_THRESHOLDS_KEPT = 16
_LARGEST_FLOAT32 = 3.4e38
"""Just below it."""


@dataclass(frozen=True)
class Trees:
    """Some trees side by side, in the order in which their leaves are added up.

    Arrays `[n]` have one entry a node; the nodes of tree `i` are `starts[i]` up to `starts[i + 1]`, its root
    first. `left` and `right` are positions among all nodes, and mean nothing at leaves. A row goes left
    where its value is `<= threshold`, or is NaN and `missing_left` holds. `samples` says how many rows of
    training passed, which only decides about speed.

    Where `category_set` is not -1, the value is a category, 0 up to `categories` (at most `c`), and goes left
    where that entry of the row `category_set` of `goes_left` bool `[s, c]` holds. `categories` is 0 where any
    other number may come too, which goes right.
    """

    starts: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    is_leaf: NDArray[np.bool_]
    missing_left: NDArray[np.bool_]
    samples: NDArray[np.int64]
    category_set: NDArray[np.int64]
    goes_left: NDArray[np.bool_]
    categories: NDArray[np.int64]

    @property
    def count(self) -> int:
        """The number of trees."""
        return len(self.starts) - 1

    @property
    def nodes(self) -> int:
        """The number of nodes, leaves included."""
        return len(self.feature)

    def select(self, first: int, last: int) -> Trees:
        """The trees from `first` up to `last`."""
        low, high = int(self.starts[first]), int(self.starts[last])
        kept = {name: getattr(self, name)[low:high] for name in _PER_NODE}
        return replace(
            self,
            **kept,
            starts=self.starts[first : last + 1] - low,
            left=self.left[low:high] - low,
            right=self.right[low:high] - low,
        )

    @staticmethod
    def join(parts: Iterable[Trees]) -> Trees:
        """All trees of `parts`, in order; their `goes_left` are of one width."""
        found = list(parts)
        nodes = np.cumsum([0] + [part.nodes for part in found])
        sets = np.cumsum([0] + [len(part.goes_left) for part in found])

        def whole(arrays: Iterable[NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate(list(arrays))

        return Trees(
            **{
                name: whole(getattr(part, name) for part in found)
                for name in _PER_NODE
                if name != "category_set"
            },
            starts=np.append(whole(part.starts[:-1] + nodes[i] for i, part in enumerate(found)), nodes[-1]),
            left=whole(part.left + nodes[i] for i, part in enumerate(found)),
            right=whole(part.right + nodes[i] for i, part in enumerate(found)),
            category_set=whole(
                np.where(part.category_set >= 0, part.category_set + sets[i], -1)
                for i, part in enumerate(found)
            ),
            goes_left=whole(part.goes_left for part in found),
            categories=whole(part.categories for part in found),
        )


_PER_NODE = ("feature", "threshold", "is_leaf", "missing_left", "samples", "category_set")


def no_categories(nodes: int, width: int = 0) -> dict[str, NDArray[Any]]:
    """What `Trees` is given of trees that compare numbers only."""
    return {
        "category_set": np.full(nodes, -1),
        "goes_left": np.zeros((0, width), np.bool_),
        "categories": np.zeros(0, np.int64),
    }


def round_thresholds_from_float32(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thresholds that decide for `x` in float64 as `thresholds` decide for `x` rounded to float32.

    Law: `float32(x) <= t` exactly where `x <= result`, for every finite or infinite `x`. Rounding is
    monotonic, so the largest float64 that rounds to a float32 not above `t` does it, and the graph needs no
    cast.
    """
    with np.errstate(over="ignore"):
        below = thresholds.astype(np.float32)
        below = np.where(below > thresholds, np.nextafter(below, np.float32(-np.inf)), below)
        finite = np.where(np.isfinite(below), below, np.float32(0))
        above = np.nextafter(finite, np.float32(np.inf)).astype(np.float64)
    # The largest float32 rounds up as if one more step of the same width followed it.
    middle = finite + np.where(np.isfinite(above), above - finite, _LAST_STEP) / 2
    # Halfway between two, the one whose last bit is 0 is taken.
    even = (finite.view(np.uint32) & 1) == 0
    rounded = np.where(even, middle, np.nextafter(middle, -np.inf))
    rounded[below == np.inf] = np.inf
    rounded[below == -np.inf] = -(2.0**128 - _LAST_STEP / 2)
    return rounded


def sum_leaves(
    x: Var,
    width: int,
    trees: Trees,
    values: NDArray[np.float64],
    *,
    start: NDArray[np.float64] | None = None,
    owners: NDArray[np.int64] | None = None,
    dtype: type[np.floating[Any]] = np.float64,
) -> Var:
    """For every row of `x` `[N, width]` in `dtype`, the sum of the values of the leaves it reaches.

    `values` is `[n]`, then the answer is `[N, targets]`: tree `i` adds to column `owners[i]`, or, where
    that is not given, the trees take turns. `targets` is `len(start)`, or 1; `start` is what the sums begin
    with. The order of the additions is the order of the trees, so forests of up to 60,000 nodes add up bit for
    bit as a loop over trees does; larger ones are added up in parts, and then the parts.

    With `dtype` float32 thresholds, leaves and sums are float32 too, and never in parts, since there the order
    shows.
    """
    targets = 1 if start is None else len(start)
    owners = np.arange(trees.count) % targets if owners is None else owners
    if start is not None:
        trees = Trees.join([_leaves(targets, trees.goes_left.shape[1]), trees])
        values = np.concatenate([start, values])
        owners = np.concatenate([np.arange(targets), owners])
    matrix, trees = _orient(x, width, trees, dtype)
    ranges = [(0, trees.count)] if dtype == np.float32 else _parts(trees)
    parts = [
        _node(
            matrix,
            trees.select(first, last),
            _slice(values, trees, first, last).astype(dtype),
            owners[first:last],
            targets,
        )
        for first, last in ranges
    ]
    return parts[0] if len(parts) == 1 else op.sum(parts)


def sum_leaf_rows(x: Var, width: int, trees: Trees, values: NDArray[np.float64]) -> Var:
    """For every row of `x` float64 `[N, width]`, the sum of rows of `values` `[n, k]`, those of its leaves.

    A leaf of `TreeEnsemble` has one weight only. So the trees are walked once for the position of the leaf in
    each, and the rows are gathered, instead of walking `k` copies of every tree.
    """
    matrix, trees = _orient(x, width, trees, np.float64)
    most = max(1, _GATHERED_PER_ROW // values.shape[1])
    sums = []
    for first, last in _parts(trees, most):
        part = trees.select(first, last)
        position = (np.cumsum(part.is_leaf) - 1).astype(np.float64)
        rows = _slice(values, trees, first, last)[part.is_leaf]
        reached = _node(matrix, part, position, np.arange(part.count), part.count)
        gathered = op.gather(constant(rows), op.cast(reached, to=np.int32), axis=0)
        sums.append(op.reduce_sum(gathered, constant([1], np.int64), keepdims=False))
    return sums[0] if len(sums) == 1 else op.sum(sums)


def note_thresholds(context: Context, matrix: Var, X: Table, trees: Trees) -> None:
    """Tell `context` where the trees decide: a spread of at most 16 thresholds for each column of `X`."""
    inner = ~trees.is_leaf & (trees.category_set < 0)
    feature, threshold = trees.feature[inner], trees.threshold[inner]
    if len(feature) == 0:
        return
    order = np.lexsort((threshold, feature))
    feature, threshold = feature[order], threshold[order]
    used, begins = np.unique(feature, return_index=True)
    for position, values in zip(used.tolist(), np.split(threshold, begins[1:]), strict=True):
        note_thresholds_of(context, matrix, X, position, values)


def note_thresholds_of(
    context: Context, matrix: Var, X: Table, position: int, values: NDArray[np.float64]
) -> None:
    """Tell `context` that trees compare column `position` of `X` with `values`: a spread of at most 16 of them.

    Where no number of float32 is beyond a threshold, it only tells missing values from all others.
    """
    distinct = np.unique(values[np.abs(values) < _LARGEST_FLOAT32])
    spread = np.linspace(0, len(distinct) - 1, min(len(distinct), _THRESHOLDS_KEPT))
    context.note_thresholds(matrix, X, position, distinct[spread.round().astype(np.int64)])


def refuse_too_large(estimator: Any, nodes: int, context: Context) -> None:
    """Refuse forests whose graph would not fit into one file of protobuf."""
    if nodes > MOST_NODES:
        raise context.refuse(
            estimator,
            f"its trees have {nodes:,} nodes, and one ONNX graph holds {MOST_NODES:,} of them at most",
            "Fit smaller trees (min_samples_leaf, max_leaf_nodes, max_depth) or fewer (n_estimators)",
        )


def _leaves(count: int, categories: int) -> Trees:
    """Trees of one leaf each."""
    zeros = np.zeros(count, np.int64)
    none = np.zeros(count, np.bool_)
    return Trees(
        starts=np.arange(count + 1),
        feature=zeros,
        threshold=zeros.astype(np.float64),
        left=zeros,
        right=zeros,
        is_leaf=~none,
        missing_left=none,
        samples=zeros,
        **no_categories(count, categories),
    )


def _slice(values: NDArray[np.float64], trees: Trees, first: int, last: int) -> NDArray[np.float64]:
    return values[int(trees.starts[first]) : int(trees.starts[last])]


def _parts(trees: Trees, most_trees: int | None = None) -> Iterator[tuple[int, int]]:
    """Ranges of trees: all in one, but for forests so large that walking them in parts saves the cache."""
    budget = max(_NODES_PER_PART, -(-trees.nodes // _MOST_PARTS))
    limit = most_trees or trees.count
    first = 0
    for tree in range(1, trees.count):
        if trees.starts[tree + 1] - trees.starts[first] > budget or tree - first == limit:
            yield first, tree
            first = tree
    yield first, trees.count


def _orient(x: Var, width: int, trees: Trees, dtype: type[np.floating[Any]]) -> tuple[Var, Trees]:
    """The same trees with the side that most rows take on the right, and the matrix they compare.

    ONNX Runtime lays the right side out next to its parent, and a walk that stays there is about a third
    faster. Turning a split round needs `-x < -t`, that is `-x <= -(the number after t)`, so the matrix also
    holds the columns with their sign changed. Where most rows go is also where scikit-learn's trees send a
    NaN that training never saw, which then costs nothing extra.
    """
    inner = ~trees.is_leaf
    by_category = trees.category_set >= 0
    left, right = np.where(inner, trees.left, 0), np.where(inner, trees.right, 0)
    counted = np.less(np.arange(trees.goes_left.shape[1]), trees.categories[:, None])
    others: NDArray[np.bool_] = ~trees.goes_left & counted
    # No number is beyond +inf, and no operator knows an empty set, so such splits stay as they are.
    turnable: NDArray[np.bool_] = np.less(trees.threshold, np.inf)
    turnable[by_category] = others.sum(axis=1)[trees.category_set[by_category]] > 0
    turned = inner & turnable & (trees.samples[left] > trees.samples[right])

    used = np.unique(trees.feature[inner])
    feature = trees.feature
    if 0 < 2 * len(used) < width:
        x = op.gather(x, constant(used, np.int64), axis=1)
        width = len(used)
        feature = np.where(inner, np.searchsorted(used, feature), 0)
    negated = turned & ~by_category
    turned_sets = trees.category_set[turned & by_category]
    goes_left = trees.goes_left.copy()
    goes_left[turned_sets] = others[turned_sets]
    return op.concat([x, op.neg(x)], axis=1) if negated.any() else x, replace(
        trees,
        feature=np.where(negated, feature + width, feature),
        threshold=np.where(negated, -_after(trees.threshold, dtype), trees.threshold),
        left=np.where(turned, right, left),
        right=np.where(turned, left, right),
        missing_left=trees.missing_left ^ turned,
        goes_left=goes_left,
    )


def _after(thresholds: NDArray[np.float64], dtype: type[np.floating[Any]]) -> NDArray[np.float64]:
    """The number of `dtype` after each of `thresholds`, which are numbers of `dtype`."""
    following = np.nextafter(thresholds.astype(dtype), dtype(np.inf))
    return np.asarray(following, dtype=np.float64)


def _node(x: Var, trees: Trees, values: NDArray[np.float64], owners: NDArray[np.int64], targets: int) -> Var:
    is_leaf = trees.is_leaf
    inner = np.flatnonzero(~is_leaf)
    place = np.where(is_leaf, np.cumsum(is_leaf), np.cumsum(~is_leaf)) - 1
    left, right = trees.left[inner], trees.right[inner]
    roots = trees.starts[:-1]
    # A tree that is one leaf is written as a split whose two sides are that leaf.
    lone = np.flatnonzero(is_leaf[roots])
    lone_leaves = place[roots[lone]]
    root_places = place[roots]
    root_places[lone] = len(inner) + np.arange(len(lone))

    def padded(array: NDArray[Any], fill: int = 0) -> NDArray[Any]:
        return np.concatenate([array, np.full(len(lone), fill, array.dtype)])

    sets = trees.category_set[inner]
    modes = np.where(sets >= 0, _MEMBER, _LEQ).astype(np.uint8)
    missing = padded(trees.missing_left[inner].astype(np.int64))
    return ml.tree_ensemble(
        x,
        nodes_featureids=padded(trees.feature[inner]).tolist(),
        nodes_splits=padded(trees.threshold[inner].astype(values.dtype)),
        nodes_modes=padded(modes),
        membership_values=_listed(trees.goes_left[sets[sets >= 0]], values.dtype),
        nodes_truenodeids=np.concatenate([place[left], lone_leaves]).tolist(),
        nodes_falsenodeids=np.concatenate([place[right], lone_leaves]).tolist(),
        nodes_trueleafs=padded(is_leaf[left].astype(np.int64), 1).tolist(),
        nodes_falseleafs=padded(is_leaf[right].astype(np.int64), 1).tolist(),
        nodes_missing_value_tracks_true=missing.tolist() if missing.any() else None,
        tree_roots=root_places.tolist(),
        leaf_targetids=np.repeat(owners, np.diff(trees.starts))[is_leaf].tolist(),
        leaf_weights=values[is_leaf],
        n_targets=targets,
    )


def _listed(sets: NDArray[np.bool_], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """The members of each row, each row ended by a NaN; None where there is no row."""
    if len(sets) == 0:
        return None
    ended = np.concatenate([sets, np.ones((len(sets), 1), np.bool_)], axis=1)
    members = np.nonzero(ended)[1].astype(np.float64)
    members[members == sets.shape[1]] = np.nan
    return members.astype(dtype)
