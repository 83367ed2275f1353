"""New rows like those of a table: same kind, same types, values in bounds; the same seed, the same rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from afterfit.testing import perturbed, recombined

N = 40
DRAW = np.random.default_rng(0)
COLUMNS = {
    "real": DRAW.normal(size=N),
    "single": DRAW.normal(size=N).astype(np.float32),
    "gaps": np.where(np.arange(N) % 5 == 0, np.nan, np.arange(N) * 1.5),
    "count": DRAW.integers(0, 9, N),
    "flag": np.arange(N) % 2 == 0,
    "text": np.array(["a", "b", "ü", ""] * (N // 4), dtype=object),
}
FRAME = pd.DataFrame(COLUMNS).astype({"text": "str"}).assign(kind=pd.Categorical(["u", "v"] * (N // 2)))
POLARS = pl.DataFrame(
    {**COLUMNS, "gaps": pl.Series(COLUMNS["gaps"].tolist(), nan_to_null=True), "text": list(COLUMNS["text"])}
)


@pytest.mark.parametrize("make", [perturbed, recombined])
def test_a_pandas_frame_keeps_its_shape_names_and_types(make):
    made = make(FRAME)
    assert list(made.dtypes.items()) == list(FRAME.dtypes.items())
    assert made.shape == FRAME.shape
    assert made["count"].between(0, 8).all()
    assert sorted(made["text"]) == sorted(FRAME["text"])
    assert not made.equals(FRAME)
    assert made.equals(make(FRAME))
    assert not made.equals(make(FRAME, seed=1))
    assert made["gaps"].isna().sum() == FRAME["gaps"].isna().sum()


@pytest.mark.parametrize("make", [perturbed, recombined])
def test_a_polars_frame_stays_one(make):
    made = make(POLARS)
    assert made.schema == POLARS.schema
    assert made.null_count().row(0) == POLARS.null_count().row(0)
    assert not made.equals(POLARS)
    assert made.equals(make(POLARS))


def test_numbers_move_by_no_more_than_the_amount():
    moved = np.abs(perturbed(FRAME, amount=0.1)["real"] - FRAME["real"])
    assert 0 < moved.max() <= 0.1 * np.ptp(FRAME["real"])
    gaps = perturbed(FRAME)["gaps"]
    assert (gaps.isna() == FRAME["gaps"].isna()).all()


def test_recombined_rows_hold_no_new_value():
    made = recombined(FRAME)
    for name in FRAME:
        assert sorted(map(str, made[name])) == sorted(map(str, FRAME[name]))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("make", [perturbed, recombined])
def test_arrays(make, dtype):
    X = (DRAW.normal(size=(N, 3)) * 50).astype(dtype)
    before = X.copy()
    made = make(X)
    assert made.dtype == X.dtype
    assert made.shape == X.shape
    assert (made != X).any()
    assert (before == X).all()


def test_rows_given_as_dicts_come_back_as_a_frame():
    made = recombined([{"a": 1.5, "b": "x"}, {"a": 2.5, "b": "y"}])
    assert list(made.columns) == ["a", "b"]


def test_a_column_without_values_stays_so():
    assert np.isnan(perturbed(np.full((3, 1), np.nan))).all()
