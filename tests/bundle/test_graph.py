"""The reader of ONNX files against the definition of ONNX, and against what it may not cost."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from afterfit.bundle import _onnx as messages
from afterfit.bundle._graph import audit_graph
from afterfit.bundle._onnx import TREE_ATTRIBUTE
from afterfit.bundle._operators import ONNX, ONNX_ML, OPERATORS, OPSETS, WITH_BODY
from afterfit.bundle._protobuf import BYTES, FIXED32, FIXED64, VARINT, Message, Wire
from afterfit.bundle._trees import _decode
from afterfit.errors import AuditError
from afterfit.schema import Column, Output, Schema

DESCRIPTIONS = [value for value in vars(messages).values() if isinstance(value, Message)]
WIRE_TYPES = {
    "int32": VARINT, "int64": VARINT, "uint64": VARINT, "enum": VARINT,
    "float": FIXED32, "double": FIXED64, "string": BYTES, "bytes": BYTES, "message": BYTES,
}  # fmt: skip
SCHEMA = Schema(
    columns=(Column(name="x", type="float", nullable=True, input="number", position=0),),
    outputs=(Output(name="prediction", type="float", shape=(-1, 1)),),
)


def descriptor(name: str) -> Any:
    outer, _, inner = name.partition(".")
    found = getattr(onnx, outer).DESCRIPTOR
    return found.nested_types_by_name[inner] if inner else found


@pytest.mark.parametrize("kind", DESCRIPTIONS, ids=lambda kind: kind.name)
def test_fields_are_those_of_onnx(kind: Message) -> None:
    fields = descriptor(kind.name).fields_by_number
    kinds = {number: name for name, number in vars(type(fields[1])).items() if name.startswith("TYPE_")}
    for tag, field in kind.fields.items():
        known = fields[tag >> 3]
        expected = WIRE_TYPES[kinds[known.type].removeprefix("TYPE_").lower()]
        packed = field.wire == BYTES != expected
        assert field.name in (known.name, "packed")
        assert tag & 7 == field.wire
        assert field.wire == expected or packed
        repeated = known.is_repeated if hasattr(known, "is_repeated") else known.label == known.LABEL_REPEATED
        assert field.repeated == bool(repeated)


def test_operators_exist_and_only_those_with_bodies_take_graphs() -> None:
    for domain in (ONNX, ONNX_ML):
        newest = OPSETS[domain][-1]
        for operator in OPERATORS[domain]:
            schema = onnx.defs.get_schema(operator, newest, domain)
            takes_graph = any(
                attribute.type in (onnx.defs.OpSchema.AttrType.GRAPH, onnx.defs.OpSchema.AttrType.GRAPHS)
                for attribute in schema.attributes.values()
            )
            assert takes_graph == (operator in WITH_BODY), operator
            assert "seed" not in schema.attributes, operator
            assert not schema.deprecated, operator


@given(st.lists(st.integers(0, 2**28 - 1), min_size=1, max_size=50), st.booleans())
def test_ids_are_decoded_as_protobuf_does(ids: list[int], packed: bool) -> None:
    data = helper.make_attribute("nodes_featureids", ids).SerializeToString()
    if packed:
        values = b"".join(varint(number) for number in ids)
        data = b"\x0a\x01x\x42" + varint(len(values)) + values
    fields = {name: (start, stop) for name, start, stop in Wire(data).walk(0, len(data), TREE_ATTRIBUTE)}
    name = "packed" if packed else "ints"
    assert _decode(data, *fields[name], tagged=not packed).tolist() == ids


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def test_numbers_may_be_packed_or_not_and_negative() -> None:
    """Attributes and tensors in every spelling that protobuf allows."""
    node = helper.make_node(
        "Constant", [], ["c"], value_ints=[-1, 2, -(2**63)], value_floats=[0.5, -1.5], value_strings=[b"a"]
    )
    tensor = helper.make_tensor("d", TensorProto.DOUBLE, [2], [1.0, 2.0])
    model = onnx.load_model_from_string(forest(trees=1, nodes=3))
    model.graph.node.extend([node])
    model.graph.initializer.extend([tensor, helper.make_tensor("i", TensorProto.INT64, [2], [-1, 3])])
    audit_graph(model.SerializeToString(), SCHEMA)
    unpacked = b"".join(b"\x51" + np.float64(number).tobytes() for number in (1, 2))
    graph = model.graph.SerializeToString() + b"\x2a" + varint(len(unpacked)) + unpacked
    model.ClearField("graph")
    audit_graph(model.SerializeToString() + b"\x3a" + varint(len(graph)) + graph, SCHEMA)


def forest(trees: int, nodes: int) -> bytes:
    """Complete binary trees of `nodes` nodes each."""
    place = np.arange(nodes)
    sides = {"true": 2 * place + 1, "false": 2 * place + 2}
    attributes: dict[str, Any] = {}
    leaves = sum(int((children >= nodes).sum()) for children in sides.values())
    seen = 0
    for side, children in sides.items():
        leaf = children >= nodes
        number = np.cumsum(leaf) - 1 + seen
        seen += int(leaf.sum())
        ids = [np.where(leaf, number + leaves * tree, children + nodes * tree) for tree in range(trees)]
        attributes[f"nodes_{side}nodeids"] = np.concatenate(ids).tolist()
        attributes[f"nodes_{side}leafs"] = np.tile(leaf.astype(int), trees).tolist()
    node = helper.make_node(
        "TreeEnsemble",
        ["number"],
        ["prediction"],
        domain=ONNX_ML,
        n_targets=1,
        nodes_featureids=[0] * (trees * nodes),
        nodes_splits=numpy_helper.from_array(np.zeros(trees * nodes)),
        nodes_modes=numpy_helper.from_array(np.zeros(trees * nodes, np.uint8)),
        leaf_targetids=[0] * (trees * leaves),
        leaf_weights=numpy_helper.from_array(np.zeros(trees * leaves)),
        tree_roots=(np.arange(trees) * nodes).tolist(),
        **attributes,
    )
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "forest",
        [value("number", TensorProto.DOUBLE, ["N", 1])],
        [value("prediction", TensorProto.DOUBLE, ["N", 1])],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(ONNX_ML, 5)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def test_a_forest_is_audited() -> None:
    audit_graph(forest(trees=5, nodes=300), SCHEMA)


def test_payloads_are_not_copied() -> None:
    """40 MB of weights and 2 million unpacked numbers cost next to no memory."""
    model = onnx.load_model_from_string(forest(trees=1, nodes=3))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(5_000_000), "w"))
    floats = helper.make_node("Constant", [], ["c"], value_floats=np.zeros(1_000_000, np.float32))
    ints = helper.make_node("Constant", [], ["d"], value_ints=np.arange(1_000_000))
    model.graph.node.extend([floats, ints])
    data = model.SerializeToString()
    assert len(data) > 48_000_000
    tracemalloc.start()
    try:
        audit_graph(data, SCHEMA)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_by_a_rule(data: bytes) -> None:
    with pytest.raises(AuditError):
        audit_graph(data, SCHEMA)
