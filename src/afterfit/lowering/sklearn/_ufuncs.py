"""NumPy's universal functions by name, in operators that have float64 kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import constant

if TYPE_CHECKING:
    from collections.abc import Callable

    from spox import Var


def _expm1(x: Var) -> Var:
    """`exp(x) - 1` without the loss of digits near 0 (W. Kahan): `(u - 1) x / log(u)` with `u = exp(x)`."""
    u = op.exp(x)
    less = op.sub(u, constant(1.0))
    near = op.less(op.abs(x), constant(1.0))
    exact = op.equal(u, constant(1.0))
    divisor = op.where(exact, constant(1.0), op.log(u))
    return op.where(exact, x, op.where(near, op.div(op.mul(less, x), divisor), less))


def _log1p(x: Var) -> Var:
    """`log(1 + x)` without the loss of digits near 0 (W. Kahan): `log(u) x / (u - 1)` with `u = 1 + x`."""
    u = op.add(constant(1.0), x)
    less = op.sub(u, constant(1.0))
    near = op.less(op.abs(x), constant(1.0))
    exact = op.equal(less, constant(0.0))
    divisor = op.where(exact, constant(1.0), less)
    return op.where(exact, x, op.where(near, op.div(op.mul(op.log(u), x), divisor), op.log(u)))


def _power(exponent: float) -> Callable[[Var], Var]:
    return lambda x: op.exp(op.mul(x, constant(np.log(exponent))))


def _scaled_log(base: float) -> Callable[[Var], Var]:
    return lambda x: op.div(op.log(x), constant(np.log(base)))


UFUNCS: dict[object, Callable[[Var], Var]] = {
    np.abs: op.abs,
    np.exp: op.exp,
    np.exp2: _power(2.0),
    np.expm1: _expm1,
    np.log: op.log,
    np.log10: _scaled_log(10.0),
    np.log1p: _log1p,
    np.log2: _scaled_log(2.0),
    np.negative: op.neg,
    np.positive: op.identity,
    np.reciprocal: lambda x: op.div(constant(1.0), x),
    np.sqrt: op.sqrt,
    np.square: lambda x: op.mul(x, x),
}
"""From the function itself, not its name: anybody may call a function `exp`."""
