"""How X looks: what a scaler or an encoder leaves is found, honest data are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler

from afterfit.capture._forgotten._filled import median_filled_in
from afterfit.capture._forgotten._lattice import is_short, odd_step
from afterfit.capture._forgotten._looks import look_findings


def looks(rows, table) -> list[str]:
    return [finding.evidence for finding in look_findings(rows(table))]


@pytest.mark.parametrize(
    ("scaler", "words"),
    [
        (StandardScaler(), "mean 0 and variance 1"),
        (MinMaxScaler(), "from exactly 0 to exactly 1"),
        (MinMaxScaler((-1, 1)), "from exactly -1 to exactly 1"),
        (MaxAbsScaler(), "largest magnitude is exactly 1"),
        (RobustScaler(), "median 0 and interquartile range 1"),
        (Normalizer(), "every row of 3 columns"),
    ],
    ids=lambda value: repr(value) if hasattr(value, "fit") else "",
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_a_scaler_leaves(scaler, words, dtype, raw, rows):
    scaled = pd.DataFrame(scaler.fit_transform(raw), columns=list(raw)).astype(dtype)
    (evidence,) = looks(rows, scaled)
    assert words in evidence
    assert "'income'" in evidence


def test_the_variance_of_a_sample_counts_too(raw, rows):
    assert "mean 0 and variance 1" in looks(rows, (raw - raw.mean()) / raw.std(ddof=1))[0]


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(), RobustScaler()], ids=repr)
@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer], ids=lambda load: load.__name__)
def test_a_part_of_a_table_that_was_scaled(scaler, load, rows):
    table = load(as_frame=True).data
    part = scaler.fit_transform(table)[::3]
    assert "lie on even grids" in looks(rows, part)[0]
    assert looks(rows, table[::3]) == []


def test_scaled_columns_beside_whole_numbers(raw, rows):
    scaled = (raw[["income", "height"]] - raw[["income", "height"]].mean()) / raw[["income", "height"]].std(
        ddof=0
    )
    assert looks(rows, scaled.assign(age=raw["age"], member=raw["age"] % 2))


@pytest.mark.parametrize("size", [(30, 3), (300, 5), (3000, 40)], ids=str)
@pytest.mark.parametrize("draw", ["normal", "uniform", "exponential", "integers"])
def test_drawn_numbers_are_honest(draw, size, rows):
    rng = np.random.default_rng(3)
    table = rng.integers(-3, 4, size) if draw == "integers" else getattr(rng, draw)(size=size)
    assert looks(rows, table) == []


def test_honest_tables(raw, rows):
    assert looks(rows, raw) == []
    assert looks(rows, load_digits(as_frame=True).data) == []
    assert looks(rows, load_digits(as_frame=True).data / 16) == []
    rng = np.random.default_rng(4)
    assert looks(rows, pd.DataFrame({"share": np.linspace(0, 1, 50), "age": rng.integers(1, 90, 50)})) == []
    assert looks(rows, rng.dirichlet(np.ones(4), 100)) == []
    assert looks(rows, rng.integers(0, 2, (200, 6))) == []


def test_few_rows_say_little(raw, rows):
    assert looks(rows, StandardScaler().fit_transform(raw)[:9]) == []


def test_one_hot_blocks(raw, rows):
    plan = pd.Series(np.array(["a", "b", "c"])[np.arange(len(raw)) % 3], name="plan")
    block = pd.get_dummies(plan, prefix="plan", dtype=float)
    (evidence,) = looks(rows, raw.join(block))
    assert "of the 3 columns 'plan_a' to 'plan_c' exactly one holds 1" in evidence
    nameless = pd.DataFrame(np.hstack([raw.to_numpy(), block.to_numpy()]))
    assert "exactly one holds 1" in looks(rows, nameless)[0]


def test_two_columns_are_a_block_by_their_names_alone(raw, rows):
    man = (raw["age"] % 2).astype(float)
    assert looks(rows, raw.assign(sex_m=man, sex_f=1 - man))
    assert looks(rows, raw.assign(tall=man, small=1 - man)) == []


def test_a_block_without_its_first_category(raw, rows):
    plan = pd.Series(np.array(["a", "b", "c", "d"])[np.arange(len(raw)) % 4], name="plan")
    dropped = pd.get_dummies(plan, prefix="plan", dtype=float, drop_first=True)
    assert "at most one holds 1" in looks(rows, raw.join(dropped))[0]
    flags = np.random.default_rng(5).random((len(raw), 3)) < 0.3
    honest = pd.DataFrame(flags.astype(float), columns=["has_car", "has_dog", "has_cat"])
    assert looks(rows, raw.join(honest)) == []


def test_booleans_are_honest(raw, rows):
    plan = np.arange(len(raw)) % 3
    assert looks(rows, raw.assign(**{f"plan_{i}": plan == i for i in range(3)})) == []


def test_label_codes(raw, rows):
    codes = np.arange(len(raw)) % 4
    assert "'home_country' holds exactly 0, 1, ..., 3" in looks(rows, raw.assign(home_country=codes))[0]
    assert looks(rows, raw.assign(siblings=codes)) == []
    assert looks(rows, raw.assign(country=codes + 1)) == []
    assert looks(rows, raw.assign(sex=codes % 2)) == []


def test_values_filled_in_with_the_mean(raw, rows):
    gaps = raw.astype(float)
    gaps.loc[np.arange(0, len(raw), 9), "height"] = np.nan
    filled = pd.DataFrame(SimpleImputer().fit_transform(gaps), columns=list(raw))
    (evidence,) = looks(rows, filled)
    assert "recurs 34 times in 'height'" in evidence
    assert looks(rows, filled[100:200])


def test_values_filled_in_with_the_median(raw, rows):
    gaps = raw.astype(float)
    gaps.loc[np.arange(0, len(raw), 9), "income"] = np.nan
    filled = pd.DataFrame(SimpleImputer(strategy="median").fit_transform(gaps), columns=list(raw))
    median = float(gaps["income"].median())
    (evidence,) = looks(rows, filled)
    assert f"{median!r} recurs" in evidence
    assert "it is the median of the others" in evidence
    assert looks(rows, filled.drop(columns="income")) == []
    assert looks(rows, filled.assign(income=filled["income"].replace(median, median * 3))) == []
    assert looks(rows, filled.assign(income=filled["income"] - median)) == []


def test_years_of_school_are_no_filled_in_values():
    years = np.repeat([6, 8, 9, 10, 11, 12, 13, 14, 16, 18, 20.0], [3, 8, 7, 9, 8, 60, 14, 9, 7, 3, 2])
    assert median_filled_in(years) is None


def test_grids():
    grid = np.random.default_rng(6).integers(0, 60, 200) / 10
    assert odd_step(grid) is None
    assert odd_step(grid.astype(np.float32).astype(np.float64)) is None
    assert odd_step((grid - 3) / 0.83) == pytest.approx(0.1 / 0.83)
    assert odd_step(np.random.default_rng(6).normal(size=200)) is None
    assert is_short(np.array([0.1, -2.345678, 1e9, 1 / 3])).tolist() == [True, True, True, False]


def test_raw_inputs_silences_looks(raw, label, refusal, saved):
    scaled = StandardScaler().fit_transform(raw)
    model = KNeighborsClassifier().fit(scaled, label)
    error = refusal(model, scaled)
    assert error.silenced_by == "raw_inputs=True"
    assert error.call.startswith("afterfit.save(model, path, X=X_raw, preprocess=scaler)")
    assert "say raw_inputs=True" in str(error)
    assert saved(model, scaled, raw_inputs=True).verify().ok


def test_encoder_and_scaler_are_both_named(raw, target, refusal):
    plan = pd.get_dummies(pd.Series(np.arange(len(raw)) % 3), prefix="plan", dtype=float)
    X = pd.DataFrame(StandardScaler().fit_transform(raw), columns=list(raw)).join(plan)
    error = refusal(LinearRegression().fit(X, target), X)
    assert "preprocess=[encoder, scaler]" in error.call
