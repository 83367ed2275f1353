"""Which outputs of `model.onnx` need which of its nodes.

Reads the file in place, as the audit does, and expects one that has passed it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from afterfit.bundle._onnx import ATTRIBUTE, GRAPH, MODEL, NAMED_NODE, VALUE_INFO
from afterfit.bundle._operators import ONNX
from afterfit.bundle._protobuf import BYTES, VARINT, VARINT_BITS, Wire

_MODEL_FIELDS = {"ir_version": 1, "graph": 7, "opset_import": 8}
_GRAPH_FIELDS = {"node": 1, "name": 2, "initializer": 5, "input": 11, "output": 12}


@dataclass(frozen=True, slots=True)
class _Node:
    """`reads`: the values that it needs, those of the graphs inside it included. `body`: its bytes."""

    operator: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    body: bytes


@dataclass(slots=True)
class GraphOutline:
    """The nodes of a graph by what they read and write."""

    _head: list[bytes] = field(default_factory=list)
    _inputs: dict[str, bytes] = field(default_factory=dict)
    _outputs: dict[str, bytes] = field(default_factory=dict)
    _initializers: list[bytes] = field(default_factory=list)
    _nodes: list[_Node] = field(default_factory=list)

    @staticmethod
    def of(model: bytes) -> GraphOutline:
        """The outline of the bytes of an audited `model.onnx`."""
        outline, wire = GraphOutline(), Wire(model)
        for name, first, second in wire.walk(0, len(model), MODEL):
            if name == "graph":
                outline._read(wire, first, second)
            elif name == "ir_version":
                outline._head.append(_varint(_MODEL_FIELDS[name] << 3 | VARINT) + _varint(first))
            else:
                outline._head.append(_message(_MODEL_FIELDS[name], model[first:second]))
        return outline

    def _read(self, wire: Wire, start: int, stop: int) -> None:
        for name, first, second in wire.walk(start, stop, GRAPH):
            body = wire.data[first:second]
            match name:
                case "node":
                    operator, reads, writes = _read_node(wire, first, second)
                    self._nodes.append(_Node(operator, tuple(reads), tuple(writes), body))
                case "initializer":
                    self._initializers.append(body)
                case "input":
                    self._inputs[_name(wire, first, second)] = body
                case "output":
                    self._outputs[_name(wire, first, second)] = body

    def copies(self) -> dict[str, str]:
        """Outputs that are one of the inputs, unchanged: the name of each, and that of its input."""
        came_from = {node.writes[0]: node.reads[0] for node in self._nodes if node.operator == "Identity"}
        found = {}
        for output in self._outputs:
            value = output
            while value in came_from:
                value = came_from[value]
            if value in self._inputs:
                found[output] = value
        return found

    def same_for_every_row(self) -> frozenset[str]:
        """Outputs that depend on nothing of the inputs but their shape."""
        return frozenset(
            output
            for output in self._outputs
            if not self._inputs.keys() & self._needed([output], past_shapes=False)[1]
        )

    def needless(self, outputs: list[str]) -> int:
        """How many nodes none of these outputs needs."""
        return len(self._nodes) - len(self._needed(outputs)[0])

    def pruned(self, outputs: list[str]) -> bytes:
        """A `model.onnx` with these outputs alone, in this order, and the nodes that they need."""
        nodes, _ = self._needed(outputs)
        graph = [
            *(_message(_GRAPH_FIELDS["node"], node.body) for node in nodes),
            _message(_GRAPH_FIELDS["name"], b"pruned"),
            *(_message(_GRAPH_FIELDS["initializer"], body) for body in self._initializers),
            *(_message(_GRAPH_FIELDS["input"], body) for body in self._inputs.values()),
            *(_message(_GRAPH_FIELDS["output"], self._outputs[name]) for name in outputs),
        ]
        return b"".join([*self._head, _message(_MODEL_FIELDS["graph"], b"".join(graph))])

    def _needed(self, outputs: list[str], *, past_shapes: bool = True) -> tuple[list[_Node], set[str]]:
        """The nodes that `outputs` need, in their order, and the values; `past_shapes`, those measured too."""
        values, nodes = set(outputs), []
        for node in reversed(self._nodes):
            if values.isdisjoint(node.writes):
                continue
            nodes.append(node)
            if past_shapes or node.operator != "Shape":
                values.update(node.reads)
        return nodes[::-1], values


def _read_node(wire: Wire, start: int, stop: int) -> tuple[str, list[str], list[str]]:
    operator, domain = "", ONNX
    reads: list[str] = []
    writes: list[str] = []
    for name, first, second in wire.walk(start, stop, NAMED_NODE):
        match name:
            case "op_type":
                operator = wire.text(first, second)
            case "domain":
                domain = wire.text(first, second)
            case "input":
                reads.append(wire.text(first, second))
            case "output":
                writes.append(wire.text(first, second))
            case _:
                for part, inner, end in wire.walk(first, second, ATTRIBUTE):
                    if part == "g":
                        reads += _read_by_body(wire, inner, end)
    return operator if domain == ONNX else f"{domain}.{operator}", reads, writes


def _read_by_body(wire: Wire, start: int, stop: int) -> list[str]:
    """Every name that a graph inside a node reads; more than come from outside, as its own are among them."""
    reads: list[str] = []
    for name, first, second in wire.walk(start, stop, GRAPH):
        if name == "node":
            reads += _read_node(wire, first, second)[1]
        elif name == "output":
            reads.append(_name(wire, first, second))
    return reads


def _name(wire: Wire, start: int, stop: int) -> str:
    fields = wire.walk(start, stop, VALUE_INFO)
    return next((wire.text(first, second) for part, first, second in fields if part == "name"), "")


def _message(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >> VARINT_BITS:
        encoded.append(value & 0x7F | 0x80)
        value >>= VARINT_BITS
    encoded.append(value)
    return bytes(encoded)
