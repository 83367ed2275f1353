"""Universal functions of NumPy and SciPy, in operators that have float64 kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import constant
from afterfit.lowering.sklearn import _special as special
from afterfit.schema import Bounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from spox import Var


def find_ufunc(function: object) -> Callable[[Var], Var] | None:
    """What builds the graph of `function`, if it is one that is known.

    By the function itself, not by its name: anybody may call a function `exp`.
    """
    if not isinstance(function, np.ufunc):
        return None
    if function in _NUMPY:
        return _NUMPY[function]
    from scipy import special as scipy_special

    name = function.__name__
    return _SCIPY.get(name) if getattr(scipy_special, name, None) is function else None


def _scaled(factor: float) -> Callable[[Var], Var]:
    return lambda x: op.mul(x, constant(factor))


def _logarithm(base: float) -> Callable[[Var], Var]:
    return lambda x: op.div(op.log(x), constant(float(np.log(base))))


def _power_of_two(x: Var) -> Var:
    return op.pow(constant(2.0), x)


_NUMPY: dict[object, Callable[[Var], Var]] = {
    np.absolute: op.abs,
    np.cbrt: special.cbrt,
    np.ceil: op.ceil,
    np.cos: op.cos,
    np.cosh: special.cosh,
    np.deg2rad: _scaled(np.pi / 180),
    np.degrees: _scaled(180 / np.pi),
    np.exp: op.exp,
    np.exp2: _power_of_two,
    np.expm1: special.expm1,
    np.fabs: op.abs,
    np.floor: op.floor,
    np.log: op.log,
    np.log10: _logarithm(10.0),
    np.log1p: special.log1p,
    np.log2: _logarithm(2.0),
    np.negative: op.neg,
    np.positive: op.identity,
    np.rad2deg: _scaled(180 / np.pi),
    np.radians: _scaled(np.pi / 180),
    np.reciprocal: lambda x: op.div(constant(1.0), x),
    np.rint: op.round,
    np.sign: op.sign,
    np.sin: op.sin,
    np.sinh: special.sinh,
    np.sqrt: op.sqrt,
    np.square: lambda x: op.mul(x, x),
    np.tan: lambda x: op.div(op.sin(x), op.cos(x)),
    np.tanh: op.tanh,
    np.trunc: special.truncate,
}

_SCIPY: dict[str, Callable[[Var], Var]] = {
    "cbrt": special.cbrt,
    "exp2": _power_of_two,
    "expit": special.expit,
    "expm1": special.expm1,
    "log1p": special.log1p,
    "ndtri": special.ndtri,
}


def find_domain(function: object, dtype: np.dtype[Any]) -> Bounds | None:
    """The arguments for which `function` is finite, None where it is so for all; `dtype` is that of its values."""
    from scipy import special as scipy_special

    if function in _GROWING:
        largest = np.finfo(dtype).max
        return Bounds(maximum=float(np.nextafter(_GROWING[function](largest), dtype.type(0.0))))
    log1p = (np.log1p, scipy_special.log1p)
    return Bounds(exclusive_minimum=-1.0) if function in log1p else _DOMAINS.get(function)


_DOMAINS: dict[object, Bounds] = {
    np.log: Bounds(exclusive_minimum=0.0),
    np.log10: Bounds(exclusive_minimum=0.0),
    np.log2: Bounds(exclusive_minimum=0.0),
    np.sqrt: Bounds(minimum=0.0),
}

_GROWING: dict[object, Any] = {np.exp: np.log, np.exp2: np.log2, np.expm1: np.log}
"""Functions that overflow, with their inverses."""

EXACT: frozenset[object] = frozenset(
    {
        np.absolute,
        np.ceil,
        np.fabs,
        np.floor,
        np.negative,
        np.positive,
        np.rint,
        np.sign,
        np.sqrt,
        np.trunc,
    }
)
"""Functions whose value does not depend on how it is computed: float32 and integers give the same numbers."""
