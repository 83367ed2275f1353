"""From a graph that others made to one that bundles may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnx.inliner

from afterfit.bundle import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLAIN = {"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Expand"}
_WRAPPING = {"Where", "Less", "Add"}
"""How an index below 0 is counted from the end: where(i < 0, i + n, i)."""


def fit_format(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph without functions, metadata and what else bundles do not hold."""
    plain = onnx.inliner.inline_local_functions(model)
    for named in (plain, plain.graph, *plain.graph.node, *plain.graph.input, *plain.graph.output):
        named.ClearField("metadata_props")
        named.ClearField("doc_string")
    for tensor in plain.graph.initializer:
        tensor.ClearField("metadata_props")
        tensor.ClearField("doc_string")
    plain.graph.ClearField("value_info")
    return plain


def unknown_operators(model: onnx.ModelProto) -> list[str]:
    """The operators of a graph that bundles may not hold."""
    return sorted(
        {node.op_type for node in model.graph.node if node.op_type not in OPERATORS.get(node.domain, ())}
    )


def last_operator(model: onnx.ModelProto) -> str:
    """The operator that makes the answer, those apart that only give it another shape or type."""
    makers = {output: node for node in model.graph.node for output in node.output}
    node = makers.get(model.graph.output[0].name)
    while node is not None and node.op_type in _PLAIN:
        node = makers.get(node.input[0])
    return "" if node is None else node.op_type


def table_sizes(model: onnx.ModelProto) -> Iterator[tuple[int, int]]:
    """For each input that holds positions in a table of weights (an embedding): its number, the rows of the table."""
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input]
    makers = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        if node.op_type != "Gather" or axis != 0 or len(weights.get(node.input[0], ())) != 2:
            continue
        found = _origins(node.input[1], makers, set(weights))
        if len(found) == 1 and (name := found.pop()) in inputs:
            yield inputs.index(name), weights[node.input[0]][0]


def _origins(name: str, makers: dict[str, onnx.NodeProto], weights: set[str]) -> set[str]:
    node = makers.get(name)
    if node is None:
        return set() if name in weights else {name}
    if node.op_type == "Constant":
        return set()
    if node.op_type in _PLAIN:
        return _origins(node.input[0], makers, weights)
    if node.op_type in _WRAPPING:
        return set().union(*(_origins(value, makers, weights) for value in node.input))
    return {name}
