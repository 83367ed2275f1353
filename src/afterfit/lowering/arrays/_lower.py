"""ArrayModel in a graph, and its parameters as plain JSON."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.ml.v5 as ml
import spox.opset.ai.onnx.v21 as op

from afterfit.bundle import encode_json
from afterfit.lowering._registry import exports, lowers
from afterfit.lowering._table import Regression, constant
from afterfit.schema import Bounds, encode_text

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Table
    from afterfit.lowering.arrays._model import ArrayModel

_AS_A_COLUMN = 'Give the sequences as one column of arrays: X={"tokens": [...]}'


@lowers("afterfit.ArrayModel")
def lower_array_model(estimator: ArrayModel, X: Table, context: Context) -> Regression:
    if estimator.function is not None:
        return _lower_function(estimator, X, context)
    build = {"linear": _linear, "embedding": _embedding, "elman": _elman}[str(estimator.architecture)]
    return build(estimator, X, context)


@exports("afterfit.ArrayModel")
def export_array_model(estimator: ArrayModel) -> dict[str, bytes]:
    """`parameters.json`: the architecture (null for a function), and each array as nested lists under its name."""
    document = {
        "architecture": estimator.architecture,
        "parameters": {name: array.tolist() for name, array in sorted(estimator.parameters.items())},
    }
    return {"parameters.json": encode_json(document)}


def _lower_function(estimator: ArrayModel, X: Table, context: Context) -> Regression:
    from afterfit.lowering.tracing import function_code, trace_values

    sample = context.observed(estimator)
    if isinstance(sample, Mapping) or getattr(sample, "ndim", 2) != 2:
        raise context.refuse(
            estimator,
            "its function receives arrays of more dimensions than rows and columns",
            "Name an architecture, or give X as a table",
        )
    return trace_values(
        function_code(estimator, estimator.function, estimator.parameters), X, context, sample
    )


def _linear(estimator: ArrayModel, X: Table, context: Context) -> Regression:
    coef = np.atleast_1d(estimator.parameters["coef"])
    values = op.matmul(context.numbers(estimator, X), constant(coef))
    intercept = estimator.parameters.get("intercept", np.float64(0.0))
    targets = coef.shape[1] if coef.ndim == 2 else None
    return Regression(op.add(values, constant(intercept)), targets)


def _embedding(estimator: ArrayModel, X: Table, context: Context) -> Regression:
    words, vectors = estimator.parameters["words"].tolist(), estimator.parameters["vectors"]
    if X.width != 1 or not X.blocks[0].is_text:
        raise context.refuse(
            estimator, "it looks up words, and X is no single column of text", "Give X as one"
        )
    unknown = estimator.parameters.get("unknown")
    table = vectors if unknown is None else np.vstack([vectors, unknown])
    context.learn(X.blocks[0], words, open=unknown is not None)
    places = ml.label_encoder(
        context.read_vector(estimator, X.blocks[0]),
        keys_strings=[encode_text(word) for word in words],
        values_int64s=list(range(len(words))),
        default_int64=len(words) if unknown is not None else 0,
    )
    return Regression(op.gather(constant(table), places), vectors.shape[1])


def _elman(estimator: ArrayModel, X: Table, context: Context) -> Regression:
    parameters = estimator.parameters
    if X.width != 1 or X.blocks[0].shape is None:
        raise context.refuse(estimator, "it reads sequences, and X is no column of arrays", _AS_A_COLUMN)
    block = X.blocks[0]
    values = context.read_tensor(estimator, block)
    embedding = parameters.get("embedding")
    if embedding is None:
        vectors = op.cast(values, to=np.float64)
    else:
        context.note_bounds(block, Bounds(minimum=0.0, maximum=float(len(embedding) - 1)))
        vectors = op.gather(constant(embedding), values)
    if "input" in parameters:
        vectors = op.matmul(vectors, constant(parameters["input"]))
    hidden = _recurrence(vectors, parameters)
    readout, bias = parameters.get("readout"), parameters.get("readout_bias", np.float64(0.0))
    answer = op.add(hidden if readout is None else op.matmul(hidden, constant(readout)), constant(bias))
    if readout is not None and readout.ndim == 1:
        return Regression(answer)
    return Regression(answer, len(parameters["bias"]) if readout is None else readout.shape[1])


def _recurrence(vectors: Var, parameters: Mapping[str, Any]) -> Var:
    """The last hidden state `[N, h]` over `vectors` `[N, T, h]`, in float64: ONNX Runtime's RNN is float32."""
    size = len(parameters["bias"])
    shape = constant([-1, size], np.int64)
    recurrent, bias = constant(parameters["recurrent"]), constant(parameters["bias"])
    rows = op.concat([op.shape(vectors, start=0, end=1), constant([size], np.int64)], axis=0)
    start = op.expand(constant(parameters.get("initial", np.zeros(size))), rows)

    def step(unused: Var, hidden: Var, vector: Var) -> list[Var]:
        hidden, vector = op.reshape(hidden, shape), op.reshape(vector, shape)
        inner = op.add(op.add(vector, op.matmul(hidden, recurrent)), bias)
        return [op.identity(unused), op.tanh(inner)]

    # spox takes the states for the scanned inputs when it types the body: the first must be a scalar, and the
    # others have no shape there, about which it warns.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Output type for variable arg")
        states = [constant(0.0), start, op.transpose(vectors, perm=[1, 0, 2])]
        _, last = op.scan(states, body=step, num_scan_inputs=1)
    return op.reshape(last, shape)
