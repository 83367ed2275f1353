"""Where scikit-learn raises an error beyond a bound, so does the bundle, and nowhere else."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import PairwiseKernel, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.kernel_approximation import AdditiveChi2Sampler, Nystroem, SkewedChi2Sampler
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    PowerTransformer,
    SplineTransformer,
    StandardScaler,
)
from sklearn.tree import DecisionTreeRegressor

import afterfit
from afterfit.schema import Bounds

DRAW = np.random.default_rng(0)
X = pd.DataFrame(DRAW.gamma(2.0, size=(120, 3)) + 0.05, columns=list("abc"))
Y = X["a"] - np.sqrt(X["b"]) + DRAW.normal(scale=0.1, size=len(X))
ROWS = pd.DataFrame(np.random.default_rng(1).gamma(2.0, size=(200, 3)), columns=list("abc"))
NOT_NEGATIVE = Bounds(minimum=0.0)
POSITIVE = Bounds(exclusive_minimum=0.0)


def function(ufunc):
    return make_pipeline(FunctionTransformer(ufunc), Ridge())


BOUNDED = {
    "box-cox": (PowerTransformer("box-cox"), POSITIVE),
    "box-cox, then a tree": (make_pipeline(PowerTransformer("box-cox"), DecisionTreeRegressor()), POSITIVE),
    "additive chi2 sampler": (AdditiveChi2Sampler(), NOT_NEGATIVE),
    "skewed chi2 sampler": (
        SkewedChi2Sampler(skewedness=0.5, n_components=9, random_state=0),
        Bounds(exclusive_minimum=-0.5),
    ),
    "kernel features": (Nystroem("chi2", n_components=9, random_state=0), NOT_NEGATIVE),
    "kernel ridge": (KernelRidge(kernel="chi2", gamma=0.5), NOT_NEGATIVE),
    "additive kernel": (KernelRidge(kernel="additive_chi2"), NOT_NEGATIVE),
    "gaussian process": (
        GaussianProcessRegressor(PairwiseKernel(metric="chi2") + WhiteKernel()),
        NOT_NEGATIVE,
    ),
    "log": (function(np.log), POSITIVE),
    "log10": (function(np.log10), POSITIVE),
    "log1p": (function(np.log1p), Bounds(exclusive_minimum=-1.0)),
    "sqrt": (function(np.sqrt), NOT_NEGATIVE),
    "logarithms of counts": (TfidfTransformer(sublinear_tf=True), NOT_NEGATIVE),
    "imputed": (make_pipeline(SimpleImputer(), PowerTransformer("box-cox")), POSITIVE),
}


def raises(answer, rows):
    with np.errstate(all="ignore"):
        try:
            answer(rows)
        except ValueError:  # a SchemaError is one, too
            return True
    return False


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.filterwarnings("ignore")
def test_the_bound_is_the_library_s(agrees, name):
    model, bounds = BOUNDED[name]
    model.fit(X, Y)
    saved = agrees(model, X, ROWS)
    assert [column.bounds for column in saved.schema.columns] == [bounds] * 3
    assert saved.manifest.format == 2
    method = "predict" if hasattr(model, "predict") else "transform"
    end = bounds.lowest
    for value in (end, np.nextafter(end, -np.inf), end - 1e-9, end - 1.0, end - 1e6, end + 1e-9, 0.0):
        rows = ROWS[:3].copy()
        rows.iloc[1, 1] = value
        assert raises(getattr(saved, method), rows) == raises(getattr(model, method), rows), value
    with pytest.raises(afterfit.SchemaError, match=f"column 'b'.*{bounds.in_words()}"):
        getattr(saved, method)(pd.DataFrame([{"a": 1.0, "b": -5.0, "c": 1.0}]))


@pytest.mark.parametrize("kind", ["spline", "isotonic"])
def test_a_range_with_two_ends(agrees, kind):
    model = {
        "spline": make_pipeline(SplineTransformer(extrapolation="error"), Ridge()),
        "isotonic": IsotonicRegression(out_of_bounds="raise"),
    }[kind].fit(X[["a"]], Y)
    low, high = X["a"].min(), X["a"].max()
    within = ROWS.loc[ROWS["a"].between(low, high), ["a"]]
    saved = agrees(model, X[["a"]], within)
    assert saved.schema.columns[0].bounds == Bounds(minimum=low, maximum=high)
    for value in (low, high, np.nextafter(low, 0.0), np.nextafter(high, np.inf)):
        rows = pd.DataFrame({"a": [value]})
        assert raises(saved.predict, rows) == raises(model.predict, rows), value


def test_integers_and_float32(agrees, tmp_path):
    counts = pd.DataFrame(DRAW.poisson(3.0, (100, 2)) + 1, columns=["a", "b"])
    saved = agrees(function(np.log).fit(counts, counts["a"]), counts, counts + 1)
    assert saved.schema.columns[0].bounds == POSITIVE
    assert min(row.input["a"] for row in saved.bundle.golden) >= 1
    single = X.astype(np.float32)
    model = make_pipeline(PowerTransformer("box-cox"), DecisionTreeRegressor(max_depth=4)).fit(single, Y)
    saved = afterfit.save(model, tmp_path / "single.afit", X=single)
    assert saved.verify().ok


def test_features_cut_down_to_integers_are_refused(refuses):
    counts = DRAW.poisson(3.0, (50, 2))
    refuses(AdditiveChi2Sampler().fit(counts), counts, "it receives integers")


def test_golden_rows_stay_within(tmp_path):
    model = function(np.log).fit(X, Y)
    saved = afterfit.save(model, tmp_path / "m.afit", X=X)
    found = [value for row in saved.bundle.golden for value in row.input.values()]
    assert 0 < min(found) < X.to_numpy().min()


def test_two_bounds_of_one_column_meet(agrees):
    model = make_pipeline(
        make_column_transformer(
            (PowerTransformer("box-cox"), ["a"]),
            (SplineTransformer(extrapolation="error"), ["a"]),
            (StandardScaler(), ["b"]),
        ),
        Ridge(),
    ).fit(X, Y)
    saved = agrees(model, X, X[::-1])
    low, high = X["a"].min(), X["a"].max()
    assert saved.schema.columns[0].bounds == Bounds(minimum=low, maximum=high)
    assert saved.schema.columns[1].bounds is None


@pytest.mark.parametrize(
    "step",
    [MinMaxScaler(clip=True), KBinsDiscretizer(4, encode="ordinal", quantile_method="linear")],
    ids=str,
)
@pytest.mark.filterwarnings("ignore")
def test_columns_that_cannot_leave_the_bounds(agrees, step):
    saved = agrees(make_pipeline(step, AdditiveChi2Sampler(), Ridge()).fit(X, Y), X, ROWS - 1.0)
    assert saved.schema.columns[0].bounds is None
    assert saved.manifest.format == 1


def test_functions_whose_gaps_nobody_minds_have_no_bounds(agrees):
    saved = agrees(FunctionTransformer(np.log).fit(X), X, ROWS)
    assert saved.schema.columns[0].bounds is None
    assert np.isnan(saved.transform(X - 100)).all()


def test_a_bound_that_cannot_be_followed_back_is_refused(refuses):
    refuses(
        make_pipeline(MinMaxScaler(), AdditiveChi2Sampler(), Ridge()).fit(X, Y),
        X,
        "'a' that it reads was computed by earlier steps",
    )
    spelled = X.copy()
    spelled.iloc[0] = -1.0
    imputed = make_pipeline(SimpleImputer(missing_values=-1.0), PowerTransformer("box-cox")).fit(spelled)
    refuses(imputed, spelled, "missing values of the column 'a' are spelled -1")


def test_a_classifier_over_json(tmp_path):
    model = make_pipeline(PowerTransformer("box-cox"), LogisticRegression()).fit(X, Y.median() < Y)
    saved = afterfit.save(model, tmp_path / "m.afit", X=X)
    body = json.dumps({"rows": [{"a": 0.5, "b": 0, "c": 1.5}]}).encode()
    with pytest.raises(afterfit.SchemaError, match="a number greater than 0"):
        afterfit.schema.RowDecoder(saved.schema).decode_json(body)
