"""Universal functions in operators, by the kind of the dtype that NumPy computes in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import constant

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering.tracing._array import Trace

_LONGEST_POWER = 64


def whole(value: int) -> Var:
    """An int64 constant."""
    return constant(value, np.int64)


def integer_quotient(a: Var, b: Var) -> Var:
    """`a // b` of int64: rounded down, and 0 where `b` is 0. ONNX Runtime itself would end the process."""
    safe, plain = _safe_divisor(b)
    quotient = op.div(a, safe)
    rest = op.sub(a, op.mul(quotient, safe))
    down = op.and_(
        op.not_(op.equal(rest, whole(0))), op.xor(op.less(rest, whole(0)), op.less(safe, whole(0)))
    )
    rounded = op.sub(quotient, op.cast(down, to=np.int64))
    other = op.where(op.equal(b, whole(0)), op.mul(a, whole(0)), op.neg(a))
    return op.where(plain, rounded, other)


def integer_rest(a: Var, b: Var) -> Var:
    """`a % b` of int64, of the sign of `b`, and 0 where `b` is 0."""
    safe, plain = _safe_divisor(b)
    rest = op.sub(a, op.mul(integer_quotient(a, safe), safe))
    return op.where(plain, rest, whole(0))


def _safe_divisor(b: Var) -> tuple[Var, Var]:
    """`b` without 0 and -1, by which the processor cannot divide every int64, and where it was neither."""
    plain = op.not_(op.or_(op.equal(b, whole(0)), op.equal(b, whole(-1))))
    return op.where(plain, b, whole(1)), plain


def float_quotient(a: Var, b: Var) -> Var:
    """`a // b` of floats, step by step as NumPy's `npy_divmod`."""
    rest = op.mod(a, b, fmod=1)
    apart = _other_sign(rest, b)
    quotient = op.sub(op.div(op.sub(a, rest), b), op.cast(apart, to=np.float64))
    down = op.floor(quotient)
    near = op.add(down, op.cast(op.greater(op.sub(quotient, down), constant(0.5)), to=np.float64))
    return op.where(op.equal(b, constant(0.0)), op.div(a, b), near)


def float_rest(a: Var, b: Var) -> Var:
    """`a % b` of floats, of the sign of `b`."""
    rest = op.mod(a, b, fmod=1)
    return op.where(_other_sign(rest, b), op.add(rest, b), rest)


def _other_sign(rest: Var, b: Var) -> Var:
    zero = constant(0.0)
    return op.and_(op.not_(op.equal(rest, zero)), op.xor(op.less(rest, zero), op.less(b, zero)))


def power(trace: Trace, kind: str, exponent: Any, base: Var, raised: Var) -> Var:
    """`base ** exponent`; whole constant powers by multiplication, so that integers stay exact and wrap."""
    if isinstance(exponent, np.ndarray) and exponent.ndim == 0:
        value = exponent.item()
        if value == 2:
            return op.mul(base, base)
        if kind == "f" and value == 0.5:
            return op.sqrt(base)
        if kind in "iu" and 0 < value <= _LONGEST_POWER:
            result = base
            for _ in range(int(value) - 1):
                result = op.mul(result, base)
            return result
    if kind != "f":
        raise trace.stop(
            "it raises integers to a power that is no small constant", "Convert the column to float64 first"
        )
    return op.pow(base, raised)


def _not_number(a: Var, b: Var) -> Var:
    return op.or_(op.isnan(a), op.isnan(b))


def greatest(a: Var, b: Var) -> Var:
    """The larger, NaN where one is."""
    return op.where(_not_number(a, b), op.add(a, b), op.where(op.less(a, b), b, a))


def least(a: Var, b: Var) -> Var:
    """The smaller, NaN where one is."""
    return op.where(_not_number(a, b), op.add(a, b), op.where(op.less(b, a), b, a))


def _greatest_known(a: Var, b: Var) -> Var:
    return op.where(op.isnan(a), b, op.where(op.isnan(b), a, greatest(a, b)))


def _least_known(a: Var, b: Var) -> Var:
    return op.where(op.isnan(a), b, op.where(op.isnan(b), a, least(a, b)))


def _unlike(a: Var, b: Var) -> Var:
    return op.not_(op.equal(a, b))


def _finite(a: Var) -> Var:
    return op.not_(op.or_(op.isnan(a), op.isinf(a)))


def _negative(a: Var) -> Var:
    """The sign bit, of -0.0 too."""
    return op.or_(op.less(a, constant(0.0)), op.equal(op.div(constant(1.0), a), constant(-np.inf)))


def _with_sign(a: Var, b: Var) -> Var:
    return op.where(_negative(b), op.neg(op.abs(a)), op.abs(a))


def _length(a: Var, b: Var) -> Var:
    """`hypot`, scaled so that squares do not overflow."""
    large, small = greatest(op.abs(a), op.abs(b)), least(op.abs(a), op.abs(b))
    share = op.where(op.equal(large, constant(0.0)), constant(0.0), op.div(small, large))
    length = op.mul(large, op.sqrt(op.add(constant(1.0), op.mul(share, share))))
    infinite = op.or_(op.isinf(a), op.isinf(b))
    return op.where(infinite, constant(np.inf), length)


_P = (-8.750608600031904122785e-1, -1.615753718733365076637e1, -7.500855792314704667340e1,
      -1.228866684490136173410e2, -6.485021904942025371773e1)  # fmt: skip
_Q = (1.0, 2.485846490142306297962e1, 1.650270098316988542046e2, 4.328810604912902668951e2,
      4.853903996359136964868e2, 1.945506571482613964425e2)  # fmt: skip
_TAN_3_PI_8 = 2.41421356237309504880


def arctangent(x: Var) -> Var:
    """The arc tangent, by the approximation of the Cephes Mathematical Library, `atan.c`."""
    size = op.abs(x)
    large, medium = op.greater(size, constant(_TAN_3_PI_8)), op.greater(size, constant(0.66))
    start = op.where(large, constant(np.pi / 2), op.where(medium, constant(np.pi / 4), constant(0.0)))
    one = constant(1.0)
    reduced = op.where(
        large, op.neg(op.div(one, size)), op.where(medium, op.div(op.sub(size, one), op.add(size, one)), size)
    )
    square = op.mul(reduced, reduced)
    quotient = op.div(op.mul(square, _polynomial(square, _P)), _polynomial(square, _Q))
    rest = op.add(op.mul(reduced, quotient), reduced)
    more = op.where(
        large,
        constant(6.123233995736765886130e-17),
        op.where(medium, constant(3.061616997868382943065e-17), constant(0.0)),
    )
    return _with_sign(op.add(start, op.add(rest, more)), x)


def _polynomial(x: Var, coefficients: tuple[float, ...]) -> Var:
    value = constant(coefficients[0])
    for coefficient in coefficients[1:]:
        value = op.add(op.mul(value, x), constant(coefficient))
    return value


def _arctangent_of(y: Var, x: Var) -> Var:
    """`arctan2(y, x)`; zeros and infinities as C has them."""
    pi = constant(np.pi)
    both = op.and_(op.isinf(x), op.isinf(y))
    zeros = op.and_(op.equal(x, constant(0.0)), op.equal(y, constant(0.0)))
    plain = op.not_(op.or_(both, zeros))
    ratio = op.where(plain, op.div(op.abs(y), op.abs(x)), op.where(both, constant(1.0), constant(0.0)))
    acute = arctangent(ratio)
    angle = op.where(_negative(x), op.sub(pi, acute), acute)
    return op.where(_not_number(x, y), op.add(x, y), _with_sign(angle, y))


def _arcsine(x: Var) -> Var:
    one = constant(1.0)
    return _arctangent_of(x, op.sqrt(op.mul(op.sub(one, x), op.add(one, x))))


def _arccosine(x: Var) -> Var:
    one = constant(1.0)
    half = _arctangent_of(op.sqrt(op.sub(one, x)), op.sqrt(op.add(one, x)))
    return op.mul(constant(2.0), half)


def _false(a: Var) -> Var:
    return op.not_(op.equal(a, a))


def _true(a: Var) -> Var:
    return op.equal(a, a)


KERNELS: dict[tuple[object, str], Any] = {
    **{(ufunc, kind): build for kind in "fi" for ufunc, build in {
        np.add: op.add, np.subtract: op.sub, np.multiply: op.mul, np.negative: op.neg, np.positive: op.identity,
        np.absolute: op.abs, np.sign: op.sign, np.equal: op.equal, np.not_equal: _unlike, np.less: op.less,
        np.less_equal: op.less_or_equal, np.greater: op.greater, np.greater_equal: op.greater_or_equal,
        np.square: lambda a: op.mul(a, a),
    }.items()},
    **{(ufunc, "f"): build for ufunc, build in {
        np.divide: op.div, np.floor_divide: float_quotient, np.remainder: float_rest,
        np.fmod: lambda a, b: op.mod(a, b, fmod=1), np.float_power: op.pow, np.maximum: greatest, np.minimum: least,
        np.fmax: _greatest_known, np.fmin: _least_known, np.isnan: op.isnan, np.isinf: op.isinf, np.isfinite: _finite,
        np.signbit: _negative, np.copysign: _with_sign, np.hypot: _length, np.arctan: arctangent,
        np.arctan2: _arctangent_of, np.arcsin: _arcsine, np.arccos: _arccosine,
    }.items()},
    **{(ufunc, "i"): build for ufunc, build in {
        np.floor_divide: integer_quotient, np.remainder: integer_rest, np.isnan: _false, np.isinf: _false,
        np.isfinite: _true, np.floor: op.identity, np.ceil: op.identity, np.trunc: op.identity, np.rint: op.identity,
        np.maximum: lambda a, b: op.where(op.less(a, b), b, a), np.minimum: lambda a, b: op.where(op.less(b, a), b, a),
        np.bitwise_and: op.bitwise_and, np.bitwise_or: op.bitwise_or, np.bitwise_xor: op.bitwise_xor,
        np.invert: op.bitwise_not,
    }.items()},
    **{(ufunc, "b"): build for ufunc, build in {
        np.logical_and: op.and_, np.logical_or: op.or_, np.logical_not: op.not_, np.logical_xor: op.xor,
        np.bitwise_and: op.and_, np.bitwise_or: op.or_, np.bitwise_xor: op.xor, np.invert: op.not_,
        np.equal: op.equal, np.not_equal: op.xor, np.add: op.or_, np.multiply: op.and_, np.maximum: op.or_,
        np.minimum: op.and_, np.isnan: _false, np.isinf: _false, np.isfinite: _true,
    }.items()},
    **{(ufunc, kind): build for kind, to in (("f", constant(0.0)), ("i", constant(0, np.int64))) for ufunc, build in {
        np.logical_and: lambda a, b, z=to: op.and_(_unlike(a, z), _unlike(b, z)),
        np.logical_or: lambda a, b, z=to: op.or_(_unlike(a, z), _unlike(b, z)),
        np.logical_xor: lambda a, b, z=to: op.xor(_unlike(a, z), _unlike(b, z)),
        np.logical_not: lambda a, z=to: op.equal(a, z),
    }.items()},
}  # fmt: skip
