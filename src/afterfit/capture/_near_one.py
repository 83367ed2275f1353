"""Factors so near to 1 that ONNX Runtime takes them for 1.

Its optimisation `NoopElimination`, on at every level but "none", rounds a constant of one element to float32 before it
asks whether multiplying or dividing by it does anything: a float64 factor within 6e-8 of 1 is dropped. Two steps by
powers of two apart give the same float64 and are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto


def keep_factors_near_one(model: ModelProto) -> None:
    """Rewrite, in place, `x * c` as `(x * (c / 2)) * 2` and `x / c` as `(x / (c * 2)) * 2` for such constants `c`.

    Halving and doubling are exact, so the answers are the same to the last bit, but for subnormal ones.
    """
    _rewrite(model.graph)


def _rewrite(graph: GraphProto) -> None:
    from onnx import helper

    factors = _factors(graph)
    nodes: list[NodeProto] = []
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rewrite(attribute.g)
        # A constant that is divided is not dropped.
        sides = {"Mul": (0, 1), "Div": (1,)}.get(node.op_type, ())
        side = next((i for i in sides if node.input[i] in factors), None)
        if side is None or node.domain not in ("", "ai.onnx"):
            nodes.append(node)
            continue
        moved = factors[node.input[side]] * (0.5 if node.op_type == "Mul" else 2.0)
        answer = node.output[0]
        half, two, part = (f"{answer}__near_one_{role}" for role in ("factor", "two", "part"))
        node.input[side], node.output[0] = half, part
        nodes += [
            _constant(half, moved),
            _constant(two, np.full(moved.shape, 2.0)),
            node,
            helper.make_node("Mul", [part, two], [answer], name=f"{node.name}__near_one"),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def _factors(graph: GraphProto) -> dict[str, np.ndarray]:
    """The float64 constants of one element that are 1 once they are rounded to float32, and are not 1."""
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    found = {}
    for name, tensor in tensors.items():
        if tensor.data_type == tensor.DOUBLE and int(np.prod(tensor.dims)) == 1:
            value = numpy_helper.to_array(tensor)
            if np.float32(value.ravel()[0]) == 1.0 and value.ravel()[0] != 1.0:
                found[name] = value
    return found


def _constant(name: str, value: np.ndarray) -> NodeProto:
    from onnx import helper, numpy_helper

    return helper.make_node("Constant", [], [name], name=name, value=numpy_helper.from_array(value, name))
