"""The checks themselves: they pass what is right, and every one of them can fail."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import CategoricalNB
from sklearn.neighbors import RadiusNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OrdinalEncoder

import afterfit
from afterfit import capture
from afterfit.testing import FreshProcess, check_estimator

IRIS, KIND = load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def process():
    with FreshProcess() as process:
        yield process


def test_an_estimator_that_is_not_fitted_is_fitted_as_a_copy(process):
    model = LogisticRegression(max_iter=1000)
    report = check_estimator(model, IRIS, KIND, rows=[IRIS[:7]], process=process)
    assert not hasattr(model, "coef_")
    assert report.outputs == ("prediction", "probabilities")
    kept, held_out = 113, 37
    assert report.rows == 3 * kept + held_out + 7
    assert report.skipped == ()
    assert report.max_error <= report.relative == 1e-9


def test_a_fitted_estimator_is_left_as_it_is(process, tmp_path):
    model = Ridge().fit(IRIS, KIND)
    coefficients = model.coef_.copy()
    report = check_estimator(model, IRIS, KIND, path=tmp_path / "m.afit", process=process)
    assert (model.coef_ == coefficients).all()
    assert report.rows == 3 * len(IRIS)
    assert afterfit.load(tmp_path / "m.afit").verify().ok


def test_text_and_gaps_are_compared(process):
    table = pd.DataFrame({"a": ["x", None, "y", "x"] * 10, "b": ["1", "2", "3", None] * 10})
    report = check_estimator(SimpleImputer(strategy="most_frequent"), table, process=process)
    assert report.outputs == ("transformed",)


def test_preprocessing_and_target_scaling_are_part_of_the_answer(process):
    from sklearn.preprocessing import StandardScaler

    scaler, units = StandardScaler().fit(IRIS), StandardScaler().fit(IRIS[:, :1] * 40)
    model = Ridge().fit(scaler.transform(IRIS), units.transform(IRIS[:, :1] * 40).ravel())
    report = check_estimator(model, IRIS, preprocess=scaler, postprocess=units, process=process)
    assert report.rows == 3 * len(IRIS)


def test_a_model_that_answers_otherwise_is_found(process, monkeypatch):
    save = capture.save

    def save_and_change(model, *arguments, **options):
        saved = save(model, *arguments, **options)
        model.coef_ = model.coef_ * (1 + 1e-7)
        return saved

    monkeypatch.setattr(capture, "save", save_and_change)
    with pytest.raises(AssertionError, match=r"Ridge: prediction of X: .* rows differ, the first is row 0"):
        check_estimator(Ridge(), IRIS, KIND, process=process)


def test_a_refusal_is_passed_on(process):
    with pytest.raises(afterfit.UnsupportedModelError, match="no class for rows without a neighbour"):
        check_estimator(RadiusNeighborsClassifier(5.0), IRIS, KIND, process=process)


def test_tables_that_are_refused_are_named(process):
    codes = np.floor(IRIS)
    report = check_estimator(make_pipeline(OrdinalEncoder()), codes, rows=[codes[::-1]], process=process)
    assert report.rows == 113 + 37 + len(codes) + 113
    assert len(report.skipped) == 1
    assert "perturbed(X)" in report.skipped[0]


def test_a_table_of_the_caller_that_the_schema_refuses_is_an_error(process):
    codes = np.floor(IRIS)
    with pytest.raises(afterfit.SchemaError):
        check_estimator(CategoricalNB(), codes, KIND, rows=[codes + 0.4], process=process)


def test_sparse_answers_are_compared(process):
    check_estimator(
        KBinsDiscretizer(3, encode="onehot", quantile_method="averaged_inverted_cdf"), IRIS, process=process
    )


def test_the_process_has_no_framework(process, tmp_path):
    saved = afterfit.save(Ridge().fit(IRIS, KIND), tmp_path / "m.afit", X=IRIS)
    packed = afterfit.schema.pack_table(saved.schema, IRIS)
    got = process.answer(tmp_path / "m.afit", packed, ["prediction"], without=["mypackage"])
    assert np.array_equal(got["prediction"], saved.predict(IRIS))
    with pytest.raises(AssertionError, match="answering imports afterfit"):
        process.answer(tmp_path / "m.afit", packed, ["prediction"], without=["afterfit"])


def test_a_bundle_that_does_not_answer_there_is_found(process, tmp_path):
    (tmp_path / "broken.afit").write_bytes(b"not a bundle")
    with pytest.raises(AssertionError, match="BundleFormatError"):
        process.answer(tmp_path / "broken.afit", {}, [])


def test_a_process_that_ends_is_named(tmp_path):
    with FreshProcess() as process:
        process._process.kill()
        with pytest.raises(AssertionError, match="ended with exit code"):
            process.answer(tmp_path / "m.afit", {}, [])
    with pytest.raises(AssertionError, match="was closed"):
        process.answer(tmp_path / "m.afit", {}, [])


def test_an_answer_that_takes_too_long_is_given_up(tmp_path):
    with FreshProcess(timeout=0.0) as process, pytest.raises(AssertionError, match="after 0 seconds"):
        process.answer(tmp_path / "m.afit", {"number": np.zeros((10, 10))}, [])


def test_importing_it_needs_no_test_framework_and_no_other():
    script = (
        "import sys, afterfit.testing; print({'pytest', 'sklearn', 'spox', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
