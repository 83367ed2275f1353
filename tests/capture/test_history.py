"""Histories as the libraries keep them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from afterfit.capture._history import history_entries, read_history
from afterfit.errors import ArgumentError
from afterfit.tracking import encode_curves

X, y = load_iris(return_X_y=True)

LOSS, VAL = [3.0, 2.0, 1.5], [3.25, 2.5, 2.75]
BOTH = {"loss": {"train": tuple(LOSS), "validation": tuple(VAL)}}


@pytest.mark.parametrize(
    "history",
    [
        SimpleNamespace(history={"loss": LOSS, "val_loss": VAL}, epoch=[0, 1, 2]),
        {"loss": LOSS, "val_loss": VAL},
        {"train/loss": LOSS, "val/loss": VAL},
        {"train_loss": np.array(LOSS, np.float32), "valid_loss": tuple(VAL)},
        {"training": {"loss": LOSS}, "validation": {"loss": VAL}},
        {"learn": {"loss": LOSS}, "validation": {"loss": VAL}},
        {"loss": {"train": LOSS, "val": VAL}},
        pd.DataFrame({"loss": LOSS, "val_loss": VAL}),
        pd.DataFrame({"epoch": [0, 1, 2], "loss": LOSS, "val_loss": VAL}).set_index("epoch"),
        pl.DataFrame({"epoch": [0, 1, 2], "val_loss": VAL, "loss": LOSS}),
        pl.DataFrame({"loss": LOSS, "val_loss": VAL}).to_arrow(),
        [{"step": i, "loss": a, "eval_loss": b} for i, (a, b) in enumerate(zip(LOSS, VAL, strict=True))],
    ],
    ids=lambda history: type(history).__name__,
)
def test_one_form_for_all(history: Any):
    curves = read_history(history)
    assert curves.metrics == BOTH
    assert curves.step == (0.0, 1.0, 2.0)


def test_the_same_history_gives_the_same_bytes_in_any_order():
    entries = history_entries({"loss": LOSS, "val_loss": VAL})
    assert entries == history_entries({"val_loss": VAL, "loss": LOSS})
    assert set(entries) == {"training/history.json", "training/curves.svg"}
    assert entries["training/history.json"] == (
        b'{"metrics":{"loss":{"train":[3.0,2.0,1.5],"validation":[3.25,2.5,2.75]}},"step":[0,1,2],"unit":"step"}'
    )


NAMES = st.text("valtrinos_/-. 1é$", min_size=1, max_size=8)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(1, 6).flatmap(
        lambda n: st.dictionaries(
            NAMES, st.lists(st.none() | st.floats(), min_size=n, max_size=n), min_size=1, max_size=4
        )
    )
)
def test_values_come_back_exactly_and_our_own_form_is_taken(history: dict[str, list[float | None]]):
    curves = read_history(history)
    kept = [repr(values) for sets in curves.metrics.values() for values in sets.values()]
    assert sorted(kept) == sorted(repr(tuple(values)) for values in history.values())
    document = {"unit": curves.unit, "step": curves.step, "metrics": curves.metrics}
    assert encode_curves(read_history(document)) == encode_curves(curves)


def test_boosters_keep_the_names_of_their_sets():
    curves = read_history({"validation_0": {"auc": LOSS}, "validation_1": {"auc": VAL, "logloss": VAL}})
    assert curves.unit == "iteration"
    assert set(curves.metrics["auc"]) == {"validation_0", "validation_1"}
    assert set(curves.metrics["logloss"]) == {"validation_1"}


def test_gaps_are_gaps_and_nan_is_a_value():
    assert read_history({"loss": [1.0, None, math.nan]}).metrics["loss"]["train"][1] is None
    assert math.isnan(read_history({"loss": [1.0, math.nan]}).metrics["loss"]["train"][1])
    frame = pd.DataFrame({"loss": [1.0, np.nan]})
    assert read_history(frame).metrics["loss"]["train"] == (1.0, None)
    records = [{"step": 10, "loss": 1.0}, {"step": 20, "eval_loss": 2.0}]
    curves = read_history(records)
    assert curves.step == (10.0, 20.0)
    assert curves.metrics == {"loss": {"train": (1.0, None), "validation": (None, 2.0)}}


def test_two_columns_that_mean_the_same_are_both_kept():
    curves = read_history({"loss": [1.0], "train_loss": [2.0]})
    assert curves.metrics == {"loss": {"train": (1.0,)}, "train_loss": {"train": (2.0,)}}


def test_estimators_that_kept_their_curve():
    mlp = MLPClassifier((4,), max_iter=4, early_stopping=True, random_state=0)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        pipeline = make_pipeline(StandardScaler(), mlp).fit(X, y)
    curves = read_history(pipeline)
    assert curves.metrics["loss"]["train"] == tuple(mlp.loss_curve_)
    assert curves.metrics["accuracy"]["validation"] == tuple(mlp.validation_scores_)
    assert curves.unit == "epoch"
    assert read_history(mlp.loss_curve_).metrics == {"loss": curves.metrics["loss"]}
    trees = GradientBoostingClassifier(n_estimators=3).fit(X, y)
    assert read_history(trees).metrics == {"loss": {"train": tuple(trees.train_score_)}}
    hist = HistGradientBoostingClassifier(max_iter=5, early_stopping=True).fit(X, y)
    assert read_history(hist).metrics == {
        "negative_loss": {"train": tuple(hist.train_score_), "validation": tuple(hist.validation_score_)}
    }


def test_boosters_themselves():
    xgboost = pytest.importorskip("xgboost", reason="an extra")
    lightgbm = pytest.importorskip("lightgbm", reason="an extra")
    catboost = pytest.importorskip("catboost", reason="an extra")
    two = y[:100]
    model = xgboost.XGBClassifier(n_estimators=3).fit(X[:100], two, eval_set=[(X[:100], two)], verbose=0)
    assert read_history(model) == read_history(model.evals_result())
    recorded: dict[str, Any] = {}
    rows = lightgbm.Dataset(X[:100], two)
    callbacks = [lightgbm.record_evaluation(recorded)]
    settings = {"objective": "binary", "verbose": -1}
    lightgbm.train(settings, rows, 3, valid_sets=[rows], valid_names=["train"], callbacks=callbacks)
    assert set(read_history(recorded).metrics) == {"binary_logloss"}
    cat = catboost.CatBoostClassifier(3, verbose=0, allow_writing_files=False)
    cat.fit(X[:100], two, eval_set=(X[:100], two))
    assert set(read_history(cat).metrics["Logloss"]) == {"train", "validation"}


def test_every_mistake_is_listed_at_once():
    with pytest.raises(ArgumentError) as caught:
        read_history({"loss": [1.0, "x", True], "val_loss": [1.0], "auc": 3, "big": [1, 2, 2**53 + 1]})
    message = str(caught.value)
    for part in (
        "'loss' holds 'x' at position 1, which is no number, as are 1 more",
        "'val_loss' has 1 values for 3 steps; write None where a step has none",
        "'auc' is 3; give a list",
        "'big' holds 9007199254740993 at position 2",
    ):
        assert part in message


@pytest.mark.parametrize(
    "history",
    [{}, [], {"loss": []}, "loss", 3, SimpleNamespace(history={}, epoch=[]), [{}], {"a": [1.0], "b": {}}],
    ids=repr,
)
def test_what_holds_no_curve_is_refused(history: Any):
    with pytest.raises(ArgumentError, match="history"):
        read_history(history)


def test_an_estimator_without_a_curve_is_named():
    with pytest.raises(ArgumentError, match="LogisticRegression that holds no curve"):
        read_history(LogisticRegression())
