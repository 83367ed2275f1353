"""Saving fitted models through the public API and comparing them with what is in memory."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import afterfit

if TYPE_CHECKING:
    from pathlib import Path

RELATIVE = 1e-9
METHODS = ("predict", "predict_proba", "transform")


def perturbed(X: Any, seed: int = 0) -> Any:
    """Rows of numbers with every value moved by up to 5 % of its column's spread."""
    values = np.asarray(X, dtype=np.float64)
    noise = np.random.default_rng(seed).uniform(-0.05, 0.05, values.shape) * np.ptp(values, axis=0)
    return (values + noise).astype(np.asarray(X).dtype)


def compare(expected: Any, got: Any) -> float:
    """The largest relative error; raises AssertionError above `RELATIVE`, or where a label differs."""
    expected = expected.toarray() if hasattr(expected, "toarray") else np.asarray(expected)
    if got.dtype.kind in "OUSib" or expected.dtype.kind in "OUS":
        np.testing.assert_array_equal(got, expected)
        return 0.0
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=RELATIVE, atol=1e-12)
    finite = np.isfinite(expected) & (np.abs(expected) > 1e-12)
    return float(np.max(np.abs(got - expected)[finite] / np.abs(expected)[finite], initial=0.0))


@pytest.fixture
def check_saved(tmp_path: Path):
    """`check_saved(model, X, *rows)`: save the model with `X`, and compare it on all the tables of `rows`."""

    def check(model: Any, X: Any, *rows: Any, **options: Any) -> float:
        saved = afterfit.save(model, tmp_path / "model.afit", X=X, **options)
        worst = 0.0
        for table in (X, *rows):
            for method in METHODS:
                entry = {
                    "predict": "prediction",
                    "predict_proba": "probabilities",
                    "transform": "transformed",
                }
                if entry[method] not in {output.name for output in saved.schema.outputs}:
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    expected = getattr(model, method)(table)
                worst = max(worst, compare(expected, getattr(saved, method)(table)))
        return worst

    return check
