"""LightGBM's own text form of a model (`Booster.model_to_string`), read into arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.lowering._tree_ensemble import Trees, no_categories

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ZERO = float(np.float32(1e-35))
"""`kZeroThreshold`: numbers up to this far from zero are zero to LightGBM."""

_CATEGORICAL, _DEFAULT_LEFT, _MISSING_SHIFT = 1, 2, 2
_AS_ZERO, _ZERO_IS_MISSING, _NAN_IS_MISSING = 0, 1, 2
_WORD = 32


@dataclass(frozen=True)
class Text:
    """A model in parts: `objective` and its options, how many scores a row has, and the trees.

    `values` are those of the leaves `[n]`. `averaged`: scores are means over the iterations (`rf`), not sums.
    `zero_is_missing`, `by_category`: the columns whose zeros count as missing, and those split by categories.
    """

    objective: tuple[str, ...]
    outputs: int
    averaged: bool
    linear: bool
    trees: Trees | None
    values: NDArray[np.float64]
    zero_is_missing: tuple[int, ...]
    other_missing: tuple[int, ...]
    by_category: tuple[int, ...]


def read_text(model: str, categories: Mapping[int, int]) -> Text:
    """Read `model`, with the trees up to the best iteration. `categories`: how many the columns are known to have."""
    header, *rest = model.split("\nTree=")
    general = _fields(header)
    raw = [_fields(part) for part in rest]
    sets = [_bits(tree) for tree in raw]
    width = max([1, *categories.values(), *(bits.shape[1] for bits in sets)])
    trees = [_read_tree(tree, bits, width, categories) for tree, bits in zip(raw, sets, strict=True)]
    kinds = np.concatenate([_kinds(tree) for tree in raw], axis=1) if raw else np.zeros((3, 0), np.int64)
    feature, by_category, missing = kinds

    def columns(chosen: NDArray[np.bool_]) -> tuple[int, ...]:
        return tuple(np.unique(feature[chosen]).tolist())

    return Text(
        objective=tuple(general.get("objective", "").split()),
        outputs=int(general["num_tree_per_iteration"]),
        averaged="average_output" in header.splitlines(),
        linear=any(tree.get("is_linear", "0") == "1" for tree in raw),
        trees=Trees.join(trees) if trees else None,
        values=np.concatenate([_leaf_values(tree) for tree in raw]) if raw else np.zeros(0),
        zero_is_missing=columns((by_category == 0) & (missing == _ZERO_IS_MISSING)),
        other_missing=columns((by_category == 0) & (missing != _ZERO_IS_MISSING)),
        by_category=columns(by_category == 1),
    )


def _fields(part: str) -> dict[str, str]:
    lines = (line.partition("=") for line in part.split("\nend of trees", maxsplit=1)[0].splitlines())
    return {name: value for name, equals, value in lines if equals}


def _array(tree: dict[str, str], name: str, dtype: Any) -> NDArray[Any]:
    return np.array(tree.get(name, "").split(), dtype=dtype)


def _leaf_values(tree: dict[str, str]) -> NDArray[np.float64]:
    """The values at the leaves of a tree, whose splits come first and then its leaves."""
    leaves = _array(tree, "leaf_value", np.float64)
    return np.concatenate([np.zeros(len(leaves) - 1), leaves])


def _kinds(tree: dict[str, str]) -> NDArray[np.int64]:
    """Of each split the column, whether it is by category, and what counts as missing: `[3, splits]`."""
    decision = _array(tree, "decision_type", np.int64)
    feature = _array(tree, "split_feature", np.int64)
    return np.stack([feature, decision & _CATEGORICAL, (decision >> _MISSING_SHIFT) & 3])


def _bits(tree: dict[str, str]) -> NDArray[np.bool_]:
    """The categories that go left in each split by category, bool `[sets, c]`."""
    ends = _array(tree, "cat_boundaries", np.int64)
    words = _array(tree, "cat_threshold", np.uint64).astype("<u4")
    if len(ends) == 0:
        return np.zeros((0, 0), np.bool_)
    flags = np.unpackbits(words.view(np.uint8), bitorder="little").astype(np.bool_)
    sets = np.zeros((len(ends) - 1, int(np.diff(ends).max()) * _WORD), np.bool_)
    for row, (first, last) in enumerate(zip(ends[:-1] * _WORD, ends[1:] * _WORD, strict=True)):
        sets[row, : last - first] = flags[first:last]
    return sets[:, : 1 + int(np.flatnonzero(sets.any(axis=0)).max(initial=0))]


def _read_tree(
    tree: dict[str, str], bits: NDArray[np.bool_], width: int, categories: Mapping[int, int]
) -> Trees:
    feature, by_category, missing = _kinds(tree)
    splits = len(feature)
    leaves = splits + 1
    nodes = splits + leaves
    raw = _array(tree, "threshold", np.float64)
    default_left = (_array(tree, "decision_type", np.int64) & _DEFAULT_LEFT) != 0
    sets = no_categories(nodes, width)
    places = np.flatnonzero(by_category)
    if len(places):
        sets["category_set"][places] = np.arange(len(places))
        sets["goes_left"] = np.zeros((len(places), width), np.bool_)
        sets["goes_left"][:, : bits.shape[1]] = bits[raw[places].astype(np.int64)]
        sets["categories"] = np.array([categories.get(i, 0) for i in feature[places].tolist()], np.int64)
    thresholds = _beside_zero(raw)
    missing_left = np.where(missing == _AS_ZERO, raw >= 0, default_left) & (by_category == 0)
    counts = [_array(tree, name, np.int64) for name in ("internal_count", "leaf_count")]
    samples = np.concatenate(counts)

    def children(name: str) -> NDArray[np.int64]:
        given = _array(tree, name, np.int64)[:splits]
        return np.concatenate([np.where(given < 0, splits - 1 - given, given), np.zeros(leaves, np.int64)])

    def padded(array: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([array, np.zeros(leaves, array.dtype)])

    return Trees(
        starts=np.array([0, nodes]),
        feature=padded(feature),
        threshold=padded(thresholds),
        left=children("left_child"),
        right=children("right_child"),
        is_leaf=np.arange(nodes) >= splits,
        missing_left=padded(missing_left),
        samples=samples if len(samples) == nodes else np.zeros(nodes, np.int64),
        **sets,
    )


def _beside_zero(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thresholds that decide for `x` as `thresholds` do once numbers within `ZERO` of zero are made zero.

    Law: `zeroed(x) <= t` exactly where `x <= result`.
    """
    raised = np.where((thresholds >= 0) & (thresholds < ZERO), ZERO, thresholds)
    below = np.nextafter(-ZERO, -np.inf)
    return np.where((thresholds >= -ZERO) & (thresholds < 0), below, raised)
