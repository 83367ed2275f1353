"""What a meta-estimator asks of the estimators it holds: labels, probabilities, decision values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import Classification, Regression, constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Table

Answer = Classification | Regression


def labels(part: Any, answer: Answer, context: Context) -> Var:
    """What `predict` returns, as float64 `[N]`, or `[N, targets]` where a regressor has several targets."""
    if isinstance(answer, Regression):
        return answer.values
    classes = np.asarray(answer.classes)
    if classes.dtype.kind not in "biuf":
        raise context.refuse(
            part,
            "its labels are text, and the estimator around it reads them as numbers",
            "Fit the parts on labels that are numbers",
        )
    return op.gather(constant(classes.astype(np.float64)), answer.index)


def probabilities(part: Any, answer: Answer, context: Context) -> Var:
    """What `predict_proba` returns, float64 `[N, k]`."""
    if isinstance(answer, Regression) or answer.probabilities is None:
        raise context.refuse(part, "its predict_proba is asked for, and has no lowering")
    return answer.probabilities


def scores(part: Any, answer: Answer, context: Context) -> Var:
    """What `decision_function` returns, float64 `[N]` for two classes and `[N, k]` otherwise."""
    if isinstance(answer, Regression) or answer.scores is None:
        raise context.refuse(part, "its decision_function is asked for, and has no lowering")
    return answer.scores


_READERS = {"predict": labels, "predict_proba": probabilities, "decision_function": scores}


def respond(part: Any, answer: Answer, methods: Sequence[str], context: Context) -> tuple[str, Var]:
    """The first of `methods` that the fitted `part` has, and what it returns."""
    method = next((method for method in methods if hasattr(part, method)), None)
    if method is None or method not in _READERS:
        raise context.refuse(part, f"it is asked for {' or '.join(methods)}")
    return method, _READERS[method](part, answer, context)


def second_column(values: Var) -> Var:
    """Column 1 of `[N, k]`, as `[N]`."""
    return op.gather(values, constant(1, np.int64), axis=1)


def column(values: Var) -> Var:
    """`[N]` as `[N, 1]`."""
    return op.unsqueeze(values, constant([1], np.int64))


def columns(parts: Sequence[Var]) -> Var:
    """Vectors `[N]` side by side."""
    return op.concat([column(part) for part in parts], axis=1)


def total(terms: Sequence[Var]) -> Var:
    """The sum of the terms, added up in their order."""
    return terms[0] if len(terms) == 1 else op.sum(terms)


def repeated(value: Any, X: Table, context: Context, estimator: Any) -> Var:
    """The float64 `value` `[...]` for every row: `[N, ...]`."""
    rows = op.shape(context.read_block(estimator, context.readable_block(estimator, X)), start=0, end=1)
    shape = op.concat([rows, constant(np.shape(value), np.int64)], axis=0) if np.ndim(value) else rows
    return op.expand(constant(value), shape)
