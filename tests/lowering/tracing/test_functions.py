"""Functions as people write them, traced into a graph and compared with themselves on rows of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.preprocessing import FunctionTransformer

import afterfit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RNG = np.random.default_rng(0)
FLOATS = np.concatenate(
    [
        RNG.normal(size=(60, 4)) * 10,
        RNG.uniform(0.5, 2, size=(20, 4)),
        RNG.integers(-4, 5, size=(40, 4)).astype(float),
    ]
)
POSITIVE = np.abs(FLOATS) + 0.5
INTEGERS = RNG.integers(-9, 10, size=(120, 4))
LARGE = RNG.integers(-(2**51), 2**51, size=(120, 4))
WEIGHTS = RNG.normal(size=(4, 3))


def standardised(X: Any) -> Any:
    xp = X.__array_namespace__()
    centred = X - xp.mean(X, axis=1, keepdims=True)
    return xp.concat([centred, xp.where(X > 0, xp.sqrt(xp.abs(X)), -X)], axis=1)


def in_place(X: Any) -> Any:
    X = X.copy()
    X[:, 0] = X[:, 1] * 2
    X[X < 0] = 0
    X[np.isnan(X)] = -1
    X[X[:, 2] > 1, 3] = 7
    X += 1
    return X


def ratios(X: Any) -> Any:
    return np.c_[X, X[:, 0] / X[:, 1], X[:, 2] ** 2]


def loop_over_columns(X: Any) -> Any:
    return np.column_stack([np.clip(X[:, i], -1, i) for i in range(X.shape[1])])


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "ratio": (lambda X: (np.log1p(X[:, 0]) / X[:, 1]).reshape(-1, 1), POSITIVE),
    "where": (lambda X: np.where(X > 3, 1, 0), FLOATS),
    "where column": (lambda X: np.where(X[:, [0]] > 0, X[:, 1:3], -1.5), FLOATS),
    "clip": (lambda X: np.clip(X, -1, 2.5), FLOATS),
    "mean": (lambda X: X.mean(axis=1)[:, None], FLOATS),
    "column_stack": (lambda X: np.column_stack([X[:, 0], X[:, 1] * X[:, 2], X[:, 3] > 0]), FLOATS),
    "hstack": (lambda X: np.hstack([X, np.ones((X.shape[0], 1)), np.zeros((len(X), 2))]), FLOATS),
    "statistics": (
        lambda X: np.stack([X.std(1), X.var(axis=1, ddof=1), X.max(1), np.min(X, axis=1), np.prod(X, 1)], axis=1),
        FLOATS,
    ),
    "missing statistics": (lambda X: np.stack([np.nansum(X, axis=1), np.nanmean(X, 1), np.nanmax(X, 1)], 1), FLOATS),
    "argmax": (lambda X: np.argmax(X, axis=1)[:, np.newaxis], FLOATS),
    "any": (lambda X: ((X > 3).any(axis=1) & ~(X < -3).all(axis=1)).reshape(-1, 1), FLOATS),
    "floor division": (lambda X: np.concatenate([X // 3, X % 3, X // -2.5, X % -2.5, np.fmod(X, 3)], axis=1), FLOATS),
    "column division": (lambda X: np.column_stack([X[:, 0] // X[:, 1], X[:, 0] % X[:, 1]]), FLOATS),
    "power": (lambda X: np.hstack([X**2, X**3, X**-1.0, X**0.5]), POSITIVE),
    "angles": (
        lambda X: np.hstack([np.arctan(X), np.arctan2(X, 2.0), np.arcsin(X / 100), np.hypot(X, 3), np.tan(X)]),
        FLOATS,
    ),
    "cycle": (lambda X: np.column_stack([np.sin(2 * np.pi * X[:, 0] / 24), np.cos(2 * np.pi * X[:, 0] / 24)]), FLOATS),
    "matrix": (lambda X: X @ WEIGHTS + 1, FLOATS),
    "dot": (lambda X: np.dot(X, WEIGHTS[:, 0]).reshape(len(X), 1), FLOATS),
    "isin": (lambda X: np.isin(X, [0, 1, 2]), FLOATS),
    "digitize": (lambda X: np.digitize(X, [-1, 0, 2.5]), FLOATS),
    "select": (lambda X: np.select([X < 0, X > 2], [X * 2, X * 3], default=1.0), FLOATS),
    "nan_to_num": (lambda X: np.nan_to_num(X, nan=-5.0), FLOATS),
    "diff": (lambda X: np.hstack([np.diff(X, axis=1), np.cumsum(X, axis=1)]), FLOATS),
    "norm": (lambda X: X / np.linalg.norm(X, axis=1, keepdims=True), POSITIVE),
    "round": (lambda X: np.round(X, 2), FLOATS),
    "asarray": (lambda X: np.log(np.asarray(X, dtype=np.float64)), POSITIVE),
    "transposed": (lambda X: np.vstack([X.T[0], X.T[1] - X.T[0]]).T, FLOATS),
    "flipped": (lambda X: X[:, ::-1][:, 1:], FLOATS),
    "mask": (lambda X: X[:, np.array([True, False, True, False])], FLOATS),
    "reshaped": (lambda X: X.reshape(-1, 2, 2).sum(axis=2), FLOATS),
    "astype": (lambda X: X.astype(int), FLOATS),
    "integers as float": (lambda X: X / 2, INTEGERS),
    "integer arithmetic": (lambda X: np.hstack([X + 1, X * X, X - 3, X**3, abs(X), -X]), INTEGERS),
    "integer division": (lambda X: np.hstack([X // 4, X % 4, X // -3, X % -3]), INTEGERS),
    "integer comparison": (lambda X: np.hstack([X > 2.5, X == 3]), INTEGERS),
    "integer overflow": (lambda X: X * X * X % 1000, LARGE),
    "integer maximum": (lambda X: np.maximum(X, 2), INTEGERS),
    "integer mean": (lambda X: X.mean(axis=1, keepdims=True), INTEGERS),
    "integer sum": (lambda X: X.sum(axis=1, keepdims=True) % 5, INTEGERS),
    "array api": (standardised, FLOATS),
    "in place": (in_place, FLOATS),
    "np.c_": (ratios, FLOATS),
    "loop over columns": (loop_over_columns, FLOATS),
}  # fmt: skip


def saved_and_real(function: Any, X: Any, path: Path, **options: Any) -> tuple[Any, Any]:
    transformer = FunctionTransformer(function, **options).fit(X)
    model = afterfit.save(transformer, path / "model.afit", X=X)
    with np.errstate(all="ignore"):
        return model.transform(X), np.asarray(transformer.transform(X), dtype=np.float64)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_answers_as_the_function_does(name: str, tmp_path: Path):
    function, X = FUNCTIONS[name]
    got, expected = saved_and_real(function, X, tmp_path)
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["ratio", "where", "clip", "floor division", "in place", "round", "np.c_"])
def test_float32_columns(name: str, tmp_path: Path):
    function, X = FUNCTIONS[name]
    got, expected = saved_and_real(function, X.astype(np.float32), tmp_path)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
    if name in {"where", "clip", "in place", "np.c_"}:
        np.testing.assert_array_equal(got, expected)
