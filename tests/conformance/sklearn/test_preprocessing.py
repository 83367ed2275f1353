"""Preprocessing of numbers, alone and before a model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    TargetEncoder,
)

TRANSFORMERS = [
    PowerTransformer(),
    PowerTransformer(standardize=False),
    QuantileTransformer(n_quantiles=100),
    QuantileTransformer(n_quantiles=40, output_distribution="normal"),
    PolynomialFeatures(),
    PolynomialFeatures(degree=(2, 3), include_bias=False),
    PolynomialFeatures(degree=3, interaction_only=True, order="F"),
    PolynomialFeatures(degree=0),
    *[
        SplineTransformer(degree=degree, extrapolation=extrapolation, knots=knots)
        for degree in (1, 2, 3, 5)
        for extrapolation, knots in (("constant", "uniform"), ("linear", "quantile"), ("continue", "uniform"))
    ],
    SplineTransformer(degree=0, extrapolation="linear"),
    SplineTransformer(extrapolation="periodic", include_bias=False, n_knots=7),
    SplineTransformer(n_knots=2, sparse_output=True, order="F"),
    KBinsDiscretizer(quantile_method="averaged_inverted_cdf"),
    KBinsDiscretizer(encode="onehot-dense", strategy="uniform"),
    KBinsDiscretizer(encode="ordinal", strategy="kmeans", n_bins=9, random_state=0),
    Binarizer(),
    Binarizer(threshold=0.01),
]


def spread(data):
    """Columns of which one is constant, one has few values and one has large ones."""
    names = list(data.X)

    def change(X):
        few = X[names[1]].round(1)
        return X.assign(constant=3.0, **{names[1]: few, names[2]: X[names[2]] * 1e4})

    return change(data.X), change(data.rows)


def numbers(X):
    """Some columns, without the one that has only two values."""
    return X.drop(columns="sex", errors="ignore").iloc[:, :5]


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=str)
def test_transformers(agrees, diabetes, transformer):
    X, rows = diabetes.X, diabetes.rows
    if not isinstance(transformer, SplineTransformer | KBinsDiscretizer):
        X, rows = spread(diabetes)
    X, rows = numbers(X), numbers(rows)
    agrees(transformer.fit(X), X, rows, outputs=["transformed"])


@pytest.mark.parametrize("transformer", TRANSFORMERS[:5] + TRANSFORMERS[9:13] + TRANSFORMERS[-6:], ids=str)
def test_before_a_linear_model(agrees, diabetes, transformer):
    X, rows = numbers(diabetes.X), numbers(diabetes.rows)
    agrees(make_pipeline(transformer, Ridge()).fit(X, diabetes.y), X, rows, outputs=["prediction"])


@pytest.mark.parametrize(
    "transformer",
    [
        PowerTransformer(),
        QuantileTransformer(n_quantiles=30, output_distribution="normal"),
        *(
            [SplineTransformer(handle_missing="zeros", extrapolation=e) for e in ("linear", "periodic")]
            if "handle_missing" in SplineTransformer().get_params()
            else []
        ),
    ],
    ids=str,
)
def test_missing_values(agrees, diabetes, transformer):
    gaps = np.random.default_rng(0).random(diabetes.X.shape) < 0.1
    X = diabetes.X.mask(gaps)
    rows = diabetes.rows.mask(np.random.default_rng(1).random(diabetes.rows.shape) < 0.1)
    agrees(transformer.fit(X), X, rows)
    if isinstance(transformer, SplineTransformer):
        return
    model = HistGradientBoostingRegressor(max_iter=5).fit(transformer.transform(X), diabetes.y)
    agrees(make_pipeline(transformer, model), X, rows)


@pytest.mark.parametrize("transformer", TRANSFORMERS[::2] + TRANSFORMERS[-7:], ids=str)
def test_float32(agrees, diabetes, transformer):
    X, rows = numbers(diabetes.X).astype(np.float32), numbers(diabetes.rows).astype(np.float32)
    exact = isinstance(transformer, PolynomialFeatures | KBinsDiscretizer | Binarizer | SplineTransformer)
    agrees(transformer.fit(X), X, rows, tolerance=1e-7 if exact else 2e-6)


def test_box_cox(agrees, refuses, diabetes):
    X, rows = diabetes.X + 10, diabetes.rows + 10
    agrees(PowerTransformer("box-cox").fit(X), X, rows)
    near = diabetes.X - diabetes.X.min() + 0.1
    refuses(PowerTransformer("box-cox").fit(near), near, "it raises an error for")


def test_power_transformer_of_special_powers(agrees, diabetes):
    X, rows = diabetes.X.iloc[:, :4] + 10, diabetes.rows.iloc[:, :4] + 10
    for method in ("box-cox", "yeo-johnson"):
        transformer = PowerTransformer(method=method, standardize=False).fit(X)
        transformer.lambdas_ = np.array([0.0, 2.0, 1e-17, -1.0])
        agrees(transformer, X, rows)


def test_repeated_quantiles(agrees, digits):
    transformer = QuantileTransformer(n_quantiles=50, output_distribution="normal").fit(digits.X)
    agrees(transformer, digits.X, digits.rows)


@pytest.mark.parametrize("scaler", [PowerTransformer(), PowerTransformer("box-cox")], ids=str)
def test_scaled_targets(agrees, diabetes, scaler):
    from sklearn.compose import TransformedTargetRegressor

    model = TransformedTargetRegressor(Ridge(), transformer=scaler).fit(diabetes.X, diabetes.y)
    agrees(model, diabetes.X, diabetes.rows.iloc[:150])


EVERYWHERE = [
    np.absolute,
    np.cbrt,
    np.ceil,
    np.cos,
    np.cosh,
    np.deg2rad,
    np.degrees,
    np.exp,
    np.exp2,
    np.expm1,
    np.fabs,
]
EVERYWHERE += [
    np.floor,
    np.negative,
    np.positive,
    np.rad2deg,
    np.radians,
    np.rint,
    np.sign,
    np.sin,
    np.sinh,
    np.square,
]
EVERYWHERE += [np.tan, np.tanh, np.trunc, special.expit, special.cbrt]
ABOVE_0 = [np.log, np.log10, np.log1p, np.log2, np.reciprocal, np.sqrt, special.log1p]


@pytest.mark.parametrize("function", EVERYWHERE + ABOVE_0, ids=lambda f: f.__name__)
def test_functions_known_by_name(agrees, diabetes, function):
    X, rows = diabetes.X.iloc[:, :3] * 20, diabetes.rows.iloc[:, :3] * 20
    if function in ABOVE_0:
        X, rows = X + 100, rows.abs() + 0.1
    agrees(FunctionTransformer(function).fit(X), X, rows)


def test_functions_of_other_dtypes(agrees, refuses, diabetes):
    X = (diabetes.X.iloc[:, :3] * 1000).round().astype(int)
    agrees(FunctionTransformer(np.abs).fit(X), X, X)
    agrees(FunctionTransformer(np.cbrt).fit(X), X, X)
    refuses(FunctionTransformer(np.square).fit(X), X, "square of int64 is computed in int64")
    single = diabetes.X.astype(np.float32)
    agrees(FunctionTransformer(np.exp).fit(single), single, single, tolerance=1e-6)
    agrees(FunctionTransformer(np.sqrt).fit(single), single.abs(), single.abs(), tolerance=0)


def exp(X):
    return X + 1


@pytest.mark.parametrize(
    "transformer",
    [
        FunctionTransformer(exp),
        FunctionTransformer(np.clip, kw_args={"a_min": 0, "a_max": 1}),
        FunctionTransformer(np.exp, kw_args={"casting": "same_kind"}),
        FunctionTransformer(lambda X: X),
    ],
    ids=["named exp", "clip", "with arguments", "lambda"],
)
def test_other_functions_are_refused(refuses, diabetes, transformer):
    refuses(transformer.fit(diabetes.X), diabetes.X, "it calls the .*function")


@pytest.mark.parametrize("target", ["binary", "continuous", "multiclass"])
@pytest.mark.parametrize("missing", [np.nan, None])
def test_target_encoder(agrees, diabetes, target, missing):
    rng = np.random.default_rng(0)
    words = np.array(["a", "b", "001", "", missing], dtype=object)
    X = pd.DataFrame(
        {"w": rng.choice(words, 150), "n": rng.integers(0, 5, 150), "f": rng.choice([0.5, np.nan], 150)}
    )
    rows = X.sample(frac=1, random_state=0).reset_index(drop=True)
    rows.loc[:20, "w"], rows.loc[10:30, "n"] = "never seen", 17
    y = diabetes.y
    y = {"binary": y > 140, "continuous": y, "multiclass": pd.cut(y, 3, labels=["x", "y", "z"])}[target]
    encoder = TargetEncoder(target_type=target, smooth=2.0)
    agrees(encoder.fit(X, y), X, rows)
    agrees(make_pipeline(encoder, Ridge()).fit(X, diabetes.y) if target == "continuous" else encoder, X, rows)
