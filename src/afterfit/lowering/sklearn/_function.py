"""FunctionTransformer: a function that is known by name, or any that can be traced."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.lowering._registry import inverts, lowers
from afterfit.lowering._table import Block, Table, round_to_float32
from afterfit.lowering.sklearn._array import transformed
from afterfit.lowering.sklearn._ufuncs import EXACT, find_domain, find_ufunc

if TYPE_CHECKING:
    from collections.abc import Callable

    from spox import Var

    from afterfit.lowering._context import Context


@lowers("sklearn.preprocessing.FunctionTransformer")
def lower_function_transformer(estimator: Any, X: Table, context: Context) -> Table:
    if estimator.validate:
        X = X.joined()
    if estimator.func is None:
        return X
    build = None if estimator.kw_args else find_ufunc(estimator.func)
    if build is not None and all(_computed_alike(estimator.func, block.dtype) for block in X.blocks):
        return replace(X, blocks=tuple(_apply(estimator, build, block, context) for block in X.blocks))
    # The tracer is written with the functions of this package, so it comes after it.
    from afterfit.lowering.tracing import function_code, trace_table

    sample = context.observed(estimator)
    if estimator.validate and sample is not None:
        sample = np.asarray(sample)
    code = function_code(estimator, estimator.func, estimator.kw_args)
    return trace_table(code, X, context, sample)


@inverts("sklearn.preprocessing.FunctionTransformer")
def invert_function_transformer(estimator: Any, values: Var, context: Context) -> Var:
    function = estimator.inverse_func
    if function is None:
        return values
    build = None if estimator.inv_kw_args else find_ufunc(function)
    if build is not None:
        return build(values)
    from afterfit.lowering.tracing import function_code, trace_inverse

    return trace_inverse(function_code(estimator, function, estimator.inv_kw_args), values, context)


def _computed_alike(function: Any, dtype: np.dtype[Any]) -> bool:
    """Whether NumPy computes in floats, or gives the same numbers in integers, which overflow otherwise."""
    if dtype.kind not in "biuf":
        return False
    returned = _returned_dtype(function, dtype)
    if returned.kind == "f":
        return returned != np.float16
    return returned.kind in "iu" and function in EXACT


def _apply(estimator: Any, build: Callable[[Var], Var], block: Block, context: Context) -> Block:
    """The function of every value."""
    var = context.numbers(estimator, Table((block,)))
    dtype = _returned_dtype(estimator.func, block.dtype)
    exact = estimator.func in EXACT
    domain = find_domain(estimator.func, dtype)
    if domain is not None:
        context.note_domain(Table((block,)), domain)
    value = build(var)
    if dtype == np.float32:
        if not exact:
            context.note_float32_sum(estimator)
        value = round_to_float32(value)
    return Block.of(value, block.width, dtype, transformed(block.origins) if exact else None)


def _returned_dtype(function: Any, dtype: np.dtype[Any]) -> np.dtype[Any]:
    with np.errstate(all="ignore"):
        returned: np.dtype[Any] = function(np.ones(1, dtype=dtype)).dtype
    return returned
