"""A bare ONNX graph within the float64 graph around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox
import spox.opset.ai.onnx.ml.v5 as ml
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._onnx_graph import last_operator
from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Regression, Table, constant

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering.onnx._model import Binding, OnnxGraph


@lowers("afterfit.lowering.onnx.OnnxGraph")
def lower_onnx_graph(graph: OnnxGraph, X: Table, context: Context) -> Classification | Regression:
    """The graph as it is, its inputs cast from the columns; it computes in its own precision, mostly float32."""
    columns = [X.column(position) for position in range(X.width)]
    names = [
        f"x{position}" if (origin := column.origins[0]) is None else context.columns[origin.column].name
        for position, column in enumerate(columns)
    ]
    bound = graph.bind(names)
    arguments = {one.taken.name: _read(graph, one, X, context) for one in bound}
    found = spox.inline(graph.graph.model)(**arguments)
    context.note_float32_sum(graph)
    if graph.answer.probabilities is None:
        return _numbers(graph, found[graph.answer.prediction])
    classes = np.array(
        graph.answer.classes, dtype=None if isinstance(graph.answer.classes[0], int) else object
    )
    label = op.reshape(found[graph.answer.prediction], constant([-1], np.int64))
    keys: dict[str, Any] = (
        {"keys_int64s": classes.tolist()} if classes.dtype != object else {"keys_strings": classes.tolist()}
    )
    index = ml.label_encoder(label, values_int64s=list(range(len(classes))), default_int64=0, **keys)
    table = op.cast(found[graph.answer.probabilities], to=np.float64)
    return Classification(classes, index, op.reshape(table, constant([-1, len(classes)], np.int64)))


def _read(graph: OnnxGraph, bound: Binding, X: Table, context: Context) -> Var:
    taken = bound.taken
    part = X.select(bound.positions)
    if taken.dtype == object:
        if not all(block.is_text for block in part.blocks):
            raise context.refuse(
                graph, f"its input {taken.name!r} takes text, and the column holds numbers", "Give text"
            )
        blocks = [context.read_block(graph, block) for block in part.blocks]
        values = blocks[0] if len(blocks) == 1 else op.concat(blocks, axis=1)
    else:
        fractional = [block for block in part.blocks if block.dtype.kind not in "iub"]
        if taken.dtype.kind in "iub" and fractional:
            raise context.refuse(
                graph,
                f"its input {taken.name!r} takes whole numbers, and the column may hold others",
                "Give a sample in which it holds whole numbers alone",
            )
        values = op.cast(context.numbers(graph, part), to=taken.dtype.type)
    return op.reshape(values, constant([-1], np.int64)) if taken.rank == 1 else values


def _numbers(graph: OnnxGraph, values: Var) -> Regression:
    """One number a row, or `[N, k]`; the size is asked of the graph where it does not state it."""
    shape = values.unwrap_tensor().shape
    answer = op.cast(values, to=np.float64)
    last = last_operator(graph.graph.model)
    if shape is not None and len(shape) == 1:
        # CatBoost states one size and answers with two.
        return Regression(op.reshape(answer, constant([-1], np.int64)), last_operator=last)
    width = shape[1] if shape is not None and len(shape) == 2 else None
    if not isinstance(width, int):
        raise graph.refuse(
            "it does not state how many numbers it answers a row with",
            "Export it with the sizes of its output, rows apart",
        )
    return Regression(op.reshape(answer, constant([-1, width], np.int64)), targets=width, last_operator=last)
