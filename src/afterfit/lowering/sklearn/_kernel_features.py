"""Kernels as features: KernelPCA, and the approximations of kernels by a few columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Table, constant
from afterfit.lowering.sklearn._array import FloatArray, single_table
from afterfit.lowering.sklearn._kept_rows import dense_rows, note_cancellation
from afterfit.lowering.sklearn._kernels import KERNELS, NOT_NEGATIVE, pairwise_kernel, require_domain
from afterfit.lowering.sklearn._project import centred_kernel
from afterfit.schema import Bounds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context


_FEWER = "Set a smaller n_components, so that components which are rounding alone are left out, and fit again"


@lowers("sklearn.decomposition.KernelPCA")
def lower_kernel_pca(estimator: Any, X: Table, context: Context) -> Table:
    params = {"gamma": estimator.gamma_, "degree": estimator.degree, "coef0": estimator.coef0}
    vectors = scaled_eigenvectors(estimator)
    if estimator.kernel == "precomputed":
        kernel, dtype = context.numbers(estimator, X), X.number_dtype
    else:
        kernel, dtype = _kernel(estimator, X, estimator.X_fit_, params, vectors, context)
    var = op.matmul(
        centred_kernel(estimator._centerer, kernel),  # noqa: SLF001 - no public equivalent
        constant(vectors),
    )
    dtype = np.result_type(dtype, estimator.eigenvectors_.dtype)
    return single_table(estimator, var, estimator.eigenvectors_.shape[1], dtype, context)


def scaled_eigenvectors(estimator: Any) -> NDArray[Any]:
    """The eigenvectors of a KernelPCA by the roots of their eigenvalues, 0 for those of eigenvalue 0."""
    used = np.flatnonzero(estimator.eigenvalues_)
    scaled: NDArray[Any] = np.zeros_like(estimator.eigenvectors_)
    scaled[:, used] = estimator.eigenvectors_[:, used] / np.sqrt(estimator.eigenvalues_[used])
    return scaled


@lowers("sklearn.kernel_approximation.Nystroem")
def lower_nystroem(estimator: Any, X: Table, context: Context) -> Table:
    params = {name: getattr(estimator, name) for name in ("gamma", "degree", "coef0")}
    params = {**(estimator.kernel_params or {}), **{k: v for k, v in params.items() if v is not None}}
    normalization = estimator.normalization_
    kernel, dtype = _kernel(estimator, X, estimator.components_, params, normalization.T, context)
    var = op.matmul(kernel, constant(normalization.T))
    return single_table(
        estimator, var, len(normalization), np.result_type(dtype, normalization.dtype), context
    )


def _kernel(
    estimator: Any,
    X: Table,
    rows: Any,
    params: Mapping[str, Any],
    weights: NDArray[Any],
    context: Context,
) -> tuple[Var, np.dtype[Any]]:
    """The kernel `[N, m]` with the rows that were kept, and the dtype in which scikit-learn computes it.

    Components of tiny eigenvalues magnify how the kernel was rounded; it is said how far, given the `weights`
    `[m, k]` that the kernel is multiplied by.
    """
    from sklearn.metrics.pairwise import pairwise_kernels

    if estimator.kernel not in KERNELS:
        raise context.refuse(
            estimator,
            f"its kernel {getattr(estimator.kernel, '__name__', estimator.kernel)!r} is not one of scikit-learn's own",
            f"Choose one of {', '.join(sorted(KERNELS))}",
        )
    require_domain(estimator, estimator.kernel, X, context)
    kept = dense_rows(rows)
    known = {name: value for name, value in params.items() if value is not None}
    among = pairwise_kernels(kept, metric=estimator.kernel, filter_params=True, **known)
    note_cancellation(estimator, among, weights, 0.0, 1.0, context, _FEWER)
    var = pairwise_kernel(estimator.kernel, context.numbers(estimator, X), kept, params)
    return var, np.result_type(X.number_dtype, rows.dtype)


@lowers("sklearn.kernel_approximation.RBFSampler")
def lower_rbf_sampler(estimator: Any, X: Table, context: Context) -> Table:
    array = FloatArray(estimator, X, context)
    return _random_waves(estimator, array, (2.0 / estimator.n_components) ** 0.5, context)


@lowers("sklearn.kernel_approximation.SkewedChi2Sampler")
def lower_skewed_chi2_sampler(estimator: Any, X: Table, context: Context) -> Table:
    """The logarithm of values above `-skewedness`; for others scikit-learn raises an error."""
    context.require(estimator, X, Bounds(exclusive_minimum=-float(estimator.skewedness)))
    array = FloatArray(estimator, X, context)
    array.apply(op.add, estimator.skewedness)
    array.replace(op.log(array.var))
    return _random_waves(estimator, array, np.sqrt(2.0) / np.sqrt(estimator.n_components), context)


def _random_waves(estimator: Any, array: FloatArray, height: float, context: Context) -> Table:
    weights = estimator.random_weights_
    dtype = np.result_type(array.dtype, weights.dtype)
    if dtype == np.float32:
        raise context.refuse(
            estimator,
            "it takes the cosine of float32 sums, which magnifies how they were rounded",
            "Convert the columns to float64 before fitting",
        )
    projection = op.add(op.matmul(array.var, constant(weights)), constant(estimator.random_offset_))
    waves = op.mul(op.cos(projection), constant(height))
    return single_table(estimator, waves, weights.shape[1], dtype, context)


@lowers("sklearn.kernel_approximation.AdditiveChi2Sampler")
def lower_additive_chi2_sampler(estimator: Any, X: Table, context: Context) -> Table:
    """A. Vedaldi and A. Zisserman, Efficient additive kernels via explicit feature maps, figure 2 c).

    For values below 0 scikit-learn raises an error.
    """
    context.require(estimator, X, NOT_NEGATIVE)
    if X.dtypes and np.result_type(*X.dtypes).kind in "iub":
        raise context.refuse(
            estimator,
            "it receives integers, and cuts its answers down to integers",
            "Convert the columns to float64 and fit again",
        )
    steps = estimator.sample_steps
    interval = estimator.sample_interval
    interval = {1: 0.8, 2: 0.5, 3: 0.4}[steps] if interval is None else interval
    x = context.numbers(estimator, X)
    zero = op.equal(x, constant(0.0))
    log = op.mul(constant(interval), op.log(x))
    doubled = op.mul(op.mul(constant(2.0), x), constant(interval))
    parts = [op.sqrt(op.mul(x, constant(interval)))]
    for j in range(1, steps):
        factor = op.sqrt(op.div(doubled, constant(np.cosh(np.pi * j * interval))))
        angle = op.mul(constant(float(j)), log)
        parts += [op.where(zero, constant(0.0), op.mul(factor, wave(angle))) for wave in (op.cos, op.sin)]
    var = parts[0] if steps == 1 else op.concat(parts, axis=1)
    return single_table(estimator, var, X.width * (2 * steps - 1), X.number_dtype, context)


@lowers("sklearn.kernel_approximation.PolynomialCountSketch")
def lower_polynomial_count_sketch(estimator: Any, X: Table, context: Context) -> Table:
    """The circular convolution of count sketches, by discrete Fourier transforms written as matrices.

    N. Pham and R. Pagh, Fast and scalable polynomial kernels via explicit feature maps.
    """
    width = estimator.n_components
    x = op.mul(context.numbers(estimator, X), constant(np.sqrt(estimator.gamma)))
    angles = 2 * np.pi * (np.outer(np.arange(width), np.arange(width)) % width) / width
    cosines, sines = np.cos(angles), np.sin(angles)
    product: tuple[Var, Var] | None = None
    for hashes, signs in zip(estimator.indexHash_, estimator.bitHash_, strict=True):
        sketch = np.zeros((len(hashes), width))
        sketch[np.arange(len(hashes)), hashes] = signs
        sums = op.matmul(x, constant(sketch[: X.width]))
        if estimator.coef0 != 0:
            sums = op.add(sums, constant(np.sqrt(estimator.coef0) * sketch[X.width]))
        found = op.matmul(sums, constant(cosines)), op.neg(op.matmul(sums, constant(sines)))
        product = found if product is None else _complex_product(product, found)
    if product is None:
        raise context.refuse(estimator, "it has degree 0", "Set degree to 1 or more")
    real, imaginary = product
    inverse = op.sub(op.matmul(real, constant(cosines)), op.matmul(imaginary, constant(sines)))
    var = op.div(inverse, constant(float(width)))
    return single_table(estimator, var, width, np.dtype(np.float64), context)


def _complex_product(a: tuple[Var, Var], b: tuple[Var, Var]) -> tuple[Var, Var]:
    real = op.sub(op.mul(a[0], b[0]), op.mul(a[1], b[1]))
    return real, op.add(op.mul(a[0], b[1]), op.mul(a[1], b[0]))
