"""LightGBM: every objective, boosting and kind of column, against LightGBM itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is an extra")

COMMON: dict[str, Any] = {
    "n_estimators": 12,
    "min_child_samples": 5,
    "min_data_per_group": 5,
    "cat_smooth": 1,
    "verbose": -1,
    "n_jobs": 1,
    "random_state": 0,
}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_cat_to_onehot": 1},
        {"boosting_type": "dart", "drop_rate": 0.5},
        {"boosting_type": "rf", "subsample": 0.6, "subsample_freq": 1},
        {"data_sample_strategy": "goss"},
    ],
    ids=["trees", "sets", "dart", "rf", "goss"],
)
@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
def test_classifiers(name: str, options: Any, data: Any, agrees: Any):
    rows = data(name, missing=True, categorical=True, size=80)
    labels = np.array(["no", "yes", "perhaps"])[rows.y]
    model = lightgbm.LGBMClassifier(**{**COMMON, **options}).fit(rows.X, labels)
    saved = agrees(model, rows.X, rows.rows)
    assert saved.classes.tolist() == model.classes_.tolist()


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("options", [{}, {"boosting_type": "rf", "subsample": 0.6, "subsample_freq": 1}])
@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
def test_calibrated_by_its_scores(name: str, options: Any, method: str, data: Any, agrees: Any):
    rows = data(name, missing=True, categorical=False, size=80)
    part = lightgbm.LGBMClassifier(**{**COMMON, **options})
    agrees(CalibratedClassifierCV(part, method=method, cv=2).fit(rows.X, rows.y), rows.X, rows.rows)


def test_kinds_of_columns(kind: Any, data: Any, agrees: Any):
    rows = data("wine", **kind, size=80)
    agrees(lightgbm.LGBMClassifier(**COMMON).fit(rows.X, rows.y), rows.X, rows.rows)


@pytest.mark.parametrize(
    "objective",
    [
        "regression",
        "regression_l1",
        "huber",
        "fair",
        "poisson",
        "quantile",
        "mape",
        "gamma",
        "tweedie",
        "cross_entropy",
        "cross_entropy_lambda",
        "sqrt",
    ],
)
def test_regressors(objective: str, data: Any, agrees: Any):
    rows = data("diabetes", missing=True, categorical=True)
    y = rows.y / 400 if objective.startswith("cross") else rows.y
    options = {"reg_sqrt": True} if objective == "sqrt" else {"objective": objective}
    model = lightgbm.LGBMRegressor(**COMMON, **options).fit(rows.X, y)
    agrees(model, rows.X, rows.rows)


@pytest.mark.parametrize("objective", ["binary", "multiclass", "multiclassova", "lambdarank", "poisson"])
def test_native_boosters(objective: str, data: Any, agrees: Any):
    rows = data("wine", missing=True, categorical=True)
    y = rows.y if objective.startswith("multi") else (rows.y > 0).astype(int)
    group = [60, 60] if objective == "lambdarank" else None
    parameters = {
        "objective": objective,
        "verbose": -1,
        "min_data_in_leaf": 5,
        "sigmoid": 1.5,
        "num_threads": 1,
    }
    if objective.startswith("multi"):
        parameters["num_class"] = 3
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows.X, y, group=group), 8)
    saved = agrees(booster, rows.X, rows.rows)
    assert saved.manifest.framework.name == "lightgbm"
    assert saved.manifest.framework.version == lightgbm.__version__


def test_a_ranker(data: Any, agrees: Any):
    rows = data("wine", missing=True, categorical=True)
    model = lightgbm.LGBMRanker(**COMMON).fit(rows.X, rows.y, group=[60, 60])
    agrees(model, rows.X, rows.rows)


def test_an_objective_that_is_a_function(data: Any, agrees: Any):
    rows = data("diabetes", missing=True, categorical=False)

    def squared(y: Any, answers: Any) -> Any:
        return answers - y, np.ones_like(y)

    agrees(lightgbm.LGBMRegressor(**COMMON, objective=squared).fit(rows.X, rows.y), rows.X, rows.rows)


@pytest.mark.parametrize(
    "options",
    [{}, {"zero_as_missing": True}, {"use_missing": False}],
    ids=["nan", "zero", "none"],
)
@pytest.mark.parametrize("missing", [True, False], ids=["gaps", "whole"])
def test_what_counts_as_missing(options: Any, missing: bool, data: Any, agrees: Any):
    rows = data("diabetes", missing=missing, categorical=False)
    zeros = np.random.default_rng(0).random(rows.X.shape) < 0.3
    X = rows.X.mask(zeros & rows.X.notna(), 0.0)
    tiny = [0.0, -0.0, 1e-35, -1e-35, 1.0000000180025095e-35, -1.0000000180025095e-35, 2e-35, -2e-35, np.nan]
    beside = pd.concat([rows.rows.head(len(tiny)).assign(**{name: tiny}) for name in X.columns])
    model = lightgbm.LGBMRegressor(**COMMON, **options).fit(X, rows.y)
    agrees(model, X, beside, rows.rows)


def test_early_stopping_answers_with_the_best_iteration(data: Any, agrees: Any):
    rows = data("diabetes", missing=True, categorical=True)
    train = lightgbm.Dataset(rows.X[:80], rows.y[:80])
    booster = lightgbm.train(
        {"verbose": -1, "min_data_in_leaf": 5, "learning_rate": 0.3, "num_threads": 1},
        train,
        100,
        valid_sets=[lightgbm.Dataset(rows.X[80:], rows.y[80:], reference=train)],
        callbacks=[lightgbm.early_stopping(5, verbose=False)],
        keep_training_booster=True,
    )
    assert 0 < booster.best_iteration < booster.current_iteration()
    agrees(booster, rows.X, rows.rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_arrays_with_codes_given_as_numbers(dtype: Any, data: Any, agrees: Any):
    rows = data("diabetes", missing=False, categorical=False)
    X, more = ((table.to_numpy() * 100).astype(dtype) for table in (rows.X, rows.rows))
    more[:, 1] = np.linspace(-3, 40, len(more)).astype(dtype)
    X[:, :2] = np.abs(X[:, :2]).round()
    model = lightgbm.LGBMRegressor(**COMMON).fit(X, rows.y, categorical_feature=[0, 1])
    agrees(model, X, more)


def test_names_with_spaces(data: Any, agrees: Any):
    rows = data("diabetes", missing=False, categorical=False)
    X = rows.X.rename(columns={"bmi": "body mass index"})
    more = rows.rows.rename(columns={"bmi": "body mass index"})
    agrees(lightgbm.LGBMRegressor(**COMMON).fit(X, rows.y), X, more)


def test_kinds_of_categories(data: Any, agrees: Any):
    rows = data("breast_cancer", missing=False, categorical=False)
    draw = np.random.default_rng(0)
    X, more = (
        table.assign(
            text=pd.Categorical(
                draw.choice(["", "ä", "nan", "None", "b"], len(table)), ["b", "nan", "None", "ä", ""]
            ),
            truth=pd.Categorical(draw.choice([True, False], len(table))),
            real=pd.Categorical(draw.choice([0.5, 1.5, 7.0], len(table))),
            ordered=pd.Categorical(draw.choice(list("xyz"), len(table)), list("zxy"), ordered=True),
        )
        for table in (rows.X, rows.rows)
    )
    y = rows.y ^ (X.text == "ä") ^ (X.ordered == "x") ^ (X.real == 1.5)
    saved = agrees(lightgbm.LGBMClassifier(**COMMON).fit(X, y), X, more)
    other = more.assign(text=pd.Categorical(["never seen"] * len(more)))
    agrees(lightgbm.LGBMClassifier(**COMMON).fit(X, y), X, other)
    assert next(column for column in saved.schema.columns if column.name == "text").categories.open


def test_inside_a_pipeline(data: Any, agrees: Any):
    rows = data("breast_cancer", missing=True, categorical=True)
    columns = make_column_transformer(
        (StandardScaler(), list(rows.X.columns[:8])),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["word", "number"]),
    )
    model = make_pipeline(columns.set_output(transform="pandas"), lightgbm.LGBMClassifier(**COMMON))
    agrees(model.fit(rows.X, rows.y), rows.X, rows.rows)


def test_training_goes_on_from_the_bundle(data: Any, agrees: Any):
    rows = data("breast_cancer", missing=True, categorical=True)
    model = lightgbm.LGBMClassifier(**COMMON).fit(rows.X, rows.y)
    saved = agrees(model, rows.X, rows.rows)
    again = lightgbm.Booster(model_str=saved.bundle.entries["native/model.txt"].decode())
    np.testing.assert_array_equal(again.predict(rows.X), model.booster_.predict(rows.X))
    more = lightgbm.train({"verbose": -1}, lightgbm.Dataset(rows.X, rows.y), 3, init_model=again)
    assert more.num_trees() == 15


def test_linear_trees_are_refused(data: Any, refuses: Any):
    rows = data("diabetes", missing=False, categorical=False)
    refuses(lightgbm.LGBMRegressor(**COMMON, linear_tree=True).fit(rows.X, rows.y), rows.X, "linear_tree")


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[3] / "docs" / "boosters.md").read_text(encoding="utf-8")
    exec(compile(page.split("```python\n")[1].split("```")[0], "boosters.md", "exec"), {})
    assert (tmp_path / "wine.afit").is_file()
