"""Predictors: saved through the public API, loaded, and compared with the estimator in memory."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

import afterfit

if TYPE_CHECKING:
    from pathlib import Path

_OUTPUTS = {
    "prediction": "predict",
    "probabilities": "predict_proba",
    "scores": "decision_function",
    "transformed": "transform",
}


@dataclass(frozen=True)
class Data:
    """Real rows: `X`, `y` to fit on, and `rows` that were held out, some of them moved far beyond `X`."""

    X: pd.DataFrame
    y: pd.Series
    rows: pd.DataFrame


def split(X: pd.DataFrame, y: pd.Series, size: int = 150) -> Data:
    order = np.random.default_rng(0).permutation(len(X))
    train, rest = order[:size], order[size : 2 * size] if len(order) > size + 20 else order[: size // 2]
    held_out = X.iloc[rest].reset_index(drop=True)
    span = X.to_numpy().max(axis=0) - X.to_numpy().min(axis=0)
    moves = np.random.default_rng(1).normal(size=held_out.shape)
    near, far = held_out + moves * span / 50, held_out + moves * span
    rows = pd.concat([held_out, near, far], ignore_index=True)
    return Data(X.iloc[train].reset_index(drop=True), y.iloc[train].reset_index(drop=True), rows)


def _bundled(name: str) -> Data:
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True, as_frame=True)
    size = {"iris": 100, "wine": 120}.get(name, 150)
    return split(X, y, size)


@pytest.fixture(scope="session")
def diabetes() -> Data:
    """Regression, 10 columns."""
    return _bundled("diabetes")


@pytest.fixture(scope="session")
def iris() -> Data:
    """Three classes, 4 columns on a grid of tenths."""
    return _bundled("iris")


@pytest.fixture(scope="session")
def wine() -> Data:
    """Three classes, 13 columns of very different scales."""
    return _bundled("wine")


@pytest.fixture(scope="session")
def cancer() -> Data:
    """Two classes, 30 columns of very different scales."""
    return _bundled("breast_cancer")


@pytest.fixture(scope="session")
def digits() -> Data:
    """Ten classes, 64 columns of counts from 0 to 16."""
    X, y = datasets.load_digits(return_X_y=True, as_frame=True)
    data = split(X, y, 300)
    rows = data.rows.clip(lower=0).round()
    return Data(data.X, data.y, rows)


@pytest.fixture
def agrees(tmp_path: Path):
    """`agrees(model, X, rows)`: save, load, and compare every output; returns the bundle's model.

    Labels must be equal, numbers within `tolerance` of the scale of each output. Lowerings are checked on rows that
    look scaled too, such as those of diabetes, which are published so: what `X` looks like is judged elsewhere.
    """

    def check(model: Any, X: Any, rows: Any, *, tolerance: float = 1e-9, outputs: Any = None) -> Any:
        target = tmp_path / "model.afit"
        afterfit.save(model, target, X=X, raw_inputs=True)
        saved = afterfit.load(target)
        found = [output.name for output in saved.schema.outputs]
        assert outputs is None or found == outputs
        got = saved.run(afterfit.schema.pack_table(saved.schema, rows))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for name in found:
                expected = getattr(model, _OUTPUTS[name])(rows)
                expected = np.asarray(expected.toarray() if hasattr(expected, "toarray") else expected)
                if expected.dtype.kind == "b" and name == "transformed":
                    expected = expected.astype(np.float64)
                assert got[name].shape == expected.shape
                if name == "prediction" and saved.schema.outputs[0].classes is not None:
                    np.testing.assert_array_equal(got[name], expected)
                    continue
                finite = np.abs(expected[np.isfinite(expected)])
                scale = max(1.0, float(finite.max(initial=0.0)))
                np.testing.assert_allclose(got[name], expected, rtol=0, atol=tolerance * scale)
        return saved

    return check


@pytest.fixture
def refuses(tmp_path: Path):
    """`refuses(model, X, words)`: saving is refused by name, with `words` in the reason."""

    def check(model: Any, X: Any, words: str) -> None:
        with pytest.raises(afterfit.UnsupportedModelError, match=words):
            afterfit.save(model, tmp_path / "model.afit", X=X)

    return check
