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


@pytest.mark.filterwarnings("ignore")
def test_lightning(tmp_path: Path):
    lightning = pytest.importorskip("lightning.pytorch", reason="lightning is not installed")
    import torch

    told: list[tuple[str, int, float]] = []

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def loss(self, batch):
            return ((self.layer(batch[0])[:, 0] - batch[1]) ** 2).mean()

        def training_step(self, batch, number):
            loss = self.loss(batch)
            self.log("loss", loss, on_step=False, on_epoch=True)
            if self.current_epoch == 0:
                self.log("first", 1.5, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch, number):
            self.log("val_loss", self.loss(batch))

        def on_train_epoch_end(self):
            self.log("late", float(self.current_epoch))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    class Told(lightning.Callback):
        def on_validation_end(self, trainer, module):
            if not trainer.sanity_checking:
                told.append(("val_loss", trainer.current_epoch, trainer.callback_metrics["val_loss"].item()))

        def on_train_epoch_end(self, trainer, module):
            told.append(("loss", trainer.current_epoch, trainer.callback_metrics["loss"].item()))

    rows = torch.utils.data.TensorDataset(torch.tensor(X, dtype=torch.float32), torch.tensor(y).float())
    batches = torch.utils.data.DataLoader(rows, batch_size=16)
    with afterfit.run("network") as run:
        trainer = lightning.Trainer(
            max_epochs=4, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, check_val_every_n_epoch=2, default_root_dir=tmp_path,
            callbacks=[run.lightning_callback(), Told()],
        )  # fmt: skip
        trainer.fit(Module(), batches, batches)
    series = read_run(run.folder).series
    assert set(series) == {"loss", "val_loss", "late", "first"}
    for name in ("loss", "val_loss"):
        logged = list(zip(series[name].step.tolist(), series[name].value.tolist(), strict=True))
        assert logged == [(epoch, value) for metric, epoch, value in told if metric == name]
    # Neither an evaluation nor anything else is told again in an epoch that did not compute it.
    assert series["val_loss"].step.tolist() == [1, 3]
    assert (series["first"].step.tolist(), series["late"].step.tolist()) == ([0], [0, 1, 2, 3])
    assert series["late"].value.tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.filterwarnings("ignore:The argument 'eval_set' is deprecated")
def test_estimators_and_cross_validation_of_boosters():
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    with afterfit.run("xgboost") as run:
        booster = xgboost.XGBRegressor(n_estimators=3, n_jobs=1, callbacks=[run.xgboost_callback()])
        booster.fit(X, y, eval_set=[(X, y)], verbose=False)
        xgboost.cv({"nthread": 1}, xgboost.DMatrix(X, y), 2, nfold=2, callbacks=[run.xgboost_callback()])
    series = read_run(run.folder).series
    assert series["validation_0_rmse"].value.tolist() == booster.evals_result()["validation_0"]["rmse"]
    assert series["test_rmse"].step.tolist() == [0, 1]
    with afterfit.run("lightgbm") as run:
        booster = lightgbm.LGBMRegressor(n_estimators=3, n_jobs=1, verbose=-1)
        booster.fit(X, y, eval_set=[(X, y)], eval_names=["held"], callbacks=[run.lightgbm_callback()])
        lightgbm.cv(
            {"verbose": -1, "num_threads": 1, "objective": "l2"}, lightgbm.Dataset(X, y), 2, nfold=2,
            stratified=False, callbacks=[run.lightgbm_callback()],
        )  # fmt: skip
    series = read_run(run.folder).series
    assert series["held_l2"].value.tolist() == booster.evals_result_["held"]["l2"]
    assert series["valid_l2"].step.tolist() == [0, 1]


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


def test_the_rounds_of_a_halving_search_are_told_apart():
    pytest.importorskip(
        "sklearn.experimental.enable_halving_search_cv", reason="scikit-learn is not installed"
    )
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import HalvingGridSearchCV

    with afterfit.run("search") as run:
        search = HalvingGridSearchCV(Ridge(), {"alpha": [0.1, 1.0, 10.0]}, cv=3, factor=2)
        with run.search(search) as halving:
            halving.fit(X, y)
    index = RunIndex(runs_folder())
    index.refresh()
    assert index.select(f"parent = '{run.id}' and tags.iter = 0")[1] == 3
    assert index.select(f"parent = '{run.id}' and tags.iter = 1")[1] == 2
