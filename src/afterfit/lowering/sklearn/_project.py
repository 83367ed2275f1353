"""Projections: columns multiplied by a fitted matrix, centred or scaled before or after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import inverts, lowers, refuse, transforms
from afterfit.lowering._table import Regression, Table, constant
from afterfit.lowering.sklearn._array import FloatArray, project, single_table
from afterfit.lowering.sklearn._linear import weighted_sums
from afterfit.lowering.sklearn._special import expit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context


refuse(
    "it iterates until the error of all rows of the table together no longer falls, so its answer to a row depends on "
    "the rows beside it",
    "Use PCA or TruncatedSVD instead, or SparseCoder with its components_ as the dictionary",
    "sklearn.decomposition.NMF",
    "sklearn.decomposition.MiniBatchNMF",
)


@lowers("sklearn.decomposition.PCA", "sklearn.decomposition.IncrementalPCA")
def lower_pca(estimator: Any, X: Table, context: Context) -> Table:
    """The projection less the projection of the mean, then divided by the deviations if whitened."""
    components = estimator.components_
    offset = -(estimator.mean_.reshape(1, -1) @ components.T)
    var = weighted_sums(estimator, X, components, offset, context)
    if estimator.whiten:
        var = op.div(var, constant(_deviations(estimator)))
    return single_table(
        estimator, var, len(components), np.result_type(X.number_dtype, components.dtype), context
    )


@inverts("sklearn.decomposition.PCA", "sklearn.decomposition.IncrementalPCA")
def invert_pca(estimator: Any, values: Var, context: Context) -> Var:  # noqa: ARG001 - the protocol's
    components = estimator.components_
    if estimator.whiten:
        components = np.sqrt(estimator.explained_variance_[:, None]) * components
    return op.add(op.matmul(values, constant(components)), constant(estimator.mean_))


def _deviations(estimator: Any) -> NDArray[Any]:
    deviations: NDArray[Any] = np.sqrt(estimator.explained_variance_)
    smallest: NDArray[Any] = np.maximum(deviations, np.finfo(deviations.dtype).eps)
    return smallest


@lowers(
    "sklearn.decomposition.TruncatedSVD",
    "sklearn.neighbors.NeighborhoodComponentsAnalysis",
    "sklearn.random_projection.GaussianRandomProjection",
    "sklearn.random_projection.SparseRandomProjection",
)
def lower_plain_projection(estimator: Any, X: Table, context: Context) -> Table:
    components = estimator.components_
    components = components.toarray() if hasattr(components, "toarray") else components
    var = weighted_sums(estimator, X, components, np.zeros(len(components)), context)
    dtype = np.result_type(X.number_dtype, components.dtype)
    return single_table(estimator, var, len(components), dtype, context)


@inverts("sklearn.decomposition.TruncatedSVD")
def invert_truncated_svd(estimator: Any, values: Var, context: Context) -> Var:  # noqa: ARG001 - the protocol's
    return op.matmul(values, constant(estimator.components_))


@inverts("sklearn.decomposition.FastICA")
def invert_fast_ica(estimator: Any, values: Var, context: Context) -> Var:  # noqa: ARG001 - the protocol's
    mixed = op.matmul(values, constant(estimator.mixing_.T))
    return op.add(mixed, constant(estimator.mean_)) if estimator.whiten else mixed


@lowers("sklearn.decomposition.FastICA")
def lower_fast_ica(estimator: Any, X: Table, context: Context) -> Table:
    array = FloatArray(estimator, X, context)
    if estimator.whiten:
        array.apply(op.sub, estimator.mean_)
    return project(estimator, array.var, array.dtype, estimator.components_.T, context)


@lowers("sklearn.decomposition.FactorAnalysis")
def lower_factor_analysis(estimator: Any, X: Table, context: Context) -> Table:
    """The expected factors: C. Bishop, Pattern Recognition and Machine Learning, 12.66."""
    components = estimator.components_
    weighted = components / estimator.noise_variance_
    covariance = np.linalg.inv(np.eye(len(components)) + weighted @ components.T)
    array = FloatArray(estimator, X, context)
    dtype = np.result_type(array.dtype, estimator.mean_.dtype)
    centred = op.sub(array.var, constant(estimator.mean_))
    factors = op.matmul(op.matmul(centred, constant(weighted.T)), constant(covariance))
    # The covariance is float64, or float32 only where all else is.
    return single_table(estimator, factors, len(components), np.result_type(dtype, covariance.dtype), context)


@lowers("sklearn.decomposition.SparsePCA", "sklearn.decomposition.MiniBatchSparsePCA")
def lower_sparse_pca(estimator: Any, X: Table, context: Context) -> Table:
    """Ridge regression of the centred row on the components, whose solution is linear in the row."""
    from sklearn.linear_model import ridge_regression

    components = estimator.components_
    array = FloatArray(estimator, X, context)
    array.apply(op.sub, estimator.mean_)
    solution = ridge_regression(
        components.T, np.eye(components.shape[1]), estimator.ridge_alpha, solver="cholesky"
    )
    return project(estimator, array.var, array.dtype, np.asarray(solution).astype(components.dtype), context)


@lowers("sklearn.neural_network.BernoulliRBM")
def lower_bernoulli_rbm(estimator: Any, X: Table, context: Context) -> Table:
    """The probabilities of the hidden units."""
    components = estimator.components_
    sums = weighted_sums(estimator, X, components, estimator.intercept_hidden_, context)
    dtype = np.result_type(X.number_dtype, components.dtype)
    return single_table(estimator, expit(sums), len(components), dtype, context)


@lowers("sklearn.preprocessing.KernelCenterer")
def lower_kernel_centerer(estimator: Any, X: Table, context: Context) -> Table:
    array = FloatArray(estimator, X, context)
    dtype = np.result_type(array.dtype, estimator.K_fit_rows_.dtype)
    return single_table(estimator, centred_kernel(estimator, array.var), X.width, dtype, context)


def centred_kernel(centerer: Any, kernel: Var) -> Var:
    """`KernelCenterer.transform` of a kernel matrix `[N, m]`."""
    means = op.div(op.reduce_sum(kernel, constant([1], np.int64)), constant(float(len(centerer.K_fit_rows_))))
    centred = op.sub(op.sub(kernel, constant(centerer.K_fit_rows_)), means)
    return op.add(centred, constant(centerer.K_fit_all_))


_LATENT = (
    "sklearn.cross_decomposition.PLSRegression",
    "sklearn.cross_decomposition.PLSCanonical",
    "sklearn.cross_decomposition.CCA",
)


@lowers(*_LATENT)
def lower_partial_least_squares(estimator: Any, X: Table, context: Context) -> Regression:
    array = FloatArray(estimator, X, context)
    array.apply(op.sub, estimator._x_mean)  # noqa: SLF001 - no public equivalent
    if array.single:
        context.note_float32_sum(estimator)
    values = op.add(op.matmul(array.var, constant(estimator.coef_.T)), constant(estimator.intercept_))
    if estimator._predict_1d:  # noqa: SLF001 - no public equivalent
        return Regression(op.reshape(values, constant([-1], np.int64)))
    return Regression(values, targets=len(estimator.coef_))


@transforms(*_LATENT)
def transform_partial_least_squares(estimator: Any, X: Table, context: Context) -> Table:
    return _latent_scores(estimator, FloatArray(estimator, X, context), estimator.x_rotations_, context)


@lowers("sklearn.cross_decomposition.PLSSVD")
def lower_pls_svd(estimator: Any, X: Table, context: Context) -> Table:
    array = FloatArray(estimator, X, context)
    array.single = False  # it makes float64 of everything
    return _latent_scores(estimator, array, estimator.x_weights_, context)


def _latent_scores(estimator: Any, array: FloatArray, rotations: NDArray[Any], context: Context) -> Table:
    array.apply(op.sub, estimator._x_mean)  # noqa: SLF001 - no public equivalent
    array.apply(op.div, estimator._x_std)  # noqa: SLF001 - no public equivalent
    dtype = np.dtype(np.float32 if array.single else np.float64)
    return project(estimator, array.var, dtype, rotations, context)
