"""CatBoost's own JSON form of a model (`save_model(format="json")`), read into arrays."""

from __future__ import annotations

import json
import tempfile
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.lowering._tree_ensemble import Trees, no_categories, round_thresholds_from_float32
from afterfit.lowering.catboost._statistics import Statistic, read_statistics, unsigned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

NUMBER, ONE_HOT, STATISTIC = "FloatFeature", "OneHotFeature", "OnlineCtr"


@dataclass(frozen=True)
class Dump:
    """What a model says of itself.

    `loss`: the name of its loss function, None of a sum of models. `scale` and `bias` `[outputs]` turn sums of leaves
    into raw values.

    `numbers`, `categoricals`: the column of each float and each categorical feature, by its index.
    `missing_goes_right`: the float features whose missing values are above every border.
    `hashes`: the categories of each categorical feature that splits, or conditions of statistics, ask for, from 0 up
    to 2**32. `statistics`: the statistics of categories that splits compare.
    """

    document: dict[str, Any]
    loss: str | None
    scale: float
    bias: NDArray[np.float64]
    numbers: dict[int, int]
    categoricals: dict[int, int]
    missing_goes_right: frozenset[int]
    hashes: dict[int, list[int]]
    statistics: tuple[Statistic, ...]

    @property
    def outputs(self) -> int:
        """How many raw values a row has."""
        return len(self.bias)

    @property
    def trees(self) -> list[dict[str, Any]]:
        """The trees, as the document holds them."""
        found: list[dict[str, Any]] = self.document.get("oblivious_trees") or self.document.get("trees") or []
        return found

    def splits(self) -> Iterator[dict[str, Any]]:
        """Every split of every tree."""
        for tree in self.trees:
            yield from _splits(tree)

    def find_statistic(self, split: int) -> tuple[int, int]:
        """The place of the statistic that a split compares, by the number of the split, and of its border."""
        place = bisect_right(self._first_splits, split) - 1
        return place, split - self._first_splits[place]

    @cached_property
    def _first_splits(self) -> list[int]:
        return [statistic.first_split for statistic in self.statistics]


def save_json(model: Any) -> bytes:
    """The model as JSON, which CatBoost writes only into a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        return path.read_bytes()


def read_json(content: bytes) -> Dump:
    """What a model says of itself."""
    document = json.loads(content)
    features = document["features_info"]
    numbers = {
        feature["feature_index"]: feature["flat_feature_index"]
        for feature in features.get("float_features", ())
    }
    categoricals = {
        feature["feature_index"]: feature["flat_feature_index"]
        for feature in features.get("categorical_features", ())
    }
    scale, bias = document["scale_and_bias"]
    dump = Dump(
        document=document,
        loss=document["model_info"].get("params", {}).get("loss_function", {}).get("type"),
        scale=float(scale),
        bias=np.array(bias, dtype=np.float64),
        numbers=numbers,
        categoricals=categoricals,
        missing_goes_right=frozenset(
            feature["feature_index"]
            for feature in features.get("float_features", ())
            if feature["nan_value_treatment"] == "AsTrue"
        ),
        hashes={index: [] for index in categoricals},
        statistics=read_statistics(document),
    )
    asked = [
        (split["cat_feature_index"], unsigned(split["value"]))
        for split in dump.splits()
        if split["split_type"] == ONE_HOT
    ]
    asked += [match for statistic in dump.statistics for match in statistic.projection.matches]
    for feature, found in asked:
        if found not in dump.hashes[feature]:
            dump.hashes[feature].append(found)
    return dump


def read_trees(dump: Dump, places: dict[int, int], statistics: int) -> tuple[Trees, NDArray[np.float64]]:
    """The trees, and the values of their leaves `[n, outputs]`.

    They compare the columns of `X` at their `places`, and statistics in the columns from `statistics` on.

    Where CatBoost asks whether a value is over a border, these trees go left if it is at most that border; where it
    asks for a category, the column holds its place in `hashes` and the trees go left where it is that one. The column
    of a statistic holds how many of its borders lie below it.
    """
    width = max((len(hashes) for hashes in dump.hashes.values()), default=0) + 1
    parts, values = [], []
    for tree in dump.trees:
        nodes = _Nodes(dump, width, places, statistics)
        found = nodes.oblivious(tree) if "splits" in tree else nodes.asymmetric(tree)
        parts.append(nodes.trees())
        values.append(found)
    return Trees.join(parts), np.concatenate(values)


def _splits(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "splits" in tree:
        yield from tree["splits"] or ()
        return
    pending = [tree]
    while pending:
        node = pending.pop()
        if "split" in node:
            yield node["split"]
            pending += [node["left"], node["right"]]


class _Nodes:
    """The nodes of one tree as they are gathered, in CatBoost's directions: right where a split holds."""

    def __init__(self, dump: Dump, width: int, places: dict[int, int], statistics: int) -> None:
        self._dump = dump
        self._width = width
        self._places = places
        self._statistics = statistics
        self.splits: list[dict[str, Any] | None] = []
        self.left: list[int] = []
        self.right: list[int] = []
        self.weights: list[float] = []

    def oblivious(self, tree: dict[str, Any]) -> NDArray[np.float64]:
        """Add a tree whose levels ask one question each; bit `i` of a leaf's number answers question `i`."""
        splits = tree["splits"] or ()
        depth = len(splits)
        values = np.array(tree["leaf_values"], dtype=np.float64).reshape(1 << depth, -1)
        counts = np.array(tree.get("leaf_weights") or [0.0] * (1 << depth), dtype=np.float64)
        for level, split in enumerate(splits):
            below = (1 << (level + 1)) - 1
            places = range(1 << level)
            self.splits += [split] * len(places)
            self.left += [below + place for place in places]
            self.right += [below + (place | 1 << level) for place in places]
            self.weights += [float(counts[place :: 1 << level].sum()) for place in places]
        self._add_leaves(counts)
        return np.concatenate([np.zeros(((1 << depth) - 1, values.shape[1])), values])

    def _add_leaves(self, counts: NDArray[np.float64]) -> None:
        self.splits += [None] * len(counts)
        self.left += [0] * len(counts)
        self.right += [0] * len(counts)
        self.weights += counts.tolist()

    def asymmetric(self, tree: dict[str, Any]) -> NDArray[np.float64]:
        """Add a tree whose splits are nested."""
        values: list[Any] = []
        pending: list[tuple[dict[str, Any], int, list[int]]] = [(tree, -1, self.left)]
        while pending:
            node, parent, side = pending.pop()
            place = len(self.splits)
            if parent >= 0:
                side[parent] = place
            split = node.get("split")
            self.splits.append(split)
            self.left.append(0)
            self.right.append(0)
            self.weights.append(_weight(node))
            values.append(np.atleast_1d(node.get("value", 0.0)))
            if split is not None:
                pending += [(node["right"], place, self.right), (node["left"], place, self.left)]
        rows = np.zeros((len(values), self._dump.outputs))
        for row, value in enumerate(values):
            rows[row] = value
        return rows

    def trees(self) -> Trees:
        """The tree, turned so that a category in its set goes left."""
        count = len(self.splits)
        left, right = np.array(self.left, dtype=np.int64), np.array(self.right, dtype=np.int64)
        feature = np.zeros(count, np.int64)
        border = np.zeros(count)
        missing_left = np.zeros(count, np.bool_)
        members: list[tuple[int, int]] = []
        for place, split in enumerate(self.splits):
            if split is None:
                continue
            if split["split_type"] == NUMBER:
                index = split["float_feature_index"]
                feature[place] = self._places[self._dump.numbers[index]]
                border[place] = split["border"]
                missing_left[place] = index not in self._dump.missing_goes_right
                continue
            if split["split_type"] == STATISTIC:
                column, passed = self._dump.find_statistic(split["split_index"])
                feature[place] = self._statistics + column
                border[place] = passed + 0.5
                continue
            index = split["cat_feature_index"]
            feature[place] = self._places[self._dump.categoricals[index]]
            left[place], right[place] = right[place], left[place]
            members.append((place, self._dump.hashes[index].index(unsigned(split["value"]))))
        sets = no_categories(count, self._width)
        if members:
            places, codes = np.array(members).T
            sets["category_set"][places] = np.arange(len(places))
            sets["goes_left"] = np.equal(np.arange(self._width), codes[:, np.newaxis])
            sets["categories"] = np.zeros(len(places), np.int64)
        return Trees(
            starts=np.array([0, count]),
            feature=feature,
            threshold=round_thresholds_from_float32(border),
            left=left,
            right=right,
            is_leaf=np.array([split is None for split in self.splits]),
            missing_left=missing_left,
            samples=np.array(self.weights).astype(np.int64),
            **sets,
        )


def _weight(node: dict[str, Any]) -> float:
    pending, total = [node], 0.0
    while pending:
        part = pending.pop()
        if "split" in part:
            pending += [part["left"], part["right"]]
        else:
            total += float(part.get("weight", 0.0))
    return total
