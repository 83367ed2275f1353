"""Boosters: saved through the public API, loaded, and compared with the model in memory."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

import afterfit
from afterfit.schema import pack_table

if TYPE_CHECKING:
    from pathlib import Path

_METHODS = {"prediction": "predict", "probabilities": "predict_proba", "scores": "decision_function"}


@dataclass(frozen=True)
class Data:
    """Real rows: `X`, `y` to fit on, and `rows` that were held out, some of them moved beyond `X`."""

    X: pd.DataFrame
    y: np.ndarray
    rows: pd.DataFrame


def prepare(name: str, *, missing: bool, categorical: bool, size: int = 120) -> Data:
    """A data set of scikit-learn; columns of text and of numbered categories made from its own columns."""
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True, as_frame=True)
    X, y = X.iloc[:, :8].astype(np.float64), y.to_numpy()
    order = np.random.default_rng(0).permutation(len(X))
    X, y = X.iloc[order].reset_index(drop=True), y[order]
    if categorical:
        words = pd.qcut(X.iloc[:, 0].rank(method="first"), 5, labels=False)
        X["word"] = pd.Categorical([f"group {place}" for place in words])
        X["number"] = pd.Categorical(pd.qcut(X.iloc[:, 3].rank(method="first"), 4, labels=False) * 10 + 7)
    if missing:
        gaps = np.random.default_rng(1).random(X.shape) < 0.15
        X = X.mask(gaps)
    held_out = X.iloc[size : 2 * size].reset_index(drop=True)
    moved = held_out.copy()
    numbers = X.columns[:8]
    span = X[numbers].max() - X[numbers].min()
    moved[numbers] += np.random.default_rng(2).normal(size=moved[numbers].shape) * span.to_numpy() / 3
    return Data(X.iloc[:size], y[:size], pd.concat([held_out, moved], ignore_index=True))


@pytest.fixture(scope="session", params=["plain", "missing", "categorical", "both"])
def kind(request: pytest.FixtureRequest) -> dict[str, bool]:
    """Which of missing values and categorical columns the rows have."""
    return {
        "missing": request.param in {"missing", "both"},
        "categorical": request.param in {"categorical", "both"},
    }


@pytest.fixture
def agrees(tmp_path: Path):
    """`agrees(model, X, rows)`: save, load, and compare every output with `ask`, by default the model itself."""

    def check(model: Any, X: Any, *tables: Any, tolerance: float = 1e-12, ask: Any = None) -> Any:
        target = tmp_path / "model.afit"
        afterfit.save(model, target, X=X)
        saved = afterfit.load(target)
        assert saved.manifest.parity.tolerance <= tolerance
        for rows in (X, *tables):
            got = saved.run(pack_table(saved.schema, rows))
            for output in saved.schema.outputs:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    expected = np.asarray(getattr(ask or model, _METHODS[output.name])(rows))
                if len(output.shape) == 1:
                    expected = expected.reshape(-1)
                compare(expected, got[output.name], tolerance, labels=output.classes is not None)
        return saved

    return check


def compare(expected: Any, got: Any, tolerance: float, *, labels: bool) -> None:
    """Labels must be equal, numbers within `tolerance` of the largest of them."""
    assert got.shape == expected.shape
    if labels or expected.dtype.kind in "OUS":
        np.testing.assert_array_equal(got, expected)
        return
    scale = max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale)


@pytest.fixture
def refuses(tmp_path: Path):
    """`refuses(model, X, words)`: saving is refused by name, with `words` in the reason, and nothing is written."""

    def check(model: Any, X: Any, words: str) -> None:
        with pytest.raises(afterfit.UnsupportedModelError, match=words):
            afterfit.save(model, tmp_path / "model.afit", X=X)
        assert not list(tmp_path.iterdir())

    return check


@pytest.fixture(scope="session")
def data():
    """`data(name, missing=..., categorical=...)`: see `prepare`."""
    return prepare
