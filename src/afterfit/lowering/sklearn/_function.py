"""FunctionTransformer around a function that is known by name."""

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

_WAY_OUT = "Write the step with scikit-learn's own transformers, or apply the function before X is given"


@lowers("sklearn.preprocessing.FunctionTransformer")
def lower_function_transformer(estimator: Any, X: Table, context: Context) -> Table:
    if estimator.validate:
        X = X.joined()
    if estimator.func is None:
        return X
    build = _known(estimator, estimator.func, estimator.kw_args, context)
    return replace(X, blocks=tuple(_apply(estimator, build, block, context) for block in X.blocks))


@inverts("sklearn.preprocessing.FunctionTransformer")
def invert_function_transformer(estimator: Any, values: Var, context: Context) -> Var:
    if estimator.inverse_func is None:
        return values
    return _known(estimator, estimator.inverse_func, estimator.inv_kw_args, context)(values)


def _known(estimator: Any, function: Any, arguments: Any, context: Context) -> Callable[[Var], Var]:
    """What builds the graph of `function`; refuses those that are not known by name."""
    build = None if arguments else find_ufunc(function)
    if build is not None:
        return build
    called = getattr(function, "__qualname__", type(function).__name__)
    raise context.refuse(
        estimator,
        f"it calls the {'function' if isinstance(function, np.ufunc) else 'Python function'} {called}"
        + (" with arguments of its own" if arguments else ""),
        _WAY_OUT,
    )


def _apply(estimator: Any, build: Callable[[Var], Var], block: Block, context: Context) -> Block:
    """The function of every value; integers are refused where NumPy computes in integers, which overflow."""
    var = context.numbers(estimator, Table((block,)))
    dtype = _returned_dtype(estimator.func, block.dtype)
    exact = estimator.func in EXACT
    if dtype == np.float16 or (dtype.kind in "iu" and not exact) or (dtype.kind == "b"):
        raise context.refuse(
            estimator,
            f"{estimator.func.__name__} of {block.dtype} is computed in {dtype}",
            "Convert the columns to float64 before fitting",
        )
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
