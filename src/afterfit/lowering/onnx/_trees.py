"""Trees of `ai.onnx.ml` before version 5, as the one operator for trees that bundles hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from afterfit.bundle import ONNX_ML

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from afterfit.lowering.onnx._rewrite import Writer

MODES = {
    b"BRANCH_LEQ": 0,
    b"BRANCH_LT": 1,
    b"BRANCH_GTE": 2,
    b"BRANCH_GT": 3,
    b"BRANCH_EQ": 4,
    b"BRANCH_NEQ": 5,
}
_LEAF = b"LEAF"
_PER_NODE = ("treeids", "nodeids", "modes", "truenodeids", "falsenodeids", "featureids", "values")
_SUM = 1
Key = tuple[int, int]
"""Number of the tree, and of the node in it."""


@dataclass(slots=True)
class _Ensemble:
    """The attributes of a `TreeEnsemble` 5: inner nodes and leaves apart, a leaf of one target each."""

    features: list[int] = field(default_factory=list)
    splits: list[float] = field(default_factory=list)
    modes: list[int] = field(default_factory=list)
    missing_true: list[int] = field(default_factory=list)
    children: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    are_leaves: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    targets: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)

    def leaf(self, target: int, weight: float) -> int:
        self.targets.append(target)
        self.weights.append(weight)
        return len(self.targets) - 1

    def inner(self, feature: int, split: float, mode: int, missing_true: int) -> int:
        self.features.append(feature)
        self.splits.append(split)
        self.modes.append(mode)
        self.missing_true.append(missing_true)
        for child, is_leaf in zip(self.children, self.are_leaves, strict=True):
            child.append(0)
            is_leaf.append(0)
        return len(self.features) - 1


def add_trees(writer: Writer, prefix: str) -> tuple[str, int] | None:
    """The sums of the leaves, float32 `[N, targets]`, and the number of trees; None where there is no such form.

    `prefix`: `target` or `class`, as the attributes of the leaves begin. A tree is copied for each target that its
    leaves speak of.
    """
    given = writer.given
    if any(name.endswith("_as_tensor") for name in given) or not _sound(given, prefix):
        return None
    weights: dict[Key, dict[int, float]] = {}
    leaves = zip(
        given[f"{prefix}_treeids"],
        given[f"{prefix}_nodeids"],
        given[f"{prefix}_ids"],
        given[f"{prefix}_weights"],
        strict=True,
    )
    for tree, node, target, weight in leaves:
        said = weights.setdefault((tree, node), {})
        if target in said:
            return None
        said[target] = weight
    places: dict[Key, int] = {
        key: place
        for place, key in enumerate(zip(given["nodes_treeids"], given["nodes_nodeids"], strict=True))
    }
    spoken: dict[int, set[int]] = {}
    for (tree, _), said in weights.items():
        spoken.setdefault(tree, set()).update(said)
    trees = list(dict.fromkeys(given["nodes_treeids"]))
    built = _Ensemble()
    for tree in trees:
        for target in sorted(spoken.get(tree, ())):
            _copy(built, given, places, weights, tree, target)
    targets = 1 + max(max(one) for one in spoken.values())
    return _written(writer, built, targets), len(trees)


def _sound(given: Mapping[str, Any], prefix: str) -> bool:
    """Whether the attributes describe trees: each is as long as the others, and no node has two parents."""
    nodes = [given.get(f"nodes_{name}", []) for name in _PER_NODE]
    leaves = [given.get(f"{prefix}_{name}", []) for name in ("treeids", "nodeids", "ids", "weights")]
    missing = given.get("nodes_missing_value_tracks_true") or nodes[0]
    lengths = {len(one) for one in (*nodes, missing)}
    if len(lengths) != 1 or len({len(one) for one in leaves}) != 1 or not leaves[0]:
        return False
    trees, ids, modes, true, false, _, _ = nodes
    keys = list(zip(trees, ids, strict=True))
    children = [
        (tree, child)
        for tree, mode, *both in zip(trees, modes, true, false, strict=True)
        if mode != _LEAF
        for child in both
    ]
    roots = set(keys) - set(children)
    return (
        set(modes) <= {*MODES, _LEAF}
        and len(set(keys)) == len(keys)
        and len(set(children)) == len(children)
        and set(children) <= set(keys)
        and len(roots) == len(set(trees))
        and min(leaves[2]) >= 0
        and {next(key for key in keys if key[0] == tree) for tree in set(trees)} == roots
    )


def _copy(
    built: _Ensemble,
    given: Mapping[str, Any],
    places: Mapping[Key, int],
    weights: Mapping[Key, Mapping[int, float]],
    tree: int,
    target: int,
) -> None:
    """One tree, of one target. Its root is its first node."""
    missing = given.get("nodes_missing_value_tracks_true") or [0] * len(given["nodes_modes"])
    first = next(key for key in places if key[0] == tree)

    def leaf(key: Key) -> int:
        return built.leaf(target, weights.get(key, {}).get(target, 0.0))

    if given["nodes_modes"][places[first]] == _LEAF:
        root = built.inner(0, 0.0, 0, 0)
        for child, is_leaf in zip(built.children, built.are_leaves, strict=True):
            child[root], is_leaf[root] = leaf(first), 1
        built.roots.append(root)
        return
    waiting: list[tuple[Key, int, int]] = [(first, -1, 0)]
    while waiting:
        key, parent, side = waiting.pop()
        place = places[key]
        mode = given["nodes_modes"][place]
        if mode == _LEAF:
            built.children[side][parent], built.are_leaves[side][parent] = leaf(key), 1
            continue
        own = built.inner(
            given["nodes_featureids"][place], given["nodes_values"][place], MODES[mode], missing[place]
        )
        if parent < 0:
            built.roots.append(own)
        else:
            built.children[side][parent] = own
        waiting.append(((tree, given["nodes_falsenodeids"][place]), own, 1))
        waiting.append(((tree, given["nodes_truenodeids"][place]), own, 0))


def _written(writer: Writer, built: _Ensemble, targets: int) -> str:
    def tensor(values: Any, dtype: Any) -> onnx.TensorProto:
        array: NDArray[Any] = np.asarray(values, dtype=dtype)
        return onnx.numpy_helper.from_array(array)

    return writer.add(
        "TreeEnsemble",
        [writer.floats()],
        domain=ONNX_ML,
        nodes_featureids=built.features,
        nodes_splits=tensor(built.splits, np.float32),
        nodes_modes=tensor(built.modes, np.uint8),
        nodes_missing_value_tracks_true=built.missing_true,
        nodes_truenodeids=built.children[0],
        nodes_falsenodeids=built.children[1],
        nodes_trueleafs=built.are_leaves[0],
        nodes_falseleafs=built.are_leaves[1],
        leaf_targetids=built.targets,
        leaf_weights=tensor(built.weights, np.float32),
        tree_roots=built.roots,
        n_targets=targets,
        aggregate_function=_SUM,
        post_transform=0,
    )


def tree_regressor(writer: Writer) -> bool:
    """Sums or means of the leaves, and the base values."""
    how = writer.attribute("aggregate_function", "SUM")
    if how not in ("SUM", "AVERAGE") or writer.attribute("post_transform", "NONE") != "NONE":
        return False
    made = add_trees(writer, "target")
    if made is None:
        return False
    total, trees = made
    if how == "AVERAGE":
        total = writer.add("Div", [total, writer.constant(float(trees))])
    writer.add(
        "Add", [total, writer.constant(writer.given.get("base_values") or [0.0])], writer.node.output[0]
    )
    return True


def tree_classifier(writer: Writer) -> bool:
    """Of three classes and more the one of the largest sum; of two, a sum against a threshold."""
    classes = writer.given.get("classlabels_int64s") or writer.given.get("classlabels_strings") or []
    ids = set(writer.given["class_ids"])
    transform = writer.attribute("post_transform", "NONE")
    binary = len(classes) == 2 and len(ids) == 1
    if (
        transform not in ("NONE", "LOGISTIC", "SOFTMAX")
        or len(classes) < 2
        or not ids <= set(range(len(classes)))
    ):
        return False
    if len(classes) == 2 and not binary and writer.given.get("base_values"):
        return False
    if binary:
        writer.given["class_ids"] = [0] * len(writer.given["class_ids"])
    made = add_trees(writer, "class")
    if made is None:
        return False
    label, table = writer.node.output
    scores = writer.add("Add", [made[0], writer.constant(writer.given.get("base_values") or [0.0])])
    if binary:
        index = _of_two(writer, scores, transform, table)
    else:
        finish = {"NONE": "Identity", "LOGISTIC": "Sigmoid", "SOFTMAX": "Softmax"}[transform]
        writer.add(finish, [scores], table, **({"axis": 1} if finish == "Softmax" else {}))
        index = writer.add("ArgMax", [scores], axis=1, keepdims=0)
        if len(classes) == 2:
            # ONNX Runtime looks at the second alone.
            second = writer.add("Gather", [scores, writer.constant(1, np.int64)], axis=1)
            above = writer.add("Greater", [second, writer.constant(0.0)])
            index = writer.add("Cast", [above], to=onnx.TensorProto.INT64)
    writer.labels(classes, index, label)
    return True


def _of_two(writer: Writer, score: str, transform: str, table: str) -> str:
    """Both columns from the score of the second, and which it is: weights that are all positive are probabilities.

    ONNX Runtime makes no softmax of two.
    """
    positive = all(weight >= 0 for weight in writer.given["class_weights"])
    logistic = transform == "LOGISTIC"
    other = writer.add("Neg", [score])
    if positive and not logistic:
        other = writer.add("Sub", [writer.constant(1.0), score])
    both = writer.add("Concat", [other, score], axis=1)
    writer.add("Sigmoid" if logistic else "Identity", [both], table)
    above = writer.add("Greater", [score, writer.constant(0.5 if positive else 0.0)])
    whole = writer.add("Cast", [above], to=onnx.TensorProto.INT64)
    return writer.add("Reshape", [whole, writer.constant([-1], np.int64)])
