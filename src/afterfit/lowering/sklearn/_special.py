"""Special functions of NumPy and SciPy out of the operators that ONNX Runtime has in float64."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spox import Var


def log1p(x: Var) -> Var:
    """`log(1 + x)`, also for x near 0.

    W. Kahan's correction: what rounding `1 + x` loses is put right by the quotient of x and what was kept of it.
    """
    one = constant(1.0)
    u = op.add(one, x)
    kept = op.sub(u, one)
    corrected = op.mul(op.log(u), op.div(x, kept))
    plain = op.or_(op.equal(u, one), op.isinf(u))
    return op.where(plain, op.where(op.isinf(u), op.log(u), x), corrected)


def expm1(x: Var) -> Var:
    """`exp(x) - 1`, also for x near 0, by the correction of W. Kahan as in `log1p`."""
    one = constant(1.0)
    u = op.exp(x)
    less = op.sub(u, one)
    near = op.and_(op.less(op.abs(x), one), op.not_(op.equal(u, one)))
    divisor = op.where(near, op.log(u), one)
    corrected = op.where(near, op.mul(less, op.div(x, divisor)), less)
    return op.where(op.equal(u, one), x, corrected)


def expit(x: Var) -> Var:
    """`1 / (1 + exp(-x))`; the operator Sigmoid takes the difference from 1 below 0, and loses digits by it."""
    return op.div(constant(1.0), op.add(constant(1.0), op.exp(op.neg(x))))


def sinh(x: Var) -> Var:
    """`(exp(x) - exp(-x)) / 2`, by expm1 so that small x keep their digits."""
    grown = expm1(op.abs(x))
    half = op.div(op.add(grown, op.div(grown, op.add(grown, constant(1.0)))), constant(2.0))
    large = op.div(op.exp(op.sub(op.abs(x), constant(_LOG_2_HIGH))), constant(_TWO_LESS))
    return op.mul(op.sign(x), op.where(op.greater(op.abs(x), constant(30.0)), large, half))


def cosh(x: Var) -> Var:
    """`(exp(x) + exp(-x)) / 2`."""
    grown = op.exp(op.div(op.abs(x), constant(2.0)))
    half = op.mul(op.div(grown, constant(2.0)), grown)
    return op.add(half, op.div(constant(0.25), half))


def cbrt(x: Var) -> Var:
    """The real cube root: a power, and one step of Newton's method for its last digits."""
    size = op.abs(x)
    root = op.pow(size, constant(1.0 / 3.0))
    excess = op.sub(op.mul(op.mul(root, root), root), size)
    step = op.div(excess, op.mul(constant(3.0), op.mul(root, root)))
    usable = op.not_(op.or_(op.isnan(step), op.isinf(step)))
    return op.mul(op.sign(x), op.where(usable, op.sub(root, step), root))


def truncate(x: Var) -> Var:
    """Values without what follows the decimal point."""
    return op.mul(op.sign(x), op.floor(op.abs(x)))


def ndtri(y: Var) -> Var:
    """The inverse of the standard normal distribution function, by the approximation that SciPy uses.

    Cephes Mathematical Library, `ndtri.c`: one rational function in the middle and two in the tails.
    """
    one, half = constant(1.0), constant(0.5)
    upper = op.greater(y, constant(1.0 - _EXP_MINUS_2))
    tail = op.where(upper, op.sub(one, y), y)
    centred = op.sub(tail, half)
    square = op.mul(centred, centred)
    quotient = op.div(_polynomial(square, _P0), _polynomial(square, (1.0, *_Q0)))
    middle = op.mul(
        op.add(centred, op.mul(centred, op.mul(square, quotient))), constant(float(np.sqrt(2 * np.pi)))
    )
    x = op.sqrt(op.mul(constant(-2.0), op.log(tail)))
    z = op.div(one, x)
    nearer = op.div(op.mul(z, _polynomial(z, _P1)), _polynomial(z, (1.0, *_Q1)))
    farther = op.div(op.mul(z, _polynomial(z, _P2)), _polynomial(z, (1.0, *_Q2)))
    outer = op.sub(op.sub(x, op.div(op.log(x), x)), op.where(op.less(x, constant(8.0)), nearer, farther))
    outer = op.where(upper, outer, op.neg(outer))
    value = op.where(op.greater(tail, constant(_EXP_MINUS_2)), middle, outer)
    value = op.where(op.equal(y, constant(0.0)), constant(-np.inf), value)
    return op.where(op.equal(y, one), constant(np.inf), value)


def erf(x: Var) -> Var:
    """The error function, by the rational approximations of Cephes, which SciPy uses: within 4e-16."""
    square = op.mul(x, x)
    small = op.mul(x, op.div(_polynomial(square, _ERF_SMALL), _polynomial(square, _ERF_SMALL_BELOW)))
    size = op.min([op.abs(x), constant(_ERF_ONE_FROM)])
    falling = op.exp(op.neg(op.mul(size, size)))
    tail = op.mul(falling, op.div(_polynomial(size, _ERF_LARGE), _polynomial(size, _ERF_LARGE_BELOW)))
    large = op.mul(op.sign(x), op.sub(constant(1.0), tail))
    return op.where(op.less_or_equal(op.abs(x), constant(1.0)), small, large)


def _polynomial(x: Var, coefficients: Sequence[float]) -> Var:
    """By Horner's rule, the coefficient of the highest power first."""
    first, *rest = [constant(value) for value in coefficients]
    return reduce(lambda value, coefficient: op.add(op.mul(value, x), coefficient), rest, first)


_LOG_2_HIGH = 0.6875
_TWO_LESS = float(np.exp(np.log(2.0) - _LOG_2_HIGH))
_EXP_MINUS_2 = 0.13533528323661269189
_P0 = (
    -5.99633501014107895267e1,
    9.80010754185999661536e1,
    -5.66762857469070293439e1,
    1.39312609387279679503e1,
    -1.23916583867381258016e0,
)
_Q0 = (
    1.95448858338141759834e0,
    4.67627912898881538453e0,
    8.63602421390890590575e1,
    -2.25462687854119370527e2,
    2.00260212380060660359e2,
    -8.20372256168333339912e1,
    1.59056225126211695515e1,
    -1.18331621121330003142e0,
)
_P1 = (
    4.05544892305962419923e0,
    3.15251094599893866154e1,
    5.71628192246421288162e1,
    4.40805073893200834700e1,
    1.46849561928858024014e1,
    2.18663306850790267539e0,
    -1.40256079171354495875e-1,
    -3.50424626827848203418e-2,
    -8.57456785154685413611e-4,
)
_Q1 = (
    1.57799883256466749731e1,
    4.53907635128879210584e1,
    4.13172038254672030440e1,
    1.50425385692907503408e1,
    2.50464946208309415979e0,
    -1.42182922854787788574e-1,
    -3.80806407691578277194e-2,
    -9.33259480895457427372e-4,
)
_P2 = (
    3.23774891776946035970e0,
    6.91522889068984211695e0,
    3.93881025292474443415e0,
    1.33303460815807542389e0,
    2.01485389549179081538e-1,
    1.23716634817820021358e-2,
    3.01581553508235416007e-4,
    2.65806974686737550832e-6,
    6.23974539184983293730e-9,
)
_Q2 = (
    6.02427039364742014255e0,
    3.67983563856160859403e0,
    1.37702099489081330271e0,
    2.16236993594496635890e-1,
    1.34204006088543189037e-2,
    3.28014464682127739104e-4,
    2.89247864745380683936e-6,
    6.79019408009981274425e-9,
)
_ERF_SMALL = (
    9.60497373987051638749e0,
    9.00260197203842689217e1,
    2.23200534594684319226e3,
    7.00332514112805075473e3,
    5.55923013010394962768e4,
)
_ERF_SMALL_BELOW = (
    1.0,
    3.35617141647503099647e1,
    5.21357949780152679795e2,
    4.59432382970980127987e3,
    2.26290000613890934246e4,
    4.92673942608635921086e4,
)
_ERF_LARGE = (
    2.46196981473530512524e-10,
    5.64189564831068821977e-1,
    7.46321056442269912687e0,
    4.86371970985681366614e1,
    1.96520832956077098242e2,
    5.26445194995477358631e2,
    9.34528527171957607540e2,
    1.02755188689515710272e3,
    5.57535335369399327526e2,
)
_ERF_LARGE_BELOW = (
    1.0,
    1.32281951154744992508e1,
    8.67072140885989742329e1,
    3.54937778887819891062e2,
    9.75708501743205489753e2,
    1.82390916687909736289e3,
    2.24633760818710981792e3,
    1.65666309194161350182e3,
    5.57535340817727675546e2,
)
_ERF_ONE_FROM = 8.0
