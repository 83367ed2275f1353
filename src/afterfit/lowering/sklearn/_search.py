"""Binary search in the graph: how many edges lie below a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from afterfit.lowering._tree_ensemble import Trees, no_categories, sum_leaves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from spox import Var


def search_sorted(x: Var, edges: Sequence[NDArray[np.float64]], *, right: bool) -> Var:
    """`numpy.searchsorted(edges[j], x[:, j])` for every column `j` of `x` float64 `[N, d]`, as float64 `[N, d]`.

    `right`: the number of edges `<= x`, otherwise of those `< x`. Each search is a balanced decision tree, which
    compares exactly and takes as many steps as a binary search. What it answers for NaN means nothing.
    """
    trees, counts = zip(*[_tree(j, column, right=right) for j, column in enumerate(edges)], strict=True)
    return sum_leaves(x, len(edges), Trees.join(trees), np.concatenate(counts), start=np.zeros(len(edges)))


def _tree(feature: int, edges: NDArray[np.float64], *, right: bool) -> tuple[Trees, NDArray[np.float64]]:
    """A full tree with an edge in every inner node, in the order of a heap, and the count in every leaf."""
    depth = len(edges).bit_length()
    inner, leaves = 2**depth - 1, 2**depth
    nodes = np.arange(inner + leaves)
    level = np.floor(np.log2(nodes[:inner] + 1)).astype(np.int64)
    rank = (2 * (nodes[:inner] + 1 - 2**level) + 1) * 2 ** (depth - level - 1) - 1
    padded = np.full(inner + leaves, np.inf)
    padded[: len(edges)] = np.nextafter(edges, -np.inf) if right else edges
    threshold = np.zeros(inner + leaves)
    threshold[:inner] = padded[rank]
    is_leaf = nodes >= inner
    none = np.zeros(inner + leaves, np.bool_)
    tree = Trees(
        starts=np.array([0, inner + leaves]),
        feature=np.where(is_leaf, 0, feature),
        threshold=threshold,
        left=np.where(is_leaf, 0, 2 * nodes + 1),
        right=np.where(is_leaf, 0, 2 * nodes + 2),
        is_leaf=is_leaf,
        missing_left=none,
        samples=np.zeros(inner + leaves, np.int64),
        **no_categories(inner + leaves),
    )
    counts = np.where(is_leaf, np.minimum(nodes - inner, len(edges)), 0).astype(np.float64)
    return tree, counts
