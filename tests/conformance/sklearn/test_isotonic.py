from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression


@pytest.mark.parametrize("beyond", ["clip", "nan"])
@pytest.mark.parametrize("increasing", [True, False, "auto"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.filterwarnings("ignore:Confidence interval")
def test_isotonic_regression(agrees, diabetes, beyond, increasing, dtype):
    X, rows = diabetes.X[["bmi"]].astype(dtype), diabetes.rows[["bmi"]].astype(dtype)
    model = IsotonicRegression(out_of_bounds=beyond, increasing=increasing, y_min=50).fit(X, diabetes.y)
    saved = agrees(model, X, rows)
    assert np.isnan(saved.predict(rows)).any() == (beyond == "nan")


def test_points_that_it_learned(agrees, diabetes):
    model = IsotonicRegression(out_of_bounds="clip").fit(diabetes.X[["bmi"]], diabetes.y)
    points = diabetes.X[["bmi"]].iloc[: len(model.X_thresholds_)].copy()
    points["bmi"] = model.X_thresholds_[: len(points)]
    agrees(model, diabetes.X[["bmi"]], points)


def test_a_single_point(agrees):
    model = IsotonicRegression(out_of_bounds="clip").fit(np.ones((3, 1)), [1.0, 2.0, 3.0])
    agrees(model, np.ones((3, 1)), np.array([[0.0], [1.0], [2.0]]))
