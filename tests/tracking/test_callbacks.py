"""What training libraries report is on record, whichever library it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import afterfit
from afterfit.errors import ArgumentError
from afterfit.tracking import RunIndex, read_run, runs_folder
from afterfit.tracking._callbacks import _imported

X = np.random.default_rng(0).random((80, 3))
y = X[:, 0] * 2 + X[:, 1]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AFTERFIT_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_xgboost():
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    data = xgboost.DMatrix(X, y)
    told: dict = {}
    with afterfit.run("boosted") as run:
        xgboost.train(
            {"nthread": 1}, data, 5, evals=[(data, "train")], evals_result=told, verbose_eval=False,
            callbacks=[run.xgboost_callback()],
        )  # fmt: skip
    series = read_run(run.folder).series["train_rmse"]
    assert (series.step.tolist(), series.value.tolist()) == ([0, 1, 2, 3, 4], told["train"]["rmse"])


def test_lightgbm():
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    told: dict = {}
    data = lightgbm.Dataset(X, y, free_raw_data=False)
    with afterfit.run("boosted") as run:
        lightgbm.train(
            {"verbose": -1, "num_threads": 1, "metric": "l2"}, data, 5, valid_sets=[data], valid_names=["held"],
            callbacks=[run.lightgbm_callback(), lightgbm.record_evaluation(told)],
        )  # fmt: skip
    assert read_run(run.folder).series["held_l2"].value.tolist() == told["held"]["l2"]


def test_keras(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="keras is not installed")
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(loss="mse", optimizer="sgd")
    with afterfit.run("network") as run:
        told = model.fit(X, y, epochs=3, verbose=0, validation_split=0.2, callbacks=[run.keras_callback()])
    record = read_run(run.folder)
    assert record.series["loss"].value.tolist() == told.history["loss"]
    assert record.series["val_loss"].step.tolist() == [0, 1, 2]


def test_lightning():
    lightning = pytest.importorskip("lightning.pytorch", reason="lightning is not installed")
    assert isinstance(afterfit.run("lightning").lightning_callback(), lightning.Callback)


def test_each_candidate_of_a_search_is_a_child_run():
    selection = pytest.importorskip("sklearn.model_selection", reason="scikit-learn is not installed")
    from sklearn.linear_model import Ridge

    with afterfit.run("search") as run:
        with run.search(selection.GridSearchCV(Ridge(), {"alpha": [0.1, 1.0, 10.0]}, cv=4)) as search:
            search.fit(X, y)
        with pytest.raises(ArgumentError, match="not fitted"), run.search(search.estimator):
            pass
    index = RunIndex(runs_folder())
    index.refresh()
    children, count = index.select(f"parent = '{run.id}'", sort="mean_test_score")
    assert count == 3
    assert children[0].params == search.best_params_
    folds = read_run(runs_folder() / children[0].attributes["id"]).series["test_score"]
    assert (folds.step.tolist(), len(folds.value)) == ([0, 1, 2, 3], 4)


def test_a_library_that_is_not_imported_is_not_imported_for_a_callback():
    with pytest.raises(ArgumentError, match="is not imported"):
        _imported("a_library_that_nobody_has")
