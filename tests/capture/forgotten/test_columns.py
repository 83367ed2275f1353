"""Columns that the model does not know are contradictions: no argument silences them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from afterfit.errors import ForgottenPreprocessingError


def test_names_that_an_encoder_made(raw, label, refusal):
    frame = raw.assign(carrier=np.where(raw["age"] > 50, "AA", "UA"))
    encoded = pd.get_dummies(frame, dtype=float)
    error = refusal(RandomForestClassifier(5, random_state=0).fit(encoded, label), frame)
    assert "'carrier_AA'" in error.evidence[0]
    assert "named like what an encoder makes of 'carrier'" in error.evidence[0]
    assert "preprocess=encoder" in error.call


def test_another_order(raw, label, refusal, saved):
    model = KNeighborsClassifier().fit(raw, label)
    error = refusal(model, raw[["age", "income", "height"]], raw_inputs=True)
    assert "column 0 was 'income' and is 'age' in X" in error.evidence[0]
    assert error.call == "afterfit.save(model, path, X=X[list(model.feature_names_in_)])"
    assert error.silenced_by is None
    assert saved(model, raw).verify().ok


def test_a_column_transformer_takes_its_columns_by_name(raw, label, saved):
    columns = make_column_transformer((StandardScaler(), ["income", "age"]))
    model = make_pipeline(columns, KNeighborsClassifier()).fit(raw, label)
    assert saved(model, raw[["age", "height", "income"]]).verify().ok


def test_a_number_of_columns_that_text_accounts_for(raw, label, refusal):
    frame = raw.assign(plan=np.where(raw["age"] > 50, "a", "b"))
    model = KNeighborsClassifier().fit(
        np.hstack([raw.to_numpy(), np.eye(2)[(raw["age"] > 50).astype(int)]]), label
    )
    error = refusal(model, frame, raw_inputs=True)
    assert "was fitted on 5 columns and X has 4, of which 'plan' holds text" in error.evidence[0]
    assert "preprocess=encoder" in error.call


def test_text_for_a_model_that_is_neither_linear_nor_a_tree(raw, label, refusal):
    frame = raw.assign(age=np.where(raw["age"] > 50, "old", "young"))
    error = refusal(KNeighborsClassifier().fit(raw.to_numpy(), label), frame, raw_inputs=True)
    assert error.evidence == ("KNeighborsClassifier was fitted on numbers, and X has text in 'age'",)


@pytest.mark.parametrize("row", [0, 200])
def test_missing_values_that_the_model_has_no_answer_for(raw, target, refusal, row):
    gaps = raw.astype(float)
    gaps.loc[row, "height"] = np.nan
    error = refusal(LinearRegression().fit(raw, target), gaps, raw_inputs=True)
    assert "missing values in 'height'" in error.evidence[0]
    assert "preprocess=imputer" in error.call
    assert error.silenced_by is None


def test_missing_values_that_the_trees_never_saw(raw, target, refusal, saved):
    gaps = raw.astype(float)
    gaps.loc[np.random.default_rng(2).random(len(raw)) < 0.2, "income"] = np.nan
    imputer = SimpleImputer().fit(gaps)
    filled = pd.DataFrame(imputer.transform(gaps), columns=list(raw))
    error = refusal(HistGradientBoostingRegressor(max_iter=8).fit(filled, target), gaps)
    assert "send a missing value where most rows went" in error.evidence[0]
    assert saved(HistGradientBoostingRegressor(max_iter=8).fit(gaps, target), gaps).verify().ok


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent"])
@pytest.mark.parametrize(
    "model",
    [
        HistGradientBoostingRegressor(max_iter=8),
        RandomForestClassifier(5, random_state=0),
        DecisionTreeRegressor(),
    ],
    ids=["hist", "forest", "tree"],
)
def test_an_imputer_of_the_pipeline_is_not_forgotten(raw, label, saved, model, strategy):
    gaps = raw.astype(float)
    gaps.loc[np.random.default_rng(2).random(len(raw)) < 0.2, "income"] = np.nan
    whole = make_pipeline(SimpleImputer(strategy=strategy), model)
    assert saved(whole.fit(gaps, (label == "yes") * 1), gaps).verify().ok


@pytest.mark.parametrize("fill", ["mean", "median", "most frequent value", "number 0"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: DecisionTreeRegressor(max_depth=5, random_state=0),
        lambda: RandomForestRegressor(12, max_depth=5, random_state=0),
        lambda: ExtraTreesRegressor(12, max_depth=5, random_state=0),
        lambda: HistGradientBoostingRegressor(max_iter=2),
    ],
    ids=["tree", "forest", "extra trees", "histograms"],
)
def test_missing_values_that_were_filled_in_before_the_trees_counted(raw, target, refusal, saved, make, fill):
    gaps = raw.astype(float)
    gaps.loc[np.random.default_rng(2).random(len(raw)) < 0.05, "income"] = np.nan
    strategy = {"most frequent value": "most_frequent", "number 0": "constant"}.get(fill, fill)
    imputer = SimpleImputer(strategy=strategy, fill_value=0).fit(gaps)
    filled = pd.DataFrame(imputer.transform(gaps), columns=list(raw))
    error = refusal(make().fit(filled, target), gaps)
    # The few bins of a histogram may not tell two fills apart.
    named = f"the {fill} of" if not hasattr(make(), "max_bins") else "each column"
    assert "counted the rows of X with" in error.evidence[0]
    assert named in error.evidence[0]
    assert "preprocess=imputer" in error.call
    assert saved(make().fit(gaps, target), gaps).verify().ok


@pytest.mark.parametrize("make", [OneHotEncoder, OrdinalEncoder], ids=["one-hot", "ordinal"])
def test_categories_of_another_kind(raw, label, refusal, make):
    codes = raw.assign(plan=np.arange(len(raw)) % 3)
    options = (
        {"handle_unknown": "ignore", "sparse_output": False}
        if make is OneHotEncoder
        else {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    )
    encoder = make_column_transformer((make(**options), ["plan"]), remainder="passthrough")
    model = make_pipeline(encoder, KNeighborsClassifier()).fit(codes, label)
    frame = raw.assign(plan=codes["plan"].map({0: "free", 1: "basic", 2: "pro"}))
    error = refusal(model, frame, raw_inputs=True)
    assert (
        "learned the categories 0, 1, 2 for 'plan', in which X has text such as 'free'" in error.evidence[0]
    )


def test_every_finding_says_what_is_missing_and_the_call():
    error = ForgottenPreprocessingError(["it is scaled"], "afterfit.save(...)", "raw_inputs=True")
    assert str(error) == (
        "a step of preprocessing is missing: it is scaled. Make the call afterfit.save(...). If X is raw and the "
        "model was fitted on rows like it, say raw_inputs=True"
    )
