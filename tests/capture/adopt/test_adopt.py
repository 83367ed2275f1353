"""Models that lie in files: adopted whole, or refused with the way out."""

from __future__ import annotations

import json
import pickle
import re
import unittest
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from click.testing import CliRunner
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.experimental import (
    enable_halving_search_cv,  # noqa: F401 - whether scikit-learn lists these must not hang on another test
    enable_iterative_imputer,  # noqa: F401
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC

import afterfit
from afterfit.capture._adopt._allowed import AllowList
from afterfit.capture._adopt._child import _check_fitted, _check_versions
from afterfit.capture._adopt._open import unpickle
from afterfit.capture._adopt._request import Request, raised, told
from afterfit.capture._adopt._rows import read_rows, split_rows
from afterfit.capture._adopt._sources import kind_of_file
from afterfit.cli import cli
from afterfit.errors import ArgumentError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
X, y = load_iris(return_X_y=True)

ESTIMATORS: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestClassifier(5, random_state=0),
    "gradient boosting": lambda: GradientBoostingClassifier(n_estimators=3, random_state=0),
    "histogram gradient boosting": lambda: HistGradientBoostingClassifier(max_iter=3),
    "stack": lambda: StackingClassifier([("svc", SVC()), ("knn", KNeighborsClassifier())], cv=2),
    "search": lambda: GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1.0]}, cv=2),
    "process": lambda: GaussianProcessRegressor(RBF() + WhiteKernel(), random_state=0),
    "linear by steps": lambda: SGDClassifier(random_state=0),
    "imputer": lambda: make_pipeline(IterativeImputer(max_iter=2), LogisticRegression(max_iter=500)),
    "network": lambda: MLPClassifier((4,), max_iter=400, tol=1e-2, random_state=0),
    "pipeline": lambda: make_pipeline(
        make_column_transformer((SplineTransformer(), [0]), (FunctionTransformer(np.log1p), [1])),
        StandardScaler(),
        LogisticRegression(max_iter=500),
    ),
}


def read(content: bytes, folder: Path) -> Any:
    path = folder / "model.joblib"
    path.write_bytes(content)
    return unpickle(path, AllowList(path.name))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_are_read_as_pickle_reads_them(name: str, tmp_path: Path):
    fitted = ESTIMATORS[name]().fit(X, y)
    for protocol in (0, 2, 5):
        again, versions = read(pickle.dumps(fitted, protocol), tmp_path)
        assert versions == {sklearn.__version__}
        np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    joblib.dump(fitted, tmp_path / "model.joblib")
    again, _ = unpickle(tmp_path / "model.joblib", AllowList("model"))
    assert vars(again).keys() == vars(fitted).keys()
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))


@pytest.mark.parametrize(
    "compress", [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3), ("lz4", 3)], ids=str
)
def test_every_compression_of_joblib(compress: Any, tmp_path: Path):
    if compress and compress[0] == "lz4":
        pytest.importorskip("lz4", reason="joblib compresses with it where it is installed")
    arrays = {
        "C": np.arange(6.0).reshape(2, 3),
        "F": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "none": np.empty((0, 3)),
        "one": np.array(7),
        "text": np.array(["a", "ł"]),
        "objects": np.array(["a", None, 3.5], dtype=object),
        "big-endian": np.arange(3, dtype=">i4"),
        "fields": np.zeros(2, dtype=[("a", "<f8"), ("b", "<i4")]),
        "flags": np.array([True, False]),
    }
    joblib.dump(arrays, tmp_path / "a", compress=compress)
    again, _ = unpickle(tmp_path / "a", AllowList("a"))
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array)
        assert again[name].shape == array.shape
        assert again[name].dtype.newbyteorder("=") == array.dtype.newbyteorder("=")


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize(
    "held",
    [
        pd.DataFrame({"a": [1.0, 2.0], "s": ["x", None]}),
        pd.Series([1, 2], index=["a", "b"]),
        pd.Index(["a", "b"]),
        pd.CategoricalDtype(["a", "b"]),
        pd.Series(["a", "b", "a"], dtype="category"),
        np.random.RandomState(3),
        np.random.default_rng(3),
        np.ma.masked_array([1.0, 2.0], [True, False]),
        {1.5, "a"},
        np.float32(1.5),
        np.str_("ab"),
    ],
    ids=lambda held: type(held).__name__,
)
def test_containers_are_read_as_pickle_reads_them(held: Any, protocol: int, tmp_path: Path):
    content = pickle.dumps(held, protocol)
    again, _ = read(content, tmp_path)
    assert type(again) is type(held)
    if isinstance(held, np.random.RandomState | np.random.Generator):
        assert again.random(3).tolist() == pickle.loads(content).random(3).tolist()
    else:
        assert repr(again) == repr(held)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Ridge on scaled features and a scaled target, with the scalers in files of their own, and raw rows."""
    folder = tmp_path_factory.mktemp("files")
    frame, target = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    scaler, scale_y = StandardScaler().fit(frame), MinMaxScaler().fit(target.to_frame())
    model = Ridge().fit(scaler.transform(frame), scale_y.transform(target.to_frame()).ravel())
    joblib.dump(model, folder / "model.joblib")
    (folder / "scaler.pkl").write_bytes(pickle.dumps(scaler))
    joblib.dump(scale_y, folder / "y.pkl", compress=3)
    frame.assign(target=target, id=range(len(frame))).to_csv(folder / "sample.csv", index=False)
    return folder


def test_a_model_and_its_scalers_are_adopted(files: Path, tmp_path: Path):
    bundle = tmp_path / "m.afit"
    arguments = [
        "adopt",
        files / "model.joblib",
        *("--scaler", files / "scaler.pkl", "--target-scaler", files / "y.pkl"),
        *("--rows", files / "sample.csv", "--target", "target", "-o", bundle, "--json"),
    ]
    done = CliRunner().invoke(cli, list(map(str, arguments)))
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["parity"]["labels_different"] == 0
    assert document["notes"] == ["left out of the sample, since the model does not know them: 'id'"]
    frame, target = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    model = afterfit.load(bundle)
    assert model.name == "m"
    scaled = joblib.load(files / "model.joblib").predict(joblib.load(files / "scaler.pkl").transform(frame))
    expected = joblib.load(files / "y.pkl").inverse_transform(scaled.reshape(-1, 1)).ravel()
    np.testing.assert_allclose(model.predict(frame), expected, rtol=1e-12)
    assert np.corrcoef(expected, target)[0, 1] > 0.7


def test_a_forgotten_scaler_is_found_out_and_nothing_is_left(files: Path, tmp_path: Path):
    model = LogisticRegression(C=1e4, max_iter=5000).fit(StandardScaler().fit_transform(X * 1000), y)
    joblib.dump(model, tmp_path / "model.joblib")
    pd.DataFrame(X * 1000, columns=list("abcd")).assign(y=y).to_csv(tmp_path / "rows.csv", index=False)
    arguments = ["adopt", "model.joblib", "--rows", "rows.csv", "--target", "y", "-o", "m.afit"]
    arguments = [str(tmp_path / a) if "." in a else a for a in arguments]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert "a step of preprocessing is missing" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.joblib", "rows.csv"]


def test_too_little_time_ends_the_process(files: Path, tmp_path: Path):
    with pytest.raises(afterfit.CaptureError, match=r"longer than 1 seconds|used up its time"):
        afterfit.adopt(files / "scaler.pkl", tmp_path / "m.afit", rows=files / "sample.csv", time_limit=1)
    assert not list(tmp_path.iterdir())


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "adopt.md").read_text(encoding="utf-8")
    for example in re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL):
        exec(compile(example, "adopt.md", "exec"), {})
    assert (tmp_path / "price.afit").is_file()


def request(**settings: Any) -> Request:
    return Request(model="m.pkl", rows="r", output="o", name="m", memory=1, seconds=1, **settings)


def test_a_pickle_of_another_version_is_refused_with_the_way_out(tmp_path: Path):
    content = pickle.dumps(StandardScaler().fit(X))
    own = sklearn.__version__.encode()
    _, versions = read(content.replace(own, b"1.0.2"[: len(own)]), tmp_path)
    assert versions == {"1.0.2"}
    with pytest.raises(
        ArgumentError, match=r"made with scikit-learn 1\.0\.2.*pip install scikit-learn==1\.0\.2"
    ):
        _check_versions(versions, request())
    assert "1.0.2" in _check_versions(versions, request(allow_version_change=True))[0]
    assert _check_versions({sklearn.__version__}, request()) == []


def test_a_class_that_the_installed_version_lacks_is_said_to_be_of_another(tmp_path: Path):
    with pytest.raises(ArgumentError, match="does not have: it was made with another version"):
        read(b"\x80\x04csklearn.ensemble.forest\nRandomForestClassifier\n)\x81.", tmp_path)


def test_several_objects_in_one_file_are_listed():
    with pytest.raises(ArgumentError, match="'model': Ridge, 'scaler': StandardScaler"):
        _check_fitted({"model": Ridge(), "scaler": StandardScaler()}, "m.pkl")
    with pytest.raises(ArgumentError, match="is no fitted model"):
        _check_fitted(3, "m.pkl")


def test_errors_reach_the_parent_as_they_were():
    error = UnsupportedModelError("Foo", "a -> b", "it is odd", "Leave it out")
    again = raised(told(error))
    assert isinstance(again, UnsupportedModelError)
    assert (str(again), again.estimator, again.way_out) == (str(error), "Foo", "Leave it out")


ROWS = pd.DataFrame({"n": [1, 2], "x": [0.1, None], "s": ["a", "ł"], "y": [0, 1]})


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".jsonl", ".parquet", ".arrow", ".arrows"])
def test_rows_of_every_format(suffix: str, tmp_path: Path):
    path = tmp_path / f"rows{suffix}"
    if suffix == ".jsonl":
        ROWS.to_json(path, orient="records", lines=True)
    elif suffix == ".parquet":
        ROWS.to_parquet(path)
    elif suffix in {".arrow", ".arrows"}:
        import pyarrow as pa
        import pyarrow.ipc

        table = pa.Table.from_pandas(ROWS)
        opened = pyarrow.ipc.new_file if suffix == ".arrow" else pyarrow.ipc.new_stream
        with pa.OSFile(str(path), "wb") as file, opened(file, table.schema) as writer:
            writer.write_table(table)
    else:
        ROWS.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    frame, target, _ = split_rows(read_rows(path), "y", Ridge())
    assert list(frame) == ["n", "x", "s"]
    assert target.tolist() == [0, 1]
    assert frame["x"].tolist()[0] == 0.1
    assert frame["s"].tolist() == ["a", "ł"]


def test_rows_that_do_not_fit_are_refused(tmp_path: Path):
    with pytest.raises(ArgumentError, match="no column 'z'; its columns are 'n', 'x', 's', 'y'"):
        split_rows(ROWS, "z", Ridge())
    encoder = OneHotEncoder().fit(ROWS[["s"]].assign(t=1))
    with pytest.raises(ArgumentError, match="lacks 't', which OneHotEncoder was fitted on"):
        split_rows(ROWS, None, encoder)
    (tmp_path / "a.jsonl").write_text("{")
    with pytest.raises(ArgumentError, match=r"a\.jsonl cannot be read as jsonl"):
        read_rows(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.joblib", b"x\x9c", "pickle"),
        ("a.bin", b"\x80\x04", "pickle"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "hdf5"),
        ("a.keras", b"PK\x03\x04", "keras"),
        ("a.json", b'{"class_name": "Sequential", "config": {}}', "keras json"),
        ("a.json", b'{"learner": {}, "version": []}', "xgboost"),
        ("a.json", b'{"oblivious_trees": [], "model_info": {}}', "catboost"),
        ("a.ubj", b"{L\x00", "xgboost"),
        ("a.txt", b"tree\nversion=v4\n", "lightgbm"),
        ("a.cbm", b"CBM1", "catboost"),
        ("a.onnx", b"\x08\x0a", "onnx"),
    ],
)
def test_a_file_is_known_by_its_content(name: str, content: bytes, kind: str, tmp_path: Path):
    (tmp_path / name).write_bytes(content)
    assert kind_of_file(tmp_path / name) == kind


@pytest.mark.parametrize(
    ("name", "content"), [("a.json", b"{}"), ("a.json", b"{"), ("a.csv", b"a"), ("a", b"")]
)
def test_a_file_of_no_kind_is_refused(name: str, content: bytes, tmp_path: Path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArgumentError):
        kind_of_file(tmp_path / name)


@pytest.mark.sweep
def test_every_estimator_of_scikit_learn_is_read(tmp_path: Path):
    """What is fitted, pickled and read through the list answers the same; none needs a name beyond it."""
    from sklearn.utils import all_estimators

    generator = pytest.importorskip(
        "sklearn.utils._test_common.instance_generator", reason="makes the estimators; since scikit-learn 1.6"
    )
    rows, read_back = np.abs(X), 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, kind in all_estimators():
            for fitted in _fitted(kind, generator._construct_instances, rows):
                expected = fitted.predict(rows) if hasattr(fitted, "predict") else None
                for content in (pickle.dumps(fitted, 0), pickle.dumps(fitted, 2), pickle.dumps(fitted, 5)):
                    again, _ = read(content, tmp_path)
                    if expected is not None and not name.startswith("Dummy"):
                        # Arrays that are laid out otherwise are added up in another order.
                        if np.asarray(expected).dtype.kind == "f":
                            np.testing.assert_allclose(again.predict(rows), expected, rtol=1e-9, atol=1e-12)
                        else:
                            np.testing.assert_array_equal(again.predict(rows), expected)
                joblib.dump(fitted, tmp_path / "model.joblib", compress=3)
                unpickle(tmp_path / "model.joblib", AllowList(name))
                read_back += 1
    assert read_back > 180


def _fitted(kind: Any, construct: Any, rows: Any) -> list[Any]:
    """The estimators of a class that can be fitted on iris, by its classes or by two columns of them."""
    fitted = []
    try:
        instances = list(construct(kind))
    except unittest.SkipTest:
        return []
    for estimator in instances[:2]:
        for targets in (y, np.c_[y, y] > 0):
            try:
                fitted.append(estimator.fit(rows, targets))
                break
            except (ValueError, TypeError, AttributeError, IndexError):
                continue
    return fitted
