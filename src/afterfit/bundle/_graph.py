"""Audit of `model.onnx`: what its graph is made of, and that it agrees with the schema.

Reads the file in place, without the `onnx` package, and skips the payload of tensors and attributes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from afterfit.bundle._audit import broken
from afterfit.bundle._limits import MAX_GRAPH_DEPTH
from afterfit.bundle._onnx import (
    ATTRIBUTE,
    DIMENSION,
    GRAPH,
    MODEL,
    NODE,
    OPSET,
    SEQUENCE_TYPE,
    SHAPE,
    TENSOR,
    TENSOR_TYPE,
    TYPE,
    VALUE_INFO,
)
from afterfit.bundle._operators import DOMAIN_ALIASES, IR_VERSIONS, ONNX, OPERATORS, OPSETS, WITH_BODY
from afterfit.bundle._protobuf import ENTRY, Wire
from afterfit.bundle._schema import INPUTS
from afterfit.bundle._trees import audit_trees

if TYPE_CHECKING:
    from afterfit.bundle._audit import Rule
    from afterfit.errors import AuditError
    from afterfit.schema import InputName, LogicalType, Schema

INT64, STRING, BOOL, DOUBLE = 7, 8, 9, 11
ELEMENT_NAMES = {1: "float32", INT64: "int64", STRING: "string", BOOL: "bool", DOUBLE: "float64"}
INPUT_ELEMENTS: dict[InputName, int] = {"number": DOUBLE, "text": STRING, "integer": INT64}
OUTPUT_ELEMENTS: dict[LogicalType, int] = {
    "float": DOUBLE,
    "integer": INT64,
    "boolean": BOOL,
    "string": STRING,
}


@dataclass(frozen=True, slots=True)
class _Value:
    """An input or output: `element` is None where it is no tensor; `shape` None where it states no rank."""

    name: str
    element: int | None
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        element = ELEMENT_NAMES.get(self.element or 0, f"element type {self.element}")
        sizes = "of no stated rank" if self.shape is None else _show(self.shape)
        return f"{self.name} {element} {sizes}"


@dataclass(slots=True)
class _Graph:
    inputs: list[_Value] = field(default_factory=list)
    outputs: list[_Value] = field(default_factory=list)
    initializers: set[str] = field(default_factory=set)


def audit_graph(model: bytes, schema: Schema) -> None:
    """Refuse a graph that uses anything the format does not allow, or that disagrees with `schema`."""
    audit = _Audit(model)
    graph = audit.model()
    _audit_inputs(graph, schema)
    _audit_outputs(graph, schema)


class _Audit:
    def __init__(self, data: bytes) -> None:
        self.wire = Wire(data)
        self.domains: set[str] = set()

    def model(self) -> _Graph:
        graph = _Graph()
        opsets: dict[str, int] = {}
        version = 0
        for name, first, second in self.wire.walk(0, len(self.wire.data), MODEL):
            match name:
                case "ir_version":
                    version = first
                case "graph":
                    graph = self.graph(first, second, 1)
                case "opset_import":
                    self.opset(first, second, opsets)
                case "functions":
                    raise _broken("graph-functions", "the graph defines functions of its own")
                case "training_info":
                    raise _broken("graph-training", "the graph carries training information")
                case _:
                    raise _broken(
                        "graph-metadata", "the graph carries metadata; they belong in manifest.json"
                    )
        if version not in IR_VERSIONS:
            raise _broken("graph-ir-version", f"IR version {version} is not {_range(IR_VERSIONS)}")
        for domain in sorted(self.domains - opsets.keys()):
            raise _broken("graph-opset", f"no version is stated for the operators of {_domain(domain)}")
        return graph

    def opset(self, start: int, stop: int, opsets: dict[str, int]) -> None:
        domain, version = ONNX, 0
        for name, first, second in self.wire.walk(start, stop, OPSET):
            if name == "domain":
                domain = self.wire.text(first, second)
            else:
                version = first
        domain = DOMAIN_ALIASES.get(domain, domain)
        if domain not in OPSETS:
            raise _broken("graph-opset", f"the operators of {_domain(domain)} are not allowed")
        if domain in opsets or version not in OPSETS[domain]:
            allowed = _range(OPSETS[domain])
            raise _broken("graph-opset", f"version {version} of {_domain(domain)} is not one of {allowed}")
        opsets[domain] = version

    def graph(self, start: int, stop: int, depth: int) -> _Graph:
        if depth > MAX_GRAPH_DEPTH:
            raise _broken("graph-nesting", f"graphs nest deeper than {MAX_GRAPH_DEPTH} levels")
        graph = _Graph()
        for name, first, second in self.wire.walk(start, stop, GRAPH):
            match name:
                case "node":
                    self.node(first, second, depth)
                case "initializer":
                    graph.initializers.add(self.tensor(first, second))
                case "input":
                    graph.inputs.append(self.value(first, second))
                case "output":
                    graph.outputs.append(self.value(first, second))
                case _:
                    self.value(first, second)
        return graph

    def node(self, start: int, stop: int, depth: int) -> None:
        operator, domain = "", ONNX
        attributes: list[tuple[int, int]] = []
        for name, first, second in self.wire.walk(start, stop, NODE):
            match name:
                case "op_type":
                    operator = self.wire.text(first, second)
                case "domain":
                    domain = self.wire.text(first, second)
                case _:
                    attributes.append((first, second))
        domain = DOMAIN_ALIASES.get(domain, domain)
        if operator not in OPERATORS.get(domain, ()):
            shown = f"{operator[:100]!a} of {_domain(domain)}"
            raise _broken("graph-operator", f"the operator {shown} is not one that bundles may use")
        self.domains.add(domain)
        if operator == "TreeEnsemble":
            audit_trees(self.wire, attributes)
            return
        for first, second in attributes:
            self.attribute(first, second, depth, body=operator in WITH_BODY)

    def attribute(self, start: int, stop: int, depth: int, *, body: bool) -> None:
        for name, first, second in self.wire.walk(start, stop, ATTRIBUTE):
            if name == "t":
                self.tensor(first, second)
            elif body:
                self.graph(first, second, depth + 1)
            else:
                raise _broken("graph-subgraph", "an operator that has no body carries a graph")

    def tensor(self, start: int, stop: int) -> str:
        """The tensor's name."""
        called = ""
        for name, first, second in self.wire.walk(start, stop, TENSOR):
            if name == "name":
                called = self.wire.text(first, second)
            elif name == "external_data" or first:
                raise _broken("graph-external-data", "a tensor keeps its numbers outside the file")
        return called

    def value(self, start: int, stop: int) -> _Value:
        called = ""
        element: int | None = None
        shape: tuple[int | None, ...] | None = None
        for name, first, second in self.wire.walk(start, stop, VALUE_INFO):
            if name == "name":
                called = self.wire.text(first, second)
            else:
                element, shape = self.type(first, second, 1)
        return _Value(called, element, shape)

    def type(self, start: int, stop: int, depth: int) -> tuple[int | None, tuple[int | None, ...] | None]:
        """Element type and shape of a tensor type; None and None of a sequence."""
        if depth > MAX_GRAPH_DEPTH:
            raise _broken("graph-nesting", f"types nest deeper than {MAX_GRAPH_DEPTH} levels")
        element: int | None = None
        shape: tuple[int | None, ...] | None = None
        for name, first, second in self.wire.walk(start, stop, TYPE):
            if name == "tensor_type":
                for part, inner, end in self.wire.walk(first, second, TENSOR_TYPE):
                    if part == "elem_type":
                        element = inner
                    else:
                        shape = self.shape(inner, end)
            else:
                for _, inner, end in self.wire.walk(first, second, SEQUENCE_TYPE):
                    self.type(inner, end, depth + 1)
        return element, shape

    def shape(self, start: int, stop: int) -> tuple[int | None, ...]:
        sizes: list[int | None] = []
        for _, first, second in self.wire.walk(start, stop, SHAPE):
            stated = [value for _, value, _ in self.wire.walk(first, second, DIMENSION)]
            sizes.append(stated[0] if stated else None)
        return tuple(sizes)


def _audit_inputs(graph: _Graph, schema: Schema) -> None:
    expected = {
        _Value(name, INPUT_ELEMENTS[name], (None, width))
        for name in INPUTS
        if (width := len(schema.packed(name)))
    }
    for _, analyzer in schema.analyzed:
        terms, counts = analyzer.inputs
        element = STRING if analyzer.hashing is None else INT64
        expected |= {_Value(terms, element, (None, None)), _Value(counts, DOUBLE, (None, None))}
    expected |= {
        _Value(column.input or "", OUTPUT_ELEMENTS[column.type], (None, *map(_stated, column.shape)))
        for column in schema.columns
        if column.shape is not None and column.type != "any"
    }
    if len(graph.inputs) != len(expected) or set(graph.inputs) != expected:
        raise _broken(
            "graph-inputs",
            f"the schema asks for inputs {_list(expected)}; the graph has {_list(graph.inputs)}",
        )
    if defaults := graph.initializers & {value.name for value in graph.inputs}:
        raise _broken("graph-inputs", f"input {min(defaults)} has a value of its own")


def _stated(size: int) -> int | None:
    """A size of a tensor column as the graph states it: nothing where it is open."""
    return None if size == -1 else size


def _audit_outputs(graph: _Graph, schema: Schema) -> None:
    expected = [
        _Value(output.name, OUTPUT_ELEMENTS[output.type], (None, *output.shape[1:]))
        for output in schema.outputs
    ]
    if len(graph.outputs) != len(expected) or not all(map(_agrees, graph.outputs, expected)):
        raise _broken(
            "graph-outputs",
            f"the schema asks for outputs {_list(expected)}; the graph has {_list(graph.outputs)}",
        )


def _agrees(value: _Value, expected: _Value) -> bool:
    """Whether an output is the expected one: it states its rank, leaves the rows open, and may leave more."""
    if value.name != expected.name or value.element != expected.element or value.shape is None:
        return False
    if expected.shape is None or len(value.shape) != len(expected.shape) or value.shape[0] is not None:
        return False
    sizes = zip(value.shape[1:], expected.shape[1:], strict=True)
    return all(size in (None, wanted) for size, wanted in sizes)


def _list(values: set[_Value] | list[_Value]) -> str:
    shown = (
        sorted(str(value) for value in values)
        if isinstance(values, set)
        else [str(value) for value in values]
    )
    return ascii(", ".join(shown[:10]) or "none")


def _show(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join('N' if size is None else str(size) for size in shape)}]"


def _range(versions: range) -> str:
    return f"{versions.start} to {versions.stop - 1}"


def _domain(domain: str) -> str:
    return "ai.onnx" if domain == ONNX else f"domain {domain[:100]!a}"


def _broken(rule: Rule, message: str) -> AuditError:
    return broken(rule, message, ENTRY)
