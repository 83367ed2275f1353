"""Running a person's function on traced rows, and what is checked beside it."""

from __future__ import annotations

import copy
import inspect
import sys
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import Classification, Regression, Table, constant
from afterfit.lowering.tracing._array import Trace, TracedArray
from afterfit.lowering.tracing._held import answer_of, held, prepared
from afterfit.lowering.tracing._numpy import asking
from afterfit.lowering.tracing._stops import WRITE_ARRAYS, Line, StopError, raised_line
from afterfit.lowering.tracing._table import Argument, graph_values, table_of, with_gaps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from spox import Var

    from afterfit.errors import UnsupportedModelError
    from afterfit.lowering._context import Context

_MODEL_ERRORS = (
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RuntimeError,
    AssertionError,
)


@dataclass(frozen=True)
class Code:
    """A person's code to trace: called on an argument with `prepared` values, or on rows as it stands.

    `traced` takes traced rows and what makes constants ready for them; `real` takes the rows of a sample.
    `source` is the function, for its place.
    """

    estimator: Any
    source: Any
    traced: Callable[[Any, Callable[[Any, str, TracedArray], Any]], Any]
    real: Callable[[Any], Any]


def function_code(estimator: Any, function: Any, arguments: Mapping[str, Any] | None) -> Code:
    """The code of `function(rows, **arguments)`."""
    given = dict(arguments or {})

    def traced(rows: Any, lower: Callable[[Any, str, TracedArray], Any]) -> Any:
        return function(rows, **{name: held(value, lower) for name, value in given.items()})

    return Code(
        estimator,
        function,
        traced,
        partial(function, **given),
    )


def method_code(estimator: Any, method: str) -> Code:
    """The code of a method of a person's own estimator."""
    return Code(
        estimator,
        getattr(type(estimator), method, None),
        lambda rows, lower: getattr(prepared(estimator, lower), method)(rows),
        getattr(estimator, method),
    )


def trace_table(code: Code, X: Table, context: Context, sample: Any) -> Table:
    """The table that the code makes of `X`; `sample` is a few rows as the model in memory hands them over.

    Raises `UnsupportedModelError` with the line that stopped it.
    """
    if sample is None:
        raise context.refuse(
            code.estimator,
            "what it receives could not be observed in the model in memory",
            "Let the model answer in one process (n_jobs=None)",
        )
    returned, argument = _run(code, X, context, sample, table_of, gaps=False)
    missing = argument.missing()
    gapped = None
    if missing is not None:
        try:
            gapped, _ = _run(code, X, context, sample, table_of, gaps=True)
        except _Refused:
            gapped = None
    _check_like(code, returned, _observed(code, sample, context), context)
    return with_gaps(returned, gapped, missing)


def trace_inverse(code: Code, values: Var, context: Context) -> Var:
    """What the code makes of `values` float64 `[N, k]`, in that shape."""
    shape = values.unwrap_tensor().shape
    width = None if shape is None else shape[1]
    if not isinstance(width, int):
        raise context.refuse(code.estimator, "how many columns it receives is not known")
    sample = np.ones((4, width))
    table = Table.of(values, width)
    returned, _ = _run(code, table, context, sample, table_of, gaps=False)
    if returned.width != width or returned.has_text:
        raise context.refuse(code.estimator, f"its inverse makes {returned.width} columns of {width}")
    return context.numbers(code.estimator, returned)


def trace_values(code: Code, X: Table, context: Context, sample: Any) -> Regression:
    """The numbers `[N]` or `[N, k]` that the code answers to `X`."""
    if sample is None:
        raise context.refuse(
            code.estimator, "what it receives could not be observed", "Let it answer in one process"
        )
    with _quiet():
        real = np.asarray(code.real(_copied(sample)))
    answer = _regression(code, X, context, sample, real)
    _observed(code, sample, context)
    return answer


def trace_predictor(estimator: Any, X: Table, context: Context, sample: Any) -> Classification | Regression:
    """What `predict` of a person's own estimator answers, and `predict_proba` where it has one."""
    code = method_code(estimator, "predict")
    if sample is None:
        raise context.refuse(
            code.estimator, "what it receives could not be observed", "Let it answer in one process"
        )
    real = np.asarray(estimator.predict(_copied(sample)))
    classes = getattr(estimator, "classes_", None)
    labelled = classes is not None or real.dtype.kind in "OUSb"
    if labelled and (classes is None or real.ndim != 1):
        raise context.refuse(
            estimator,
            "it answers with labels and has no classes_, or gives a row several",
            "Set self.classes_ in fit",
        )
    if not labelled:
        answer = _regression(code, X, context, sample, real)
        _observed(code, sample, context)
        return answer
    known = np.asarray(classes)
    index, _ = _run(
        code, X, context, sample, lambda trace, result: _label_index(trace, result, known), gaps=False
    )
    _observed(code, sample, context)
    probabilities = None
    if hasattr(estimator, "predict_proba"):
        table = trace_table(method_code(estimator, "predict_proba"), X, context, sample)
        probabilities = context.numbers(estimator, table)
    return Classification(known, index, probabilities)


def _regression(code: Code, X: Table, context: Context, sample: Any, real: Any) -> Regression:
    def read(trace: Trace, result: Any) -> tuple[Var, int | None]:
        if not isinstance(result, TracedArray) or result.ndim != real.ndim or result.row_axis != 0:
            raise trace.stop("predict returns something else than numbers for every row")
        return graph_values(result), None if result.ndim == 1 else int(result.shape[1])

    (plain, targets), argument = _run(code, X, context, sample, read, gaps=False)
    missing = argument.missing()
    if missing is not None:
        try:
            (gapped, _), _ = _run(code, X, context, sample, read, gaps=True)
        except _Refused:
            return Regression(plain, targets)
        test = missing if targets is not None else op.squeeze(missing, constant([1], np.int64))
        plain = op.where(test, gapped, plain)
    return Regression(plain, targets)


def _label_index(trace: Trace, result: Any, classes: Any) -> Var:
    """The position of each label in `classes`."""
    if not isinstance(result, TracedArray) or result.ndim != 1:
        raise trace.stop("predict returns something else than a label for every row")
    if result.chosen is not None and np.array_equal(result.chosen[0], classes):
        return result.chosen[1]
    same = result.copy()[:, None] == np.asarray(classes)
    if not isinstance(same, TracedArray):
        raise trace.stop("predict returns labels of another kind than classes_")
    return op.arg_max(op.cast(same.graph, to=np.int64), axis=1, keepdims=0)


class _Refused(Exception):  # noqa: N818 - carries a refusal within this module
    """A trace that stopped; `error` says why to the person."""

    def __init__(self, error: UnsupportedModelError) -> None:
        self.error = error


def _run(code: Code, X: Table, context: Context, sample: Any, read: Any, *, gaps: bool) -> Any:
    """What `read` makes of the code's answer on traced rows, and the argument it was given.

    Raises `UnsupportedModelError`, or `_Refused` where `gaps` is set.
    """
    try:
        return _run_once(code, X, context, sample, read, gaps=gaps)
    except StopError as error:
        refusal = _refusal(code, context, error.reason, error.way_out, error.line)
        raise (_Refused(refusal) if gaps else refusal) from error


def _run_once(code: Code, X: Table, context: Context, sample: Any, read: Any, *, gaps: bool) -> Any:
    block = context.readable_block(code.estimator, X)
    notes: list[None] = []
    trace = Trace(op.shape(block.var, start=0, end=1), lambda: notes.append(None))
    argument = Argument(trace, code.estimator, X, context, gaps=gaps)

    def lower(estimator: Any, method: str, rows: Any) -> Any:
        return _lower_held(trace, context, estimator, method, rows)

    rows = argument.of(sample)
    with _quiet(), asking():
        try:
            result = code.traced(rows, lower)
            for _, error in trace.unwritten.values():
                raise error
            if trace.stopped is not None:
                raise trace.stopped
            answer = read(trace, result)
        except StopError as error:
            raise (trace.stopped or error) from error
        except _MODEL_ERRORS as error:
            if trace.stopped is not None:
                raise trace.stopped from error
            stopped = StopError(f"{type(error).__name__} where it is traced: {error}", WRITE_ARRAYS)
            stopped.line = raised_line(error)
            raise stopped from error
    if notes:
        context.note_float32_sum(code.estimator)
    if not context.read:
        context.note_read(block.origins)
    return answer, argument


def _lower_held(trace: Trace, context: Context, estimator: Any, method: str, rows: Any) -> TracedArray:
    values = rows.traced_values() if hasattr(type(rows), "traced_values") else rows
    table = table_of(trace, values)
    if method == "transform":
        answer: Any = context.lower_transformer(estimator, table, type(estimator).__name__)
    else:
        answer = context.lower(estimator, table, type(estimator).__name__)
    array = answer_of(trace, answer, method)
    if array is None:
        raise trace.stop(f"it asks {type(estimator).__name__}.{method}, which has no lowering")
    return array


def _observed(code: Code, sample: Any, context: Context) -> Any:
    """What the code really answers to the sample: the same twice, and the same to fewer rows."""
    with _quiet():
        try:
            first, again = code.real(_copied(sample)), code.real(_copied(sample))
            fewer = code.real(_copied(sample[:2]))
        except _MODEL_ERRORS as error:
            raise context.refuse(code.estimator, f"its code raises {error!r}", "Mend it first") from error
    if not _same(first, again):
        raise _refusal(
            code, context, "it answers the same rows otherwise when asked again", "Draw no random numbers"
        )
    if not _same(first[:2], fewer):
        raise _refusal(
            code,
            context,
            "its answer to a row depends on the other rows it is given",
            "Learn what all rows have in common while fitting, in a transformer of your own",
        )
    return first


def _copied(sample: Any) -> Any:
    return copy.deepcopy(sample)


def _same(one: Any, other: Any) -> bool:
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "fc" and b.dtype.kind in "fc":
        return bool(np.allclose(a, b, rtol=1e-9, atol=0.0, equal_nan=True))
    pairs = zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)
    return all(x == y or (x != x and y != y) for x, y in pairs)  # noqa: PLR0124 - NaN


def _check_like(code: Code, returned: Table, real: Any, context: Context) -> None:
    """The traced table has the form of the real one."""
    shape = np.shape(real)
    if len(shape) != 2 or shape[1] != returned.width:
        raise _refusal(
            code, context, f"it answers the shape {shape}, and traced {returned.width} columns", WRITE_ARRAYS
        )
    if not isinstance(real, np.ndarray) or returned.has_text:
        return
    joint = np.result_type(*[block.dtype for block in returned.blocks])
    if joint != real.dtype:
        raise _refusal(code, context, f"it answers in {real.dtype}, and traced in {joint}", WRITE_ARRAYS)


def _refusal(
    code: Code, context: Context, reason: str, way_out: str, line: Line | None = None
) -> UnsupportedModelError:
    name = getattr(code.source, "__qualname__", type(code.source).__name__)
    place = line or _defined(code.source)
    where = "" if place is None else f", at {place}"
    return context.refuse(code.estimator, f"{name} cannot be traced, because {reason}{where}", way_out)


def _defined(source: Any) -> Line | None:
    written = getattr(inspect.unwrap(source), "__code__", None) if callable(source) else None
    return None if written is None else Line(written.co_filename, written.co_firstlineno)


@contextmanager
def _quiet() -> Iterator[None]:
    sklearn = sys.modules.get("sklearn")
    finite = sklearn.config_context(assume_finite=True) if sklearn is not None else nullcontext()
    with warnings.catch_warnings(), np.errstate(all="ignore"), finite:
        warnings.simplefilter("ignore")
        yield
