"""The save workflow: what it proves, what it refuses, and what it leaves behind."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import spox.opset.ai.onnx.v21 as op
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)

import afterfit
from afterfit.lowering import Table, _registry, constant

ROWS = 80


@pytest.fixture(autouse=True)
def lowerings_are_registered() -> None:
    """So that a test may put a wrong one in the place of a right one."""
    assert "sklearn.preprocessing.StandardScaler" in _registry.registered()


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age (years)": rng.integers(18, 90, ROWS),
            "income": np.where(rng.random(ROWS) < 0.1, np.nan, rng.normal(50_000, 9_000, ROWS)),
            "member": rng.random(ROWS) < 0.5,
            "plan": rng.choice(["basic", "001", "größe"], ROWS),
            "joined": pd.date_range("2020-01-01", periods=ROWS),
            "note": rng.choice(["x", "y"], ROWS),
        }
    )


@pytest.fixture
def labels() -> np.ndarray:
    return np.where(np.random.default_rng(1).random(ROWS) < 0.5, "stay", "leave")


def pipeline() -> Pipeline:
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age (years)", "income"]),
        (OneHotEncoder(handle_unknown="error"), ["plan"]),
        ("passthrough", ["member"]),
    )
    return Pipeline([("prep", columns), ("model", LogisticRegression())])


@pytest.fixture
def fitted(frame: pd.DataFrame, labels: np.ndarray) -> Pipeline:
    return pipeline().fit(frame, labels)


def test_what_is_saved_answers_as_the_model_in_memory(fitted: Pipeline, frame: pd.DataFrame, tmp_path: Path):
    model = afterfit.save(fitted, tmp_path / "churn.afit", X=frame, description="who leaves")
    again = afterfit.load(tmp_path / "churn.afit")
    for loaded in (model, again):
        assert (loaded.predict(frame) == fitted.predict(frame)).all()
        assert np.abs(loaded.predict_proba(frame) - fitted.predict_proba(frame)).max() < 1e-15
        assert loaded.classes.tolist() == ["leave", "stay"]
        assert loaded.verify().ok
    assert model.name == "churn"
    assert model.task == "classification"
    assert model.manifest.description == "who leaves"
    assert model.report.rows == ROWS
    assert model.report.golden_rows == model.verify().golden_rows
    assert model.manifest.framework.name == "scikit-learn"


def test_the_schema_says_what_the_pipeline_takes(fitted: Pipeline, frame: pd.DataFrame, tmp_path: Path):
    schema = afterfit.save(fitted, tmp_path / "m.afit", X=frame).schema
    assert [column.name for column in schema.columns] == list(frame.columns)
    age, income, member, plan = (schema.column(name) for name in ("age (years)", "income", "member", "plan"))
    assert (age.type, age.nullable) == ("integer", True), "the imputer answers for a missing age"
    assert (income.type, income.nullable) == ("float", True)
    assert (member.type, member.nullable) == ("boolean", False), "a model without imputation refuses a gap"
    assert (plan.type, plan.nullable) == ("string", False)
    assert plan.categories is not None
    assert set(plan.categories.values) == {"basic", "001", "größe"}
    assert not plan.categories.open
    assert age.range == (frame["age (years)"].min(), frame["age (years)"].max())
    assert {column.name for column in schema.columns if column.input is None} == {"joined", "note"}


def test_columns_the_model_never_reads_may_be_sent_or_left_out(
    fitted: Pipeline, frame: pd.DataFrame, tmp_path: Path
):
    model = afterfit.save(fitted, tmp_path / "m.afit", X=frame)
    row = {"age (years)": 40, "income": None, "member": True, "plan": "001"}
    assert model.predict([row]) == model.predict([{**row, "joined": "2020-01-01", "note": None}])
    assert (model.predict(frame.drop(columns=["joined", "note"])) == fitted.predict(frame)).all()


def test_golden_rows_hold_missing_values_unknown_categories_and_extremes(
    frame: pd.DataFrame, labels: np.ndarray, tmp_path: Path
):
    open_categories = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["income"]),
        (OneHotEncoder(handle_unknown="ignore"), ["plan"]),
    )
    fitted = make_pipeline(open_categories, LogisticRegression()).fit(frame, labels)
    golden = afterfit.save(fitted, tmp_path / "m.afit", X=frame).bundle.golden
    plans = {row.input["plan"] for row in golden}
    incomes = [row.input["income"] for row in golden if row.input["income"] is not None]
    assert {None, "", "None", "nan", "001", "a category that was never seen"} <= plans
    assert None in {row.input["income"] for row in golden}
    assert min(incomes) < frame["income"].min()
    assert max(incomes) > frame["income"].max()
    assert {frame["income"].min(), frame["income"].max()} <= set(incomes)
    assert any(row.input["plan"] is None and row.input["income"] is None for row in golden)


def test_the_same_model_and_rows_give_the_same_bytes(fitted: Pipeline, frame: pd.DataFrame, tmp_path: Path):
    first = afterfit.save(fitted, tmp_path / "a.afit", X=frame, name="m")
    second = afterfit.save(fitted, tmp_path / "b.afit", X=frame, name="m")
    assert (tmp_path / "a.afit").read_bytes() == (tmp_path / "b.afit").read_bytes()
    assert first.version == second.version


def test_a_wrong_lowering_is_found_and_the_first_step_that_parts_is_named(
    fitted: Pipeline, frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def wrong(estimator: Any, X: Table, context: Any) -> Table:
        shifted = op.add(context.numbers(estimator, X), constant(1e-9))
        return Table.of(
            op.div(op.sub(shifted, constant(estimator.mean_)), constant(estimator.scale_)), X.width
        )

    monkeypatch.setitem(_registry._LOWERINGS, "sklearn.preprocessing.StandardScaler", wrong)
    with pytest.raises(afterfit.ParityError) as caught:
        afterfit.save(fitted, tmp_path / "m.afit", X=frame)
    error = caught.value
    assert error.step == "prep -> pipeline -> standardscaler (StandardScaler)"
    assert error.row == "row 0 of X"
    assert error.expected != error.got
    assert "Nothing was written" in str(error)
    assert list(tmp_path.iterdir()) == []


def test_a_difference_that_only_golden_rows_show_is_found(
    frame: pd.DataFrame, labels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame[["age (years)"]], labels)

    def wrong(estimator: Any, X: Table, context: Any) -> Table:
        clipped = op.max([context.numbers(estimator, X), constant(18.0)])
        return Table.of(op.div(op.sub(clipped, constant(estimator.mean_)), constant(estimator.scale_)), 1)

    monkeypatch.setitem(_registry._LOWERINGS, "sklearn.preprocessing.StandardScaler", wrong)
    with pytest.raises(afterfit.ParityError, match="golden row made of row"):
        afterfit.save(fitted, tmp_path / "m.afit", X=frame[["age (years)"]])


class Homemade(LogisticRegression):
    """An estimator that nothing lowers."""


def test_what_was_there_stays_when_saving_fails(
    fitted: Pipeline, frame: pd.DataFrame, labels: np.ndarray, tmp_path: Path
):
    path = tmp_path / "m.afit"
    afterfit.save(fitted, path, X=frame)
    before = path.read_bytes()
    age = frame[["age (years)"]]
    with pytest.raises(afterfit.UnsupportedModelError):
        afterfit.save(Pipeline([("own", Homemade())]).fit(age, labels), path, X=age)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_estimator_without_a_lowering_is_refused_by_name_and_place(
    frame: pd.DataFrame, labels: np.ndarray, tmp_path: Path
):
    fitted = Pipeline([("scale", StandardScaler()), ("own", Homemade())]).fit(frame[["age (years)"]], labels)
    with pytest.raises(afterfit.UnsupportedModelError) as caught:
        afterfit.save(fitted, tmp_path / "m.afit", X=frame[["age (years)"]])
    assert caught.value.estimator == "Homemade"
    assert caught.value.where == "own"
    assert caught.value.way_out in str(caught.value)


def test_preprocessing_applied_by_hand_and_target_scaling_are_saved_with_the_model(tmp_path: Path):
    rng = np.random.default_rng(0)
    raw = pd.DataFrame({"rooms": rng.normal(6, 1, ROWS), "area": rng.normal(90, 30, ROWS)})
    price = raw["area"].to_numpy() * 3000 + rng.normal(0, 100, ROWS)
    features, target = MinMaxScaler().fit(raw), StandardScaler().fit(price[:, None])
    bare = LinearRegression().fit(features.transform(raw), target.transform(price[:, None]).ravel())
    model = afterfit.save(bare, tmp_path / "m.afit", X=raw, preprocess=features, postprocess=target)
    expected = target.inverse_transform(bare.predict(features.transform(raw))[:, None]).ravel()
    assert np.abs(model.predict(raw) - expected).max() <= 1e-12 * np.abs(expected).max()
    assert model.task == "regression"


@pytest.mark.parametrize("kept", [1, 2])
def test_postprocess_may_change_the_number_of_targets(tmp_path: Path, kept: int):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, 4))
    targets = X @ rng.normal(size=(4, 3)) + rng.normal(size=(ROWS, 3))
    projection = PCA(kept).fit(targets)
    projected = projection.transform(targets)
    bare = LinearRegression().fit(X, projected if kept > 1 else projected[:, 0])
    model = afterfit.save(bare, tmp_path / "m.afit", X=X, postprocess=projection)
    expected = projection.inverse_transform(bare.predict(2 * X).reshape(-1, kept))
    np.testing.assert_allclose(model.predict(2 * X), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("off", [1e-9, -6e-8, 2.0**-52])
def test_scales_within_float32_of_one_are_kept(tmp_path: Path, off: float):
    """ONNX Runtime drops a scalar factor that float32 rounds to 1."""
    X = np.linspace(1.0, 2.0, ROWS)[:, None]
    for scaler in (StandardScaler(with_mean=False), MinMaxScaler()):
        scaler.fit(X)
        scaler.scale_ = np.array([1.0 + off])
        model = afterfit.save(scaler, tmp_path / "m.afit", X=X)
        np.testing.assert_array_equal(model.transform(X), scaler.transform(X))


def test_text_that_ends_in_nul_is_told_from_text_that_does_not(tmp_path: Path):
    frame = pd.DataFrame({"t": ["a\0", "a", "b", "a\0\0"] * 20}, dtype=object)
    labels = np.array(["u\0", "u", "v", "u\0\0"] * 20, dtype=object)
    encoder = OneHotEncoder(handle_unknown="ignore")
    pipeline = make_pipeline(encoder, LogisticRegression(C=100)).fit(frame, labels)
    model = afterfit.save(pipeline, tmp_path / "m.afit", X=frame)
    assert model.predict(frame).tolist() == pipeline.predict(frame).tolist()
    assert model.predict(frame).tolist() == labels.tolist()


def test_a_transformer_is_saved_and_transforms(frame: pd.DataFrame, tmp_path: Path):
    scaler = make_pipeline(SimpleImputer(), MinMaxScaler()).fit(frame[["age (years)", "income"]])
    model = afterfit.save(scaler, tmp_path / "m.afit", X=frame[["age (years)", "income"]])
    assert np.array_equal(model.transform(frame), scaler.transform(frame[["age (years)", "income"]]))
    with pytest.raises(afterfit.ArgumentError, match="offers transform"):
        model.predict(frame)


def test_a_transformer_of_text_tells_missing_from_empty(tmp_path: Path):
    frame = pd.DataFrame({"t": ["a", None, "", "None", "\x1a", "a"]}, dtype=object)
    imputer = SimpleImputer(strategy="constant", missing_values=None, fill_value="\x1a?").fit(frame)
    model = afterfit.save(imputer, tmp_path / "m.afit", X=frame)
    assert model.transform(frame).ravel().tolist() == ["a", "\x1a?", "", "None", "\x1a", "a"]
    assert model.verify().ok


def test_a_classifier_without_probabilities_is_saved_with_its_scores(
    frame: pd.DataFrame, labels: np.ndarray, tmp_path: Path
):
    fitted = make_pipeline(StandardScaler(), SGDClassifier(random_state=0)).fit(
        frame[["age (years)"]], labels
    )
    model = afterfit.save(fitted, tmp_path / "m.afit", X=frame[["age (years)"]])
    assert (model.predict(frame) == fitted.predict(frame[["age (years)"]])).all()
    with pytest.raises(afterfit.ArgumentError, match="predict_proba"):
        model.predict_proba(frame)


@pytest.mark.parametrize("kind", ["pandas", "arrow-backed", "polars", "pyarrow", "rows", "array"])
def test_x_may_come_in_any_table(kind: str, tmp_path: Path):
    rng = np.random.default_rng(0)
    pandas = pd.DataFrame({"x": rng.normal(size=ROWS), "n": rng.integers(0, 9, ROWS).astype(float)})
    fitted = make_pipeline(SimpleImputer(), StandardScaler(), LinearRegression())
    tables: dict[str, Any] = {
        "pandas": pandas,
        "arrow-backed": pandas.convert_dtypes(dtype_backend="pyarrow"),
        "polars": pl.from_pandas(pandas),
        "pyarrow": pa.Table.from_pandas(pandas),
        "rows": pandas.to_dict("records"),
        "array": pandas.to_numpy(),
    }
    fitted.fit(pandas if kind in {"pyarrow", "rows"} else tables[kind], rng.normal(size=ROWS))
    model = afterfit.save(fitted, tmp_path / "m.afit", X=tables[kind])
    expected = fitted.predict(pandas if kind in {"pyarrow", "rows"} else tables[kind])
    assert np.abs(model.predict(tables[kind]) - expected).max() < 1e-12


def test_the_training_log_is_kept_as_plain_data(fitted: Pipeline, frame: pd.DataFrame, tmp_path: Path):
    afterfit.save(
        fitted,
        tmp_path / "m.afit",
        X=frame,
        params={"C": np.float64(1.0)},
        metrics={"accuracy": 0.9},
        history={"loss": [0.5, np.float32(0.25)]},
    )
    with zipfile.ZipFile(tmp_path / "m.afit") as bundle:
        assert json.loads(bundle.read("training/params.json")) == {"C": 1.0}
        assert json.loads(bundle.read("training/metrics.json")) == {"accuracy": 0.9}
        assert json.loads(bundle.read("training/history.json")) == {"loss": [0.5, 0.25]}


def test_the_profile_describes_the_columns_read(fitted: Pipeline, frame: pd.DataFrame, tmp_path: Path):
    model = afterfit.save(fitted, tmp_path / "m.afit", X=frame)
    profile = json.loads(model.bundle.entries["profile.json"])
    assert profile["rows"] == ROWS
    assert set(profile["columns"]) == {"age (years)", "income", "member", "plan"}
    income = profile["columns"]["income"]
    assert income["missing"] == int(frame["income"].isna().sum())
    assert income["quantiles"][50] == pytest.approx(frame["income"].median())
    counts = {item["value"]: item["count"] for item in profile["columns"]["plan"]["values"]}
    assert counts == frame["plan"].value_counts().to_dict()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": pd.DataFrame({"a": []})}, "0 rows"),
        ({"y": [1, 2]}, "y has 2"),
        ({"params": {"model": object()}}, "plain data"),
        ({"path": "no/such/folder/m.afit"}, "does not exist"),
        ({"path": "."}, "is a folder"),
        ({"model": object()}, "neither predict nor transform"),
        ({"model": LogisticRegression()}, "cannot answer on the first rows of X"),
        ({"X": "text"}, "str"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(
    fitted: Pipeline, frame: pd.DataFrame, tmp_path: Path, arguments: dict[str, Any], message: str
):
    given = {"model": fitted, "path": tmp_path / "m.afit", "X": frame, **arguments}
    if arguments.get("model") is not None:
        given["X"] = frame[["age (years)"]]
    if isinstance(given["path"], str):
        given["path"] = tmp_path / given["path"]
    with pytest.raises(afterfit.ArgumentError, match=message):
        afterfit.save(given.pop("model"), given.pop("path"), **given)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_answers_in_a_process_without_the_framework(
    fitted: Pipeline, frame: pd.DataFrame, tmp_path: Path
):
    afterfit.save(fitted, tmp_path / "m.afit", X=frame)
    script = (
        "import sys\n"
        "for name in ('sklearn', 'scipy', 'pandas', 'spox', 'onnx', 'narwhals', 'rich', 'click', 'pyarrow'):\n"
        "    sys.modules[name] = None\n"
        "import afterfit\n"
        f"model = afterfit.load({str(tmp_path / 'm.afit')!r})\n"
        "assert model.verify().ok\n"
        "row = {'age (years)': 40, 'income': None, 'member': True, 'plan': '001'}\n"
        "print(model.predict([row])[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    row = pd.DataFrame([{"age (years)": 40, "income": np.nan, "member": True, "plan": "001"}])
    assert done.stdout.strip() == fitted.predict(row)[0]


def test_no_progress_is_written_when_standard_error_is_no_terminal(
    fitted: Pipeline, frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    captured = io.StringIO()
    monkeypatch.setattr(sys, "stderr", captured)
    afterfit.save(fitted, tmp_path / "m.afit", X=frame)
    assert captured.getvalue() == ""
