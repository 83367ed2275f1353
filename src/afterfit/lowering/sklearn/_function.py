"""FunctionTransformer around a function that is known by name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import inverts, lowers
from afterfit.lowering._table import Block, Table, constant, round_to_float32
from afterfit.lowering.sklearn import _special as special
from afterfit.lowering.sklearn._array import transformed

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
    """What builds the graph of `function`, which is compared with NumPy's of that name, not called."""
    name = str(getattr(function, "__name__", type(function).__name__))
    if isinstance(function, np.ufunc) and not arguments:
        builds = (
            _NUMPY if function is getattr(np, name, None) else _SCIPY if _is_scipy(function, name) else {}
        )
        if name in builds:
            return builds[name]
    called = getattr(function, "__qualname__", name)
    raise context.refuse(
        estimator,
        f"it calls the {'function' if isinstance(function, np.ufunc) else 'Python function'} {called}"
        + (" with arguments of its own" if arguments else ""),
        _WAY_OUT,
    )


def _is_scipy(function: Any, name: str) -> bool:
    from scipy import special as scipy_special

    return function is getattr(scipy_special, name, None)


def _apply(estimator: Any, build: Callable[[Var], Var], block: Block, context: Context) -> Block:
    """The function of every value; integers are refused where NumPy computes in integers, which overflow."""
    var = context.numbers(estimator, Table((block,)))
    dtype = _returned_dtype(estimator.func, block.dtype)
    exact = estimator.func in _EXACT
    if dtype == np.float16 or (dtype.kind in "iu" and not exact) or (dtype.kind == "b"):
        raise context.refuse(
            estimator,
            f"{estimator.func.__name__} of {block.dtype} is computed in {dtype}",
            "Convert the columns to float64 before fitting",
        )
    value = build(var)
    if dtype == np.float32:
        if not exact:
            context.note_float32_sum(estimator)
        value = round_to_float32(value)
    return Block.of(value, block.width, dtype, transformed(block.origins))


def _returned_dtype(function: Any, dtype: np.dtype[Any]) -> np.dtype[Any]:
    with np.errstate(all="ignore"):
        returned: np.dtype[Any] = function(np.ones(1, dtype=dtype)).dtype
    return returned


def _itself(x: Var) -> Var:
    return x


def _base(base: float) -> Callable[[Var], Var]:
    return lambda x: op.div(op.log(x), constant(float(np.log(base))))


_NUMPY: dict[str, Callable[[Var], Var]] = {
    "absolute": op.abs,
    "cbrt": special.cbrt,
    "ceil": op.ceil,
    "cos": op.cos,
    "cosh": special.cosh,
    "deg2rad": lambda x: op.mul(x, constant(np.pi / 180)),
    "degrees": lambda x: op.mul(x, constant(180 / np.pi)),
    "exp": op.exp,
    "exp2": lambda x: op.pow(constant(2.0), x),
    "expm1": special.expm1,
    "fabs": op.abs,
    "floor": op.floor,
    "log": op.log,
    "log10": _base(10.0),
    "log1p": special.log1p,
    "log2": _base(2.0),
    "negative": op.neg,
    "positive": _itself,
    "rad2deg": lambda x: op.mul(x, constant(180 / np.pi)),
    "radians": lambda x: op.mul(x, constant(np.pi / 180)),
    "reciprocal": lambda x: op.div(constant(1.0), x),
    "rint": op.round,
    "sign": op.sign,
    "sin": op.sin,
    "sinh": special.sinh,
    "sqrt": op.sqrt,
    "square": lambda x: op.mul(x, x),
    "tan": lambda x: op.div(op.sin(x), op.cos(x)),
    "tanh": op.tanh,
    "trunc": special.truncate,
}

_SCIPY: dict[str, Callable[[Var], Var]] = {
    "cbrt": special.cbrt,
    "exp2": lambda x: op.pow(constant(2.0), x),
    "expit": special.expit,
    "expm1": special.expm1,
    "log1p": special.log1p,
    "ndtri": special.ndtri,
}

_EXACT = frozenset(
    getattr(np, name)
    for name in ("absolute", "ceil", "fabs", "floor", "negative", "positive", "rint", "sign")
) | {np.sqrt, np.trunc}
"""Functions whose value does not depend on how it is computed: float32 and integers give the same numbers."""
