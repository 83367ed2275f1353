"""From a fitted model and the columns of `X` to a graph and its schema."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import spox
import spox.opset.ai.onnx.v21 as op

from afterfit.capture._forgotten import check_categories
from afterfit.capture._frames import all_values, distinct_values, gap_of
from afterfit.capture._labels import lower_labels
from afterfit.capture._near_one import keep_factors_near_one
from afterfit.lowering import (
    TEXT,
    Block,
    Classification,
    Context,
    Labels,
    Lowered,
    Origin,
    RawColumn,
    Regression,
    Table,
    concatenate,
    constant,
    label_values,
)
from afterfit.runtime import GraphSession
from afterfit.schema import TENSOR_INPUT, Categories, Column, LogicalType, Output, Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spox import Var

    from afterfit.capture._reference import Reference
    from afterfit.schema import Analyzer, InferredColumn, InferredTable, Scalar

_ELEMENT_TYPES: dict[str, type[np.generic]] = {
    "number": np.float64,
    "text": np.str_,
    "integer": np.int64,
}
_TENSOR_ELEMENTS: dict[str | None, type[np.generic]] = {
    "float": np.float64,
    "integer": np.int64,
    "boolean": np.bool_,
    "string": np.str_,
}

EXAMPLE_LENGTH = 200
"""Characters of a text that the schema shows as an example."""


WIDEST_ANSWER = 50_000
"""Columns of a transformer's answer; golden rows state each of them."""


@dataclass(frozen=True)
class LoweredModel:
    """A model lowered on the columns of a schema: the graph's inputs and outputs, before serialisation."""

    columns: tuple[Column, ...]
    outputs: tuple[Output, ...]
    arguments: dict[str, Var]
    results: dict[str, Var]
    lowered: Lowered
    context: Context

    def session(self, graph: bytes, threads: int | None = None) -> GraphSession:
        """A session of a graph that has the inputs of this model."""
        analyzed = Schema(columns=self.columns, outputs=self.outputs).analyzed
        return GraphSession(graph, threads, analyzed=analyzed)

    def graph(self, extra: dict[str, Var] | None = None) -> bytes:
        """The graph as an ONNX file, with the `extra` values as further outputs."""
        return build(self.arguments, {**self.results, **(extra or {})})


def build(arguments: dict[str, Var], results: dict[str, Var]) -> bytes:
    """Serialise a graph; deterministic for the same graph."""
    model = spox.build(arguments, results)
    keep_factors_near_one(model)
    return bytes(model.SerializeToString(deterministic=True))


def lower_model(
    reference: Reference,
    table: InferredTable,
    frame: Any = None,
    observe: Callable[[Any], Any] | None = None,
) -> LoweredModel:
    """Lower the model, with only the columns that it reads among the graph's inputs.

    Which columns a model reads is known once it is lowered; where it leaves some out, it is lowered again
    without them. `frame`: the reference frame of `X`, if there is one, for what its columns hold.
    `observe`: gives a few rows as the model in memory hands them to an estimator.

    Raises `UnsupportedModelError`.
    """
    raw = [
        RawColumn(
            column.name,
            _held_dtype(column, table),
            column.categorical,
            np.nan if frame is None else gap_of(frame, i),
            tuple if frame is None else partial(distinct_values, frame, i),
            tuple if frame is None else partial(all_values, frame, i),
            beyond_float=column.input == "integer",
        )
        for i, column in enumerate(table.columns)
    ]
    readable = [i for i, column in enumerate(table.columns) if column.refusal is None]
    first = _lower(reference, table, raw, readable, observe)
    if first.context.read == set(readable):
        return first
    return _lower(reference, table, raw, sorted(first.context.read), observe)


def _held_dtype(column: InferredColumn, table: InferredTable) -> np.dtype[Any]:
    """What estimators make of a column: from a polars table they read float32 as float64."""
    return np.dtype(np.float64) if table.source == "polars" and column.dtype == np.float32 else column.dtype


def _lower(
    reference: Reference,
    table: InferredTable,
    raw: Sequence[RawColumn],
    used: Sequence[int],
    observe: Callable[[Any], Any] | None,
) -> LoweredModel:
    members: dict[str, list[int]] = {}
    tensors = 0
    for i in used:
        name: str | None = table.columns[i].input
        if name is None:
            raise AssertionError(f"column {table.columns[i].name!r} has neither an input nor a refusal")
        if name == "tensor":
            name = TENSOR_INPUT.format(tensors)
            tensors += 1
        members.setdefault(name, []).append(i)
    arguments = {
        name: spox.argument(_input_type(name, [table.columns[i] for i in held]))
        for name, held in members.items()
    }
    context = Context(raw, observe)
    context.raw = _raw_table(table, members, arguments)
    lowered = _lower_steps(reference, context.raw, context)
    outputs, results = _results(reference, lowered, context)
    check_categories(context.learned, table)
    columns = tuple(
        msgspec.structs.replace(
            _column(column, context, members, i, _analyzers(context, i)), bounds=context.bounds.get(i)
        )
        for i, column in enumerate(table.columns)
    )
    inputs = dict(arguments)
    for analysis in context.analyses:
        inputs |= zip(analysis.analyzer.inputs, (analysis.terms, analysis.counts), strict=True)
    return LoweredModel(columns, outputs, inputs, results, lowered, context)


def _input_type(name: str, columns: Sequence[InferredColumn]) -> spox.Tensor:
    first = columns[0]
    if first.shape is None:
        return spox.Tensor(_ELEMENT_TYPES[name], ("N", len(columns)))
    sizes = (None if size == -1 else size for size in first.shape)
    return spox.Tensor(_TENSOR_ELEMENTS[first.type], ("N", *sizes))


def _raw_table(table: InferredTable, members: dict[str, list[int]], arguments: dict[str, Var]) -> Table:
    sources = {
        name: op.cast(var, to=np.float64) if name == "integer" else var for name, var in arguments.items()
    }
    places = {i: (name, position) for name, held in members.items() for position, i in enumerate(held)}
    unread = constant(np.zeros((1, 1)))
    blocks = []
    for i, column in enumerate(table.columns):
        origins = (Origin(i, verbatim=True),)
        if i not in places:
            reason = column.refusal or "which an earlier pass found that it does not read"
            blocks.append(Table((Block(unread, 1, (0,), column.dtype, origins, reason),)))
            continue
        name, position = places[i]
        if column.shape is not None:
            tensor = Block.of_tensor(arguments[name], column.dtype, column.shape, origins[0])
            blocks.append(Table((tensor,)))
            continue
        dtype = TEXT if name == "text" else column.dtype
        block = Block(sources[name], len(members[name]), (position,), dtype, origins)
        blocks.append(Table((block,)))
    return replace(concatenate(blocks), flat=table.source == "series")


def _analyzers(context: Context, column: int) -> tuple[Analyzer, ...] | None:
    return tuple(found.analyzer for found in context.analyses if found.column == column) or None


def _lower_steps(reference: Reference, raw: Table, context: Context) -> Lowered:
    for number, transformer in enumerate(reference.preprocess):
        raw = context.lower_transformer(transformer, raw, f"preprocess[{number}]")
    lowered = context.lower(reference.model, raw)
    if reference.postprocess is None:
        return lowered
    with context.inside("postprocess"):
        if not isinstance(lowered, Regression):
            raise context.refuse(
                reference.postprocess,
                "postprocess turns numbers back into the user's units, and the model does not answer with numbers",
                "Leave postprocess out",
            )
        if reference.classes is not None:
            return lower_labels(lowered, reference.postprocess, reference.classes, context)
        if len(lowered.sizes) > 1:
            raise context.refuse(
                reference.postprocess,
                f"it reads a table, and the model answers each row with an array of sizes {list(lowered.sizes)}",
                "Let the model flatten its answer",
            )
        inverted = context.invert_answer(reference.postprocess, lowered)
    if lowered.targets is None and inverted.targets == 1:
        return Regression(op.reshape(inverted.values, constant([-1], np.int64)))
    return inverted


def _results(
    reference: Reference, lowered: Lowered, context: Context
) -> tuple[tuple[Output, ...], dict[str, Var]]:
    if isinstance(lowered, Classification):
        return _classification_results(lowered)
    if isinstance(lowered, Labels):
        return _labels_results(lowered)
    if isinstance(lowered, Regression):
        shape = (-1, *lowered.sizes)
        return (Output(name="prediction", type="float", shape=shape),), {"prediction": lowered.values}
    return _transformation_results(reference, lowered, context)


def _classification_results(lowered: Classification) -> tuple[tuple[Output, ...], dict[str, Var]]:
    classes = np.asarray(lowered.classes)
    logical, values = _labels(classes)
    prediction = Output(name="prediction", type=logical, shape=(-1,), classes=tuple(values.tolist()))
    outputs = [prediction]
    results = {"prediction": op.gather(op.constant(value=values), lowered.index)}
    if lowered.probabilities is not None:
        outputs.append(Output(name="probabilities", type="float", shape=(-1, len(classes))))
        results["probabilities"] = lowered.probabilities
    elif lowered.scores is not None:
        shape = (-1,) if len(classes) == 2 else (-1, lowered.score_columns or len(classes))
        outputs.append(Output(name="scores", type="float", shape=shape))
        results["scores"] = lowered.scores
    return tuple(outputs), results


def _labels_results(lowered: Labels) -> tuple[tuple[Output, ...], dict[str, Var]]:
    shape = (-1, lowered.targets)
    outputs = [Output(name="prediction", type=_logical(lowered.dtype), shape=shape)]
    results = {"prediction": lowered.values}
    if lowered.probabilities is not None:
        outputs.append(Output(name="probabilities", type="float", shape=shape))
        results["probabilities"] = lowered.probabilities
    return tuple(outputs), results


def _labels(classes: np.ndarray[Any, Any]) -> tuple[LogicalType, np.ndarray[Any, Any]]:
    return _logical(classes.dtype), label_values(classes)


def _logical(dtype: np.dtype[Any]) -> LogicalType:
    kinds: dict[str, LogicalType] = {"b": "boolean", "i": "integer", "u": "integer", "f": "float"}
    return kinds.get(dtype.kind, "string")


def _transformation_results(
    reference: Reference, table: Table, context: Context
) -> tuple[tuple[Output, ...], dict[str, Var]]:
    if table.width == 0:
        raise context.refuse(
            reference.model,
            "it answers with no columns",
            "Fit it on rows for which it has something to return",
        )
    if table.width > WIDEST_ANSWER:
        raise context.refuse(
            reference.model,
            f"it answers each row with {table.width:,} numbers, and a bundle answers with all of them, zeros too",
            "Save the pipeline with the model that reads them, or fit it with fewer columns "
            "(max_features, n_features)",
        )
    if table.has_text and not all(block.is_text for block in table.blocks):
        raise context.refuse(
            reference.model,
            "it answers with text and numbers side by side, and a graph's output has one element type",
            "Save the transformer for the text columns and the one for the numbers apart, or encode the text",
        )
    parts = [context.read_block(reference.model, block) for block in table.blocks]
    transformed = parts[0] if len(parts) == 1 else op.concat(parts, axis=1)
    output = Output(name="transformed", type="string" if table.has_text else "float", shape=(-1, table.width))
    return (output,), {"transformed": transformed}


def _column(
    column: InferredColumn,
    context: Context,
    members: dict[str, list[int]],
    index: int,
    analyzers: tuple[Analyzer, ...] | None,
) -> Column:
    learned = context.learned.get(index)
    place = next(((name, held.index(index)) for name, held in members.items() if index in held), (None, None))
    categories = None
    if learned is not None:
        values = tuple(_scalar(value, column.type) for value in learned.values if not _is_missing(value))
        categories = Categories(values=values, open=learned.open)
    elif column.categories is not None:
        categories = Categories(values=column.categories, open=True)
    if column.shape is not None:
        return _tensor_column(column, place[0])
    return Column(
        name=column.name,
        type=column.type or "any",
        nullable=column.has_missing or place[0] is None,
        input=place[0],
        position=place[1],
        categories=categories,
        range=None if column.range is None else (column.range[0], column.range[1]),
        example=column.example if analyzers is None else str(column.example or "")[:EXAMPLE_LENGTH],
        analyzers=analyzers,
    )


def _tensor_column(column: InferredColumn, place: str | None) -> Column:
    if column.type is None or place is None:
        return Column(name=column.name, type="any", nullable=True, input=None, position=None)
    return Column(
        name=column.name,
        type=column.type,
        nullable=False,
        input=place,
        position=0,
        range=None if column.range is None else (column.range[0], column.range[1]),
        shape=column.shape,
    )


def _is_missing(value: Any) -> bool:
    return value is None or value != value or type(value).__name__ == "NAType"  # noqa: PLR0124 - NaN


def _scalar(value: Any, logical: LogicalType | None) -> Scalar:
    plain = value.item() if isinstance(value, np.generic) else value
    if logical == "integer":
        return int(plain)
    if logical == "boolean":
        return bool(plain)
    return float(plain) if logical == "float" else str(plain)
