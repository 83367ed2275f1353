"""Networks: the graph that torch exports, within the float64 graph around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._onnx_graph import fit_format, last_operator, table_sizes, unknown_operators
from afterfit.lowering._table import Block, Regression, Table, constant
from afterfit.lowering.torch._arguments import bind
from afterfit.schema import Bounds

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering.torch._network import Network

_OPEN_SIZE = 7
"""The size of an example where it is open: one that no network treats apart, as it may 0 and 1."""


def lower_network(network: Network, X: Table, context: Context) -> Regression:
    """What the network answers, as float64; it computes in its own precision, mostly float32."""
    columns = [X.column(position) for position in range(X.width)]
    names = [_name(column, context, position) for position, column in enumerate(columns)]
    groups = bind(network.model, names, [column.shape is not None for column in columns], network.parameters)
    own = len(groups) > 1 or columns[0].shape is not None
    arguments, examples, axes = [], [], []
    for group in groups:
        column = columns[group[0]]
        sizes = (column.shape or ()) if own else (len(group),)
        values = _read(network, column, context) if own else context.numbers(network.model, X)
        is_float = values.unwrap_tensor().dtype == np.float64
        dtype = network.dtype if is_float else values.unwrap_tensor().dtype
        arguments.append(op.cast(values, to=dtype.type) if is_float else values)
        examples.append(_example(sizes, dtype))
        axes.append([axis for axis, size in enumerate(sizes, 1) if size == -1])
    answered = network.answer_arrays(examples)
    model = fit_format(network.export(examples, axes))
    if unknown := unknown_operators(model):
        raise network.refuse(
            f"its graph needs {', '.join(unknown)}, which bundles do not hold", "Write it without them"
        )
    for position, rows in table_sizes(model):
        if own:
            context.note_bounds(columns[groups[position][0]], Bounds(minimum=0.0, maximum=float(rows - 1)))
    [answer] = spox.inline(model)(*arguments).values()
    if network.dtype == np.float32:
        context.note_float32_sum(network.model)
    sizes = answered.shape[1:]
    values = op.reshape(op.cast(answer, to=np.float64), constant([-1, *sizes], np.int64))
    last = last_operator(model)
    if not sizes:
        return Regression(values, last_operator=last)
    return Regression(values, targets=sizes[0] if len(sizes) == 1 else None, shape=sizes, last_operator=last)


def _name(column: Block, context: Context, position: int) -> str:
    origin = column.origins[0]
    return f"x{position}" if origin is None else context.columns[origin.column].name


def _read(network: Network, column: Block, context: Context) -> Var:
    if column.shape is not None:
        return context.read_tensor(network.model, column)
    return op.squeeze(context.numbers(network.model, Table((column,))), constant([1], np.int64))


def _example(sizes: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.zeros((2, *(_OPEN_SIZE if size == -1 else size for size in sizes)), dtype=dtype)
