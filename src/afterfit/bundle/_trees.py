"""Audit of `TreeEnsemble`: that its nodes form trees, within bounds.

ONNX Runtime builds trees recursively, and releases differ in what they check first: a deep tree, a child
out of range or an empty set of members ends the process, or reads memory that is not the model's. So it is
checked here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.bundle._audit import broken
from afterfit.bundle._limits import MAX_TREE_DEPTH, MAX_TREE_TARGETS
from afterfit.bundle._onnx import RAW_TENSOR, TREE_ATTRIBUTE
from afterfit.bundle._protobuf import ENTRY, VARINT_BITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from afterfit.bundle._protobuf import Wire
    from afterfit.errors import AuditError

TENSOR_DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 2: np.dtype("u1"), 11: np.dtype("<f8")}
INTS = (
    "nodes_featureids",
    "nodes_truenodeids",
    "nodes_falsenodeids",
    "nodes_trueleafs",
    "nodes_falseleafs",
    "nodes_missing_value_tracks_true",
    "leaf_targetids",
    "tree_roots",
)
TENSORS = ("nodes_splits", "nodes_modes", "nodes_hitrates", "leaf_weights", "membership_values")
NUMBERS = ("n_targets", "aggregate_function", "post_transform")
MEMBER = 6
"""The mode of a node that asks whether a value is in a set; the highest there is."""

EMPTY: NDArray[np.int32] = np.zeros(0, np.int32)
NO_NODE = np.int32(-1)
MAX_ID_BYTES = 4
"""Bytes of the longest varint of an id: no file that a bundle can hold has room for more nodes."""


def audit_trees(wire: Wire, attributes: Sequence[tuple[int, int]]) -> None:
    """Refuse a `TreeEnsemble` whose attributes, each in `wire.data[start:stop]`, do not describe trees."""
    trees = _Trees(wire, attributes)
    trees.audit_sizes()
    trees.audit_ids()
    trees.audit_members()
    trees.audit_shape()


class _Trees:
    def __init__(self, wire: Wire, attributes: Sequence[tuple[int, int]]) -> None:
        self.wire = wire
        self.arrays: dict[str, NDArray[Any]] = {}
        self.targets = 0
        for start, stop in attributes:
            self._read(start, stop)

    def _read(self, start: int, stop: int) -> None:
        called, number = "", 0
        found: list[NDArray[Any]] = []
        for name, first, second in self.wire.walk(start, stop, TREE_ATTRIBUTE):
            if name == "name":
                called = self.wire.text(first, second)
            elif name == "i":
                number = first
            elif name == "t":
                found.append(self._tensor(first, second))
            else:
                found.append(_decode(self.wire.data, first, second, tagged=name == "ints"))
        if called == "n_targets":
            self.targets = number
        elif called not in NUMBERS and (
            called not in INTS + TENSORS or len(found) > 1 or called in self.arrays
        ):
            raise _broken(f"the attribute {called[:100]!a} is unknown, given twice or in pieces")
        elif called not in NUMBERS:
            self.arrays[called] = found[0] if found else EMPTY

    def _tensor(self, start: int, stop: int) -> NDArray[Any]:
        kind, content = 0, (0, 0)
        for name, first, second in self.wire.walk(start, stop, RAW_TENSOR):
            if name == "data_type":
                kind = first
            else:
                content = first, second
        dtype = TENSOR_DTYPES.get(kind)
        size = content[1] - content[0]
        if dtype is None or size % dtype.itemsize:
            raise _broken("a tensor is not of float64, float32 or uint8")
        return np.frombuffer(self.wire.data, dtype, size // dtype.itemsize, content[0])

    def array(self, name: str) -> NDArray[Any]:
        return self.arrays.get(name, EMPTY)

    def audit_sizes(self) -> None:
        nodes = len(self.array("nodes_featureids"))
        per_node = [name for name in INTS + TENSORS if name.startswith("nodes_")]
        optional = ("nodes_missing_value_tracks_true", "nodes_hitrates")
        for name in per_node:
            if len(self.array(name)) != nodes and (name not in optional or len(self.array(name))):
                raise _broken(f"{name} has not one value for each of {nodes:,} nodes")
        if len(self.array("leaf_weights")) != len(self.array("leaf_targetids")):
            raise _broken("leaf_weights and leaf_targetids differ in length")
        if self.array("nodes_modes").dtype != np.uint8 and nodes:
            raise _broken("nodes_modes is not of uint8")
        if not nodes or not len(self.array("leaf_targetids")) or not len(self.array("tree_roots")):
            raise _broken("there are no nodes, no leaves or no roots")

    def audit_ids(self) -> None:
        nodes, leaves = len(self.array("nodes_featureids")), len(self.array("leaf_targetids"))
        if not 1 <= self.targets <= MAX_TREE_TARGETS:
            raise _broken(f"n_targets is not within 1 to {MAX_TREE_TARGETS:,}")
        _audit_below("tree_roots", self.array("tree_roots"), nodes)
        _audit_below("leaf_targetids", self.array("leaf_targetids"), self.targets)
        _audit_below("nodes_modes", self.array("nodes_modes"), MEMBER + 1)
        for side in ("true", "false"):
            leafs = self.array(f"nodes_{side}leafs")
            _audit_below(f"nodes_{side}leafs", leafs, 2)
            ids = self.array(f"nodes_{side}nodeids")
            _audit_below(f"nodes_{side}nodeids", ids[leafs == 0], nodes)
            _audit_below(f"nodes_{side}nodeids", ids[leafs == 1], leaves)

    def audit_members(self) -> None:
        """Sets of members are separated by NaN, one for each node that asks for one, none of them empty."""
        asking = int(np.count_nonzero(self.array("nodes_modes") == MEMBER))
        values = self.array("membership_values")
        ends = np.flatnonzero(np.isnan(values))
        if len(values) and (not len(ends) or ends[-1] != len(values) - 1):
            ends = np.append(ends, len(values))
        if len(ends) != asking or np.any(np.diff(ends, prepend=-1) < 2):
            raise _broken(f"membership_values does not hold {asking:,} sets that are not empty")

    def audit_shape(self) -> None:
        """Every node has at most one parent, roots have none, so nothing is circular; no tree is too deep."""
        children = {
            side: np.where(self.array(f"nodes_{side}leafs") == 0, self.array(f"nodes_{side}nodeids"), NO_NODE)
            for side in ("true", "false")
        }
        roots = self.array("tree_roots")
        everyone = np.concatenate([roots, *(ids[ids >= 0] for ids in children.values())])
        if np.bincount(everyone).max() > 1:
            raise _broken("a node is the child of two nodes, or a root and a child")
        level = roots
        for _ in range(MAX_TREE_DEPTH):
            level = np.concatenate([ids[level] for ids in children.values()])
            level = level[level >= 0]
            if not len(level):
                return
        raise _broken(f"a tree is deeper than {MAX_TREE_DEPTH:,} nodes")


def _decode(data: bytes, start: int, stop: int, *, tagged: bool) -> NDArray[Any]:
    """The varints in `data[start:stop]`, each after its tag where they are not packed."""
    if not stop:
        raise _broken("a number is negative")
    octets = np.frombuffer(data, np.uint8, stop - start, start)
    if tagged and (octets[1::2] < 1 << VARINT_BITS).all() and (octets[0::2] == octets[0]).all():
        return octets[1::2]  # one byte each, as flags and most feature numbers are
    ends = np.flatnonzero(octets < 1 << VARINT_BITS)
    if tagged:
        first, last = ends[0::2] + 1, ends[1::2]
    else:
        last = ends
        first = np.insert(ends[:-1] + 1, 0, 0)
    if not len(last) or last[-1] != len(octets) - 1 or (last - first).max() >= MAX_ID_BYTES:
        raise _broken("a number is negative, cut off, or larger than any id")
    values: NDArray[np.int32] = (octets[first] & 0x7F).astype(np.int32)
    longer = np.flatnonzero(last > first)
    for index in range(1, MAX_ID_BYTES):
        values[longer] |= (octets[first[longer] + index] & 0x7F).astype(np.int32) << VARINT_BITS * index
        longer = longer[last[longer] > first[longer] + index]
    return values


def _audit_below(name: str, ids: NDArray[Any], limit: int) -> None:
    if len(ids) and not (ids.min() >= 0 and ids.max() < limit):
        raise _broken(f"{name} has a value that is not within 0 to {limit - 1:,}")


def _broken(message: str) -> AuditError:
    return broken("graph-tree", f"a TreeEnsemble cannot be read: {message}", ENTRY)
