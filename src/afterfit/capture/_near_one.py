"""Factors so near to 1 that ONNX Runtime takes them for 1.

Its optimisation `NoopElimination`, on at every level but "none", rounds a constant of one element to float32 before it
asks whether multiplying or dividing by it does anything: a float64 factor within 6e-8 of 1 is dropped. Two steps by
powers of two apart give the same float64 and are kept.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def keep_factors_near_one(model: Any) -> None:
    """Rewrite, in place, `x * c` as `(x * (c / 2)) * 2` and `x / c` as `(x / (c * 2)) * 2` for such constants `c`.

    Halving and doubling are exact, so the answers are the same to the last bit, but for subnormal ones.
    """
    _rewrite(model.graph)


def _rewrite(graph: Any) -> None:
    factors = _factors(graph)
    nodes: list[Any] = []
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
        tensor, value = factors[node.input[side]]
        answer = node.output[0]
        half, two, part = (f"{answer}__near_one_{role}" for role in ("factor", "two", "part"))
        doubled = type(node)(op_type="Mul", name=f"{answer}__near_one", input=[part, two], output=[answer])
        node.input[side], node.output[0] = half, part
        nodes.append(_constant(node, tensor, half, value * (0.5 if node.op_type == "Mul" else 2.0)))
        nodes += [_constant(node, tensor, two, 2.0), node, doubled]
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)


def _factors(graph: Any) -> dict[str, tuple[Any, float]]:
    """The float64 constants of one element that are 1 once they are rounded to float32, and are not 1."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    found = {}
    for name, tensor in tensors.items():
        if tensor.data_type == tensor.DOUBLE and math.prod(tensor.dims) == 1:
            value = float(
                np.frombuffer(tensor.raw_data, "<f8")[0] if tensor.raw_data else tensor.double_data[0]
            )
            if np.float32(value) == 1.0 and value != 1.0:
                found[name] = (tensor, value)
    return found


def _constant(node: Any, like: Any, name: str, value: float) -> Any:
    """A node for a constant of the shape of `like`."""
    made = type(node)(op_type="Constant", name=name, output=[name])
    attribute = made.attribute.add(name="value")
    attribute.type = attribute.TENSOR
    attribute.t.CopyFrom(like)
    attribute.t.ClearField("double_data")
    attribute.t.name = name
    attribute.t.raw_data = np.array([value], "<f8").tobytes()
    return made
