"""What a person's estimator holds while its methods are traced: arrays that rows index, and other estimators."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.lowering._registry import find_lowering, find_transformation
from afterfit.lowering._table import Classification, Regression, Table
from afterfit.lowering.tracing._array import Trace, TracedArray
from afterfit.lowering.tracing._index import take

if TYPE_CHECKING:
    from collections.abc import Callable


class HeldArray(np.ndarray[Any, Any]):
    """A constant array that a traced array may index: `self.classes_[np.argmax(scores, axis=1)]`."""

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, TracedArray):
            return take(key.trace, self.view(np.ndarray), key)
        return super().__getitem__(key)

    def take(self, indices: Any, axis: Any = None, *args: Any, **options: Any) -> Any:
        """As `ndarray.take`."""
        if isinstance(indices, TracedArray) and (self.ndim == 1 or axis == 0):
            return take(indices.trace, self.view(np.ndarray), indices)
        return super().take(indices, axis, *args, **options)


class HeldEstimator:
    """A fitted estimator that has a lowering, asked for answers about traced rows."""

    def __init__(self, estimator: Any, lower: Callable[[Any, str, TracedArray], Any]) -> None:
        self._estimator = estimator
        self._lower = lower

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._estimator, name)
        if name not in {"predict", "predict_proba", "decision_function", "transform"}:
            return value
        return lambda rows: self._lower(self._estimator, name, rows) if _is_traced(rows) else value(rows)

    def __sklearn_tags__(self) -> Any:
        return self._estimator.__sklearn_tags__()


def _is_traced(rows: Any) -> bool:
    return isinstance(rows, TracedArray) or hasattr(type(rows), "traced_values")


def held(value: Any, lower: Callable[[Any, str, TracedArray], Any]) -> Any:
    """`value` as a traced function may use it."""
    if type(value) is np.ndarray:
        return value.view(HeldArray) if value.dtype.kind in "biufU" or _is_text(value) else value
    if isinstance(value, list | tuple) and type(value) in {list, tuple}:
        return type(value)(held(part, lower) for part in value)
    if type(value) is dict:
        return {key: held(part, lower) for key, part in value.items()}
    if not isinstance(value, type) and (find_lowering(value) or find_transformation(value)):
        return HeldEstimator(value, lower)
    return value


def _is_text(value: Any) -> bool:
    return value.dtype == object and all(isinstance(item, str) for item in value.ravel().tolist())


def prepared(estimator: Any, lower: Callable[[Any, str, TracedArray], Any]) -> Any:
    """A copy of a person's estimator to run with traced rows; the estimator itself is not touched."""
    double = copy.copy(estimator)
    for name, value in list(vars(double).items()):
        vars(double)[name] = held(value, lower)
    return double


def answer_of(trace: Trace, answer: Any, method: str) -> TracedArray | None:  # noqa: PLR0911 - one for each kind
    """What `method` of a lowered estimator returns, as a traced array; None where it has no lowering."""
    from afterfit.lowering.tracing._table import array_of_table

    if isinstance(answer, Table):
        return array_of_table(trace, answer)
    if isinstance(answer, Regression):
        shape = (1,) if answer.targets is None else (1, answer.targets)
        return TracedArray(trace, answer.values, shape, np.float64) if method == "predict" else None
    if not isinstance(answer, Classification):
        return None
    classes = np.asarray(answer.classes)
    if method == "predict":
        return take(trace, classes, TracedArray(trace, answer.index, (1,), np.int64))
    if method == "predict_proba" and answer.probabilities is not None:
        return TracedArray(trace, answer.probabilities, (1, len(classes)), np.float64)
    if method == "decision_function" and answer.scores is not None:
        width = answer.score_columns or len(classes)
        shape = (1,) if len(classes) == 2 and answer.score_columns is None else (1, width)
        return TracedArray(trace, answer.scores, shape, np.float64)
    return None
