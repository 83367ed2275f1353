"""Files of gradient boosting libraries, read as the library reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine

import afterfit
from afterfit.capture._adopt._allowed import AllowList
from afterfit.capture._adopt._sources import kind_of_file, load_object
from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from pathlib import Path

X, y = load_breast_cancer(return_X_y=True)


@pytest.mark.parametrize(
    ("library", "name"), [("xgboost", "XGB"), ("lightgbm", "LGBM"), ("catboost", "CatBoost")]
)
def test_a_file_becomes_a_bundle(library: str, name: str, tmp_path: Path):
    framework = pytest.importorskip(library, reason="an extra")
    silent = {"catboost": {"verbose": 0, "allow_writing_files": False}, "lightgbm": {"verbose": -1}}
    rows, target = load_wine(return_X_y=True, as_frame=True)
    model = getattr(framework, f"{name}Classifier")(n_estimators=4, **silent.get(library, {})).fit(
        rows, target
    )
    path = tmp_path / {"xgboost": "m.ubj", "lightgbm": "m.txt", "catboost": "m.cbm"}[library]
    (model.booster_ if library == "lightgbm" else model).save_model(str(path))
    rows.assign(target=target).to_csv(tmp_path / "rows.csv", index=False)
    adopted = afterfit.adopt(path, tmp_path / "m.afit", rows=tmp_path / "rows.csv", target="target")
    answers = adopted.predict(rows)
    if answers.ndim == 2:
        answers = answers.argmax(axis=1)
    np.testing.assert_array_equal(answers, model.predict(rows).ravel())


@pytest.mark.parametrize("suffix", [".json", ".ubj"])
def test_xgboost(suffix: str, tmp_path: Path):
    xgboost = pytest.importorskip("xgboost", reason="an extra")
    booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(X, y), 3)
    path = tmp_path / f"model{suffix}"
    booster.save_model(path)
    assert kind_of_file(path) == "xgboost"
    again, _ = load_object(path, None, AllowList(path.name))
    np.testing.assert_array_equal(again.predict(xgboost.DMatrix(X)), booster.predict(xgboost.DMatrix(X)))


def test_what_a_wrapper_of_xgboost_saved_answers_as_the_wrapper(tmp_path: Path):
    xgboost = pytest.importorskip("xgboost", reason="an extra")
    model = xgboost.XGBClassifier(n_estimators=3).fit(X, y)
    model.save_model(tmp_path / "model.json")
    again, _ = load_object(tmp_path / "model.json", None, AllowList("model.json"))
    assert type(again) is xgboost.XGBClassifier
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_lightgbm(tmp_path: Path):
    lightgbm = pytest.importorskip("lightgbm", reason="an extra")
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(X, y), 3)
    path = tmp_path / "model.txt"
    booster.save_model(path)
    assert kind_of_file(path) == "lightgbm"
    again, _ = load_object(path, None, AllowList(path.name))
    np.testing.assert_array_equal(again.predict(X), booster.predict(X))


@pytest.mark.parametrize("form", ["cbm", "json"])
def test_catboost(form: str, tmp_path: Path):
    catboost = pytest.importorskip("catboost", reason="an extra")
    model = catboost.CatBoostClassifier(3, verbose=0, allow_writing_files=False).fit(X, y)
    path = tmp_path / f"model.{form}"
    model.save_model(str(path), format=form)
    assert kind_of_file(path) == "catboost"
    again, _ = load_object(path, None, AllowList(path.name))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("library", "name", "content"),
    [
        ("xgboost", "m.json", b'{"learner": 3}'),
        ("xgboost", "m.ubj", b"{L\x00"),
        ("lightgbm", "m.txt", b"tree\nversion=v4\nnonsense"),
        ("catboost", "m.cbm", b"CBM1\xff\xff\xff\xff"),
    ],
)
def test_damaged_files_are_refused(library: str, name: str, content: bytes, tmp_path: Path):
    pytest.importorskip(library, reason="an extra")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArgumentError, match=f"{library} cannot read {name}"):
        load_object(tmp_path / name, None, AllowList(name))
