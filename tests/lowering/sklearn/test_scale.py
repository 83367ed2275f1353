from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pandas as pd
import pytest
import spox
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)

from afterfit.errors import UnsupportedModelError
from afterfit.lowering import Context

SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    StandardScaler(with_mean=False, with_std=False),
    MinMaxScaler(),
    MinMaxScaler(feature_range=(-0.1, 0.7), clip=True),
    MaxAbsScaler(),
    RobustScaler(),
    RobustScaler(with_centering=False),
    RobustScaler(with_scaling=False),
    RobustScaler(quantile_range=(5, 80), unit_variance=True),
]
if "clip" in MaxAbsScaler().get_params():
    SCALERS.append(MaxAbsScaler(clip=True))


def data(dtype):
    rng = np.random.default_rng(0)
    X = np.c_[
        rng.normal(size=80) * 1e-3, rng.normal(size=80) * 1e5 + 3e6, np.full(80, 7.3), rng.integers(0, 9, 80)
    ]
    X = X.astype(dtype)
    if np.dtype(dtype).kind == "f":
        X[::7, 1] = np.nan
    return X


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int32, np.bool_])
@pytest.mark.parametrize("scaler", SCALERS, ids=str)
def test_bits_are_equal(agree, scaler, dtype):
    X = data(dtype)
    beyond = np.vstack([X * 3, -X]) if dtype is not np.bool_ else X
    graph = agree(scaler.fit(X), X, beyond)
    assert graph.lowered.dtypes[0] == scaler.transform(X).dtype
    frame = pd.DataFrame(X, columns=list("abcd"))
    agree(scaler.fit(frame), frame)


@pytest.mark.parametrize("scaler", SCALERS, ids=str)
def test_mixed_dtypes(agree, scaler):
    X = pd.DataFrame(data(np.float32), columns=list("abcd")).assign(
        b=lambda X: X.a > 0, d=lambda X: X.d.astype("int8")
    )
    agree(scaler.fit(X), X)
    agree(scaler.fit(X.assign(d=X.d.astype("int64"))), X.assign(d=X.d.astype("int64")))


def test_fitted_on_float64_and_given_float32(agree):
    for scaler in SCALERS:
        agree(scaler.fit(data(np.float64)), data(np.float32))
        agree(scaler.fit(data(np.float32)), data(np.float64))


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    X=st.sampled_from([np.float32, np.float64]).flatmap(
        lambda dtype: hnp.arrays(dtype, (6, 2), elements=st.floats(-(2.0**40), 2.0**40, width=32))
    ),
    chosen=st.lists(st.sampled_from(SCALERS), min_size=1, max_size=3),
)
def test_chains_are_bit_equal(agree, X, chosen):
    from sklearn.base import clone

    agree(make_pipeline(*[clone(scaler) for scaler in chosen]).fit(X), X)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_normalizer(agree, norm, dtype):
    X = np.nan_to_num(data(dtype))
    X[3] = 0
    X[4] = 1e-18
    X[5] = [1e-20, 0, 0, 0]
    if dtype == np.float64 or norm == "max":
        graph = agree(Normalizer(norm=norm).fit(X), X, exact=norm == "max")
        assert graph.context.float32_sums == []


def test_normalizer_says_that_it_sums_in_float32(lower):
    X = np.nan_to_num(data(np.float32))
    model = make_pipeline(Normalizer()).fit(X)
    graph = lower(model, X)
    assert graph.context.float32_sums == ["Normalizer at normalizer"]
    np.testing.assert_allclose(graph.run(X)["block0"], model.transform(X), rtol=1e-6)


def test_float16_is_refused(lower):
    X = np.ones((3, 2), dtype=np.float16)
    with pytest.raises(UnsupportedModelError, match="float16"):
        lower(MaxAbsScaler().fit(X), X)


def test_origins_are_kept_and_no_longer_raw(agree):
    X = data(np.float64)
    graph = agree(StandardScaler().fit(X), X)
    assert [(o.column, o.verbatim) for o in graph.lowered.origins] == [(i, False) for i in range(4)]


@pytest.mark.parametrize(
    "scaler",
    [*SCALERS, FunctionTransformer(), make_pipeline(MinMaxScaler(), "passthrough", StandardScaler())],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_inverse(scaler, dtype):
    y = data(dtype)[:, :3]
    scaler = scaler.fit(y)
    values = np.random.default_rng(1).normal(size=(50, 3))
    argument = spox.argument(spox.Tensor(np.float64, ("N", 3)))
    inverted = Context([]).invert(scaler, argument)
    session = ort.InferenceSession(
        spox.build(
            {"values": argument}, {"inverted": spox.opset.ai.onnx.v21.identity(inverted)}
        ).SerializeToString()
    )
    (got,) = session.run(None, {"values": values})
    np.testing.assert_array_equal(got, scaler.inverse_transform(values))


def test_inverse_that_cannot_be_lowered():
    argument = spox.argument(spox.Tensor(np.float64, ("N", 1)))
    with pytest.raises(UnsupportedModelError, match="cannot be traced"):
        Context([]).invert(FunctionTransformer(np.cbrt, lambda x: x.cumprod()), argument)
    with pytest.raises(UnsupportedModelError, match=r"inverse_transform of sklearn.preprocessing.Normalizer"):
        Context([]).invert(Normalizer(), argument)
