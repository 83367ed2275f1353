"""Kernels of Gaussian processes, and every way to compose them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import constant
from afterfit.lowering.sklearn._kernels import KERNELS, direct_euclidean, pairwise_kernel, squared_norms

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context

_COMPOSED: dict[str, Callable[[Var, Var], Var]] = {"Sum": op.add, "Product": op.mul}
_INFINITE = float("inf")


class KernelLowering:
    """`kernel(X, Y)` and `kernel.diag(X)` for `X` float64 `[N, d]` and rows `Y` `[m, d]` that were kept."""

    def __init__(self, estimator: Any, X: Var, Y: NDArray[Any], context: Context) -> None:
        self.estimator = estimator
        self.X = X
        self.Y = np.asarray(Y, dtype=np.float64)
        self.context = context

    def values(self, kernel: Any) -> Var:
        """`kernel(X, Y)` `[N, m]`."""
        rows = op.shape(self.X, start=0, end=1)
        shape = op.concat([rows, constant([len(self.Y)], np.int64)], axis=0)
        return op.expand(self._values(kernel), shape)

    def _values(self, kernel: Any) -> Var:
        """The values, or `[1, 1]` where they are the same everywhere."""
        name = type(kernel).__name__
        if name in _COMPOSED:
            return _COMPOSED[name](self._values(kernel.k1), self._values(kernel.k2))
        if name == "Exponentiation":
            return op.pow(self._values(kernel.kernel), constant(kernel.exponent))
        if name in ("ConstantKernel", "WhiteKernel"):
            return constant([[kernel.constant_value if name == "ConstantKernel" else 0.0]])
        if name == "DotProduct":
            return op.add(op.matmul(self.X, constant(self.Y.T)), constant(kernel.sigma_0**2))
        if name == "PairwiseKernel":
            return self._pairwise(kernel)
        if name not in _NORMALIZED:
            raise self._refusal(kernel)
        return _NORMALIZED[name](self, kernel)

    def diagonal(self, kernel: Any) -> Var:
        """`kernel.diag(X)` `[N, 1]`, or `[1, 1]` where it is the same everywhere."""
        name = type(kernel).__name__
        if name in _COMPOSED:
            return _COMPOSED[name](self.diagonal(kernel.k1), self.diagonal(kernel.k2))
        if name == "Exponentiation":
            return op.pow(self.diagonal(kernel.kernel), constant(kernel.exponent))
        if name in ("ConstantKernel", "WhiteKernel"):
            return constant([[kernel.constant_value if name == "ConstantKernel" else kernel.noise_level]])
        if name == "DotProduct":
            return op.add(squared_norms(self.X), constant(kernel.sigma_0**2))
        if name == "PairwiseKernel" and kernel.metric == "linear":
            return squared_norms(self.X)
        if name in _NORMALIZED or (
            name == "PairwiseKernel" and kernel.metric in ("rbf", "laplacian", "chi2")
        ):
            return constant([[1.0]])
        raise self._refusal(kernel)

    def _refusal(self, kernel: Any) -> Exception:
        return self.context.refuse(
            self.estimator,
            f"its kernel has the part {kernel}",
            "Use sums, products and powers of ConstantKernel, WhiteKernel, RBF, Matern (nu 0.5, 1.5, 2.5 or inf), "
            "RationalQuadratic, ExpSineSquared and DotProduct, and fit again",
        )

    def _pairwise(self, kernel: Any) -> Var:
        if not isinstance(kernel.metric, str) or kernel.metric not in KERNELS:
            raise self._refusal(kernel)
        return pairwise_kernel(
            kernel.metric, self.X, self.Y, {"gamma": kernel.gamma, **(kernel.pairwise_kernels_kwargs or {})}
        )

    def _squares(self, scale: Any = 1.0) -> Var:
        """Squared distances of rows divided by `scale`, added up feature by feature as SciPy does it."""
        scaled = op.div(self.X, constant(np.atleast_1d(np.asarray(scale, dtype=np.float64))))
        return direct_euclidean(scaled, self.Y / scale, squared=True)

    def rbf(self, kernel: Any) -> Var:
        return op.exp(op.mul(constant(-0.5), self._squares(kernel.length_scale)))

    def matern(self, kernel: Any) -> Var:
        squares = self._squares(kernel.length_scale)
        if kernel.nu == _INFINITE:
            return op.exp(op.div(op.neg(squares), constant(2.0)))
        if kernel.nu not in (0.5, 1.5, 2.5):
            raise self._refusal(kernel)
        distances = op.mul(op.sqrt(squares), constant(math.sqrt(2 * kernel.nu)))
        falling = op.exp(op.neg(distances))
        if kernel.nu == 0.5:
            return falling
        factor = op.add(constant(1.0), distances)
        if kernel.nu == 2.5:
            factor = op.add(factor, op.div(op.mul(distances, distances), constant(3.0)))
        return op.mul(factor, falling)

    def rational_quadratic(self, kernel: Any) -> Var:
        scaled = op.div(self._squares(), constant(2 * kernel.alpha * kernel.length_scale**2))
        return op.pow(op.add(constant(1.0), scaled), constant(-kernel.alpha))

    def periodic(self, kernel: Any) -> Var:
        angle = op.mul(constant(np.pi / kernel.periodicity), op.sqrt(self._squares()))
        wave = op.div(op.sin(angle), constant(kernel.length_scale))
        return op.exp(op.mul(constant(-2.0), op.mul(wave, wave)))


_NORMALIZED: dict[str, Callable[[KernelLowering, Any], Var]] = {
    "RBF": KernelLowering.rbf,
    "Matern": KernelLowering.matern,
    "RationalQuadratic": KernelLowering.rational_quadratic,
    "ExpSineSquared": KernelLowering.periodic,
}
"""Kernels that are 1 between a row and itself."""
