"""Special functions that ONNX Runtime does not have in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spox import Var

_SMALL = (
    9.60497373987051638749e0,
    9.00260197203842689217e1,
    2.23200534594684319226e3,
    7.00332514112805075473e3,
    5.55923013010394962768e4,
)
_SMALL_BELOW = (
    1.0,
    3.35617141647503099647e1,
    5.21357949780152679795e2,
    4.59432382970980127987e3,
    2.26290000613890934246e4,
    4.92673942608635921086e4,
)
_LARGE = (
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
_LARGE_BELOW = (
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
_ONE_FROM = 8.0


def erf(x: Var) -> Var:
    """The error function, by the rational approximations of Cephes, which SciPy uses: within 4e-16."""
    square = op.mul(x, x)
    small = op.mul(x, op.div(_polynomial(square, _SMALL), _polynomial(square, _SMALL_BELOW)))
    size = op.min([op.abs(x), constant(_ONE_FROM)])
    falling = op.exp(op.neg(op.mul(size, size)))
    tail = op.mul(falling, op.div(_polynomial(size, _LARGE), _polynomial(size, _LARGE_BELOW)))
    large = op.mul(op.sign(x), op.sub(constant(1.0), tail))
    return op.where(op.less_or_equal(op.abs(x), constant(1.0)), small, large)


def _polynomial(x: Var, coefficients: Sequence[float]) -> Var:
    """Horner's rule, from the highest power down."""
    value = constant(np.float64(coefficients[0]))
    for coefficient in coefficients[1:]:
        value = op.add(op.mul(value, x), constant(coefficient))
    return value
