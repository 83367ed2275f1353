"""Reading an ONNX file that others made: what it takes, what it answers with, and what bundles do not hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from afterfit.bundle import DOMAIN_ALIASES, ONNX, ONNX_ML, OPERATORS
from afterfit.errors import UnsupportedModelError
from afterfit.lowering._onnx_graph import fit_format, unknown_operators
from afterfit.lowering.onnx._rewrite import rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator

_DTYPES: dict[int, np.dtype[Any]] = {
    onnx.TensorProto.FLOAT: np.dtype(np.float32),
    onnx.TensorProto.DOUBLE: np.dtype(np.float64),
    onnx.TensorProto.INT64: np.dtype(np.int64),
    onnx.TensorProto.INT32: np.dtype(np.int32),
    onnx.TensorProto.BOOL: np.dtype(np.bool_),
    onnx.TensorProto.STRING: np.dtype(object),
}
_LABELS = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")
OPSET, ML_OPSET = 21, 5
_FIRST_OPSET = 7
"""The first that ONNX Runtime promises to run."""

_ADOPT_THE_MODEL = "Adopt the file of the model that it was exported from"


@dataclass(frozen=True, slots=True)
class Input:
    """An input: `dtype` is object for text, `width` None where its number of columns is open; `rank` 1 or 2."""

    name: str
    dtype: np.dtype[Any]
    rank: int
    width: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The outputs: `prediction`, and where that is a label, its `classes` and the output of the `probabilities`."""

    prediction: str
    probabilities: str | None = None
    classes: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadGraph:
    """A graph as bundles may hold it, and as it was: `labels` are the classes that its operators name."""

    model: onnx.ModelProto
    original: onnx.ModelProto
    labels: tuple[Any, ...]


def refuse(label: str, reason: str, way_out: str = _ADOPT_THE_MODEL) -> NoReturn:
    """Refuse a graph."""
    raise UnsupportedModelError("OnnxGraph", label, reason, way_out)


def read_graph(content: bytes, label: str) -> ReadGraph:
    """The graph of a file, with the operators that bundles hold; refuses one that has others."""
    try:
        original = onnx.load_model_from_string(content)
        # First, as the checker looks for files that are named in it.
        _check_safe(original, label)
        onnx.checker.check_model(original)
    except (DecodeError, onnx.checker.ValidationError) as error:
        first = (str(error).strip().splitlines() or ["it is empty"])[0]
        refuse(label, f"it is no sound ONNX file: {first[:300].rstrip('.')}", "Export the model again")
    labels = _labels(original)
    plain = fit_format(original)
    rewrite(plain, labels)
    unknown = unknown_operators(plain)
    if unknown:
        refuse(label, f"it needs {', '.join(unknown)}, which bundles do not hold or have no exact form for")
    return ReadGraph(_current(plain, label), original, labels)


def _check_safe(model: onnx.ModelProto, label: str) -> None:
    """Refuse what must not reach ONNX Runtime: data outside the file, and operators that are not its own."""
    if any(tensor.external_data or tensor.data_location for tensor in _tensors(model.graph)):
        refuse(
            label,
            "it keeps its numbers in another file",
            "Export it in one file (external_data=False), or onnx.save(onnx.load(path), path)",
        )
    functions = {(function.domain, function.name) for function in model.functions}
    strange = sorted(
        {
            f"{node.op_type} of {node.domain}"
            for node in _nodes(model.graph)
            if node.domain not in OPERATORS and (node.domain, node.op_type) not in functions
        }
    )
    if strange:
        refuse(label, f"it needs {', '.join(strange[:10])}, which ONNX Runtime alone does not run")


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _labels(model: onnx.ModelProto) -> tuple[Any, ...]:
    """The classes that an operator names, or that the label is looked up in; those of the last that does."""
    found: tuple[Any, ...] = ()
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in _LABELS and (attribute.ints or attribute.strings):
                found = tuple(attribute.ints) or tuple(text.decode() for text in attribute.strings)
        if node.op_type == "ArrayFeatureExtractor" and node.input[0] in weights:
            found = found or tuple(
                value.decode() if isinstance(value, bytes) else value
                for value in onnx.numpy_helper.to_array(weights[node.input[0]]).ravel().tolist()
            )
    return found


def _current(model: onnx.ModelProto, label: str) -> onnx.ModelProto:
    """The graph in the versions of operators that bundles hold."""
    # Converters may state a domain twice, or one that they have no operator of left.
    stated: dict[str, int] = {}
    for opset in model.opset_import:
        domain = DOMAIN_ALIASES.get(opset.domain, opset.domain)
        stated[domain] = max(opset.version, stated.get(domain, 0))
    version = stated.get(ONNX, OPSET)
    if version < _FIRST_OPSET:
        refuse(
            label,
            f"it is of opset {version}, and {_FIRST_OPSET} is the oldest that is read",
            "Export it anew",
        )
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid(ONNX, version))
    if ONNX_ML in stated:
        model.opset_import.append(onnx.helper.make_opsetid(ONNX_ML, ML_OPSET))
    if version == OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, OPSET)
    except (RuntimeError, ValueError) as error:
        refuse(
            label,
            f"it is of opset {version}, which cannot be read as {OPSET}: {str(error)[:200]}",
            f"Export it with opset {OPSET}",
        )


def find_inputs(graph: ReadGraph, label: str) -> tuple[Input, ...]:
    """The inputs that rows are bound to."""
    weights = {tensor.name for tensor in graph.model.graph.initializer}
    found = []
    for value in graph.model.graph.input:
        if value.name in weights:
            continue
        kind = value.type.tensor_type
        dtype = _DTYPES.get(kind.elem_type)
        sizes = [size.dim_value or None for size in kind.shape.dim]
        if dtype is None or len(sizes) not in (1, 2):
            refuse(
                label,
                f"its input {value.name!r} takes something else than rows of numbers or text",
                "Save the model itself with afterfit.save, which takes arrays of more dimensions",
            )
        if sizes[0] not in (None, 1) or (sizes[0] == 1 and len(sizes) == 1):
            refuse(label, f"its input {value.name!r} takes {sizes[0]} rows", "Export it with an open batch")
        if sizes[0] == 1:
            refuse(label, f"its input {value.name!r} takes one row at a time", "Export it with an open batch")
        found.append(Input(value.name, dtype, len(sizes), sizes[1] if len(sizes) == 2 else 1))
    if not found:
        refuse(label, "it takes nothing")
    return tuple(found)


def find_answer(graph: ReadGraph, label: str) -> Answer:
    """What it answers with: numbers, or a label and maybe the probability of each class."""
    outputs = list(graph.original.graph.output)
    kinds = [_kind(value) for value in outputs]
    names = [value.name for value in outputs]
    if kinds == ["numbers"]:
        return Answer(names[0])
    if len(outputs) == 2 and kinds[0] == "labels" and kinds[1] in ("numbers", "map"):
        if len(graph.labels) < 2:
            refuse(label, f"its output {names[0]!r} is a label, and it does not say of which classes")
        return Answer(names[0], names[1], graph.labels)
    shown = ", ".join(f"{name} ({kind})" for name, kind in zip(names, kinds, strict=True))
    refuse(
        label,
        f"it answers with {shown}; a bundle answers with numbers, or with a label and the probability of each class",
        "Export it with one output of numbers, or with the two of a classifier",
    )


def _kind(value: onnx.ValueInfoProto) -> str:
    if value.type.HasField("sequence_type"):
        return "map" if value.type.sequence_type.elem_type.HasField("map_type") else "sequence"
    element = value.type.tensor_type.elem_type
    if element in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        return "numbers"
    return "labels" if element in (onnx.TensorProto.INT64, onnx.TensorProto.STRING) else "other values"
