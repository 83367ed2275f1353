"""Kernels and distances against `sklearn.metrics.pairwise`."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import spox
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import DistanceMetric
from sklearn.metrics.pairwise import _VALID_METRICS, pairwise_distances, pairwise_kernels

from afterfit.lowering.sklearn._kernels import DISTANCES, KERNELS, pairwise_distance, pairwise_kernel
from afterfit.schema import Bounds

RNG = np.random.default_rng(0)
X = np.abs(RNG.normal(size=(40, 5)))
Y = np.abs(RNG.normal(size=(30, 5)))
X[0], Y[0], X[1, :2], Y[1, :2] = 0.0, 0.0, 0.0, 0.0
X[2] = Y[2]

PARAMS = {
    "poly": [{}, {"gamma": 0.3, "degree": 2, "coef0": 0.5}, {"degree": 2.5}],
    "sigmoid": [{}, {"gamma": 0.1, "coef0": -1}],
    "rbf": [{}, {"gamma": 2.0}],
    "laplacian": [{}, {"gamma": 0.7}],
    "chi2": [{}, {"gamma": 0.5}],
    "minkowski": [{}, {"p": 1}, {"p": 3}, {"p": 1.5, "w": np.arange(1.0, 6.0)}],
}


def run(build: Any, rows: Any) -> Any:
    argument = spox.argument(spox.Tensor(np.float64, ("N", rows.shape[1])))
    model = spox.build({"x": argument}, {"y": build(argument)})
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": rows})[0]


def cases(metrics: frozenset[str]) -> list[tuple[str, dict[str, Any]]]:
    return [(metric, params) for metric in sorted(metrics) for params in PARAMS.get(metric, [{}])]


@pytest.mark.parametrize(("metric", "params"), cases(KERNELS))
def test_kernels_are_those_of_scikit_learn(metric: str, params: dict[str, Any]):
    got = run(lambda x: pairwise_kernel(metric, x, Y, {"unknown": 3, "gamma": None, **params}), X)
    np.testing.assert_allclose(got, pairwise_kernels(X, Y, metric, **params), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(("metric", "params"), cases(DISTANCES - {"nan_euclidean"}))
def test_distances_are_those_of_scikit_learn(metric: str, params: dict[str, Any]):
    got = run(lambda x: pairwise_distance(metric, x, Y, params), X)
    if metric in _VALID_METRICS:
        expected = pairwise_distances(X, Y, metric, **params)
    else:
        # Names that the neighbour searches alone know.
        expected = DistanceMetric.get_metric(metric, **params).pairwise(X, Y)
    # Of the root of a difference of equal numbers only half the digits are there, in scikit-learn too.
    near = expected < 1e-7
    np.testing.assert_allclose(got[~near], expected[~near], rtol=1e-13)
    np.testing.assert_allclose(got[near], expected[near], atol=1e-7)


def test_distances_over_missing_values():
    rows, kept = X.copy(), Y.copy()
    rows[RNG.random(X.shape) < 0.3] = np.nan
    kept[RNG.random(Y.shape) < 0.3] = np.nan
    rows[5], rows[6, 1:], kept[4, 0] = np.nan, np.nan, np.nan
    expected = pairwise_distances(rows, kept, "nan_euclidean")
    assert np.isnan(expected).any()
    assert not np.isnan(expected).all()
    got = run(lambda x: pairwise_distance("nan_euclidean", x, kept), rows)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-7)


@pytest.mark.filterwarnings("ignore:Singular matrix")
@pytest.mark.parametrize("metric", sorted(KERNELS))
def test_negative_values_are_kept_out_where_scikit_learn_raises_an_error(lower, metric):
    rows = X.copy()
    rows[3, 2] = -1.0
    model = KernelRidge(kernel=metric, gamma=0.1).fit(X, X[:, 0])
    try:
        model.predict(rows)
    except ValueError as error:
        assert "negative" in str(error)
        expected = {column: Bounds(minimum=0.0) for column in range(X.shape[1])}
    else:
        expected = {}
    assert lower(model, X).context.bounds == expected
