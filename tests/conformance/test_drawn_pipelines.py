"""Drawn pipelines over drawn frames: saved and exact, or refused by name. Never a silent difference."""

from __future__ import annotations

import string
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import afterfit

DRAWN = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a failing pipeline is small enough as it is drawn
)
ROWS = 60
HELD_OUT = 40
NAMES = ["plain", "with space", "Age (years)", "größe µ", "価格", "a.b", "x\ty", "'quoted\"", "🙂"]
WORDS = ["", "a", "b", "001", "None", "nan", "NaN", " a", "Ünïcode", "\x1a", "\x1a\x1a", "long " * 10]


@st.composite
def number_columns(draw: st.DrawFn, rows: int) -> pd.Series:
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    kind = draw(
        st.sampled_from(["float", "small", "large", "int", "bool", "nullable int", "float32", "constant"])
    )
    missing = draw(st.booleans())
    gaps = rng.random(rows) < 0.2 if missing else np.zeros(rows, dtype=bool)
    gaps[0] = False
    if kind == "int":
        return pd.Series(rng.integers(-5, 1000, rows))
    if kind == "bool":
        return pd.Series(rng.random(rows) < 0.5)
    if kind == "nullable int":
        return pd.Series(rng.integers(0, 7, rows), dtype="Int64").mask(gaps)
    scale = {"small": 1e-6, "large": 1e9}.get(kind, 1.0)
    values = np.full(rows, 3.25) if kind == "constant" else rng.normal(size=rows) * scale
    values[gaps] = np.nan
    return pd.Series(values.astype(np.float32 if kind == "float32" else np.float64))


@st.composite
def text_columns(draw: st.DrawFn, rows: int) -> pd.Series:
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.choice(np.array(words, dtype=object), rows)
    if draw(st.booleans()):
        gaps = rng.random(rows) < 0.2
        gaps[0] = False
        values[gaps] = np.nan
    dtype = draw(st.sampled_from([object, "str", "category"]))
    return pd.Series(values, dtype=dtype)


@st.composite
def frames(draw: st.DrawFn) -> tuple[pd.DataFrame, list[str], list[str]]:
    rows = ROWS + HELD_OUT
    names = draw(st.permutations(NAMES))
    numbers = draw(st.integers(1, 3))
    texts = draw(st.integers(0, 2))
    columns = {names[i]: draw(number_columns(rows)) for i in range(numbers)}
    columns |= {names[numbers + i]: draw(text_columns(rows)) for i in range(texts)}
    order = draw(st.permutations(list(columns)))
    frame = pd.DataFrame({name: columns[name] for name in order})
    return frame, names[:numbers], names[numbers : numbers + texts]


scalers = st.sampled_from(
    [
        "passthrough",
        StandardScaler(),
        StandardScaler(with_mean=False),
        MinMaxScaler((-1, 2)),
        MinMaxScaler(clip=True),
        MaxAbsScaler(),
        RobustScaler(),
        Normalizer(),
        FeatureUnion([("s", StandardScaler()), ("m", MinMaxScaler())]),
    ]
)
imputers = st.builds(
    SimpleImputer,
    strategy=st.sampled_from(["mean", "median", "most_frequent", "constant"]),
    add_indicator=st.booleans(),
    keep_empty_features=st.booleans(),
)
encoders = st.one_of(
    st.builds(
        OneHotEncoder,
        handle_unknown=st.sampled_from(["ignore", "infrequent_if_exist"]),
        min_frequency=st.sampled_from([None, 5]),
        drop=st.sampled_from([None, "if_binary"]),
        sparse_output=st.booleans(),
    ),
    st.builds(OneHotEncoder, handle_unknown=st.just("error"), drop=st.sampled_from([None, "first"])),
    st.builds(
        OrdinalEncoder,
        handle_unknown=st.just("use_encoded_value"),
        unknown_value=st.just(-1),
        encoded_missing_value=st.just(-2),
    ),
)
classifiers = st.sampled_from(
    [
        LogisticRegression(max_iter=50),
        LogisticRegression(max_iter=20, C=10, fit_intercept=False),
        SGDClassifier(max_iter=5, random_state=0),
        SGDClassifier(loss="log_loss", max_iter=5, random_state=0),
        SGDClassifier(loss="modified_huber", max_iter=5, random_state=0),
        DecisionTreeClassifier(random_state=0),
        RandomForestClassifier(5, random_state=0),
        ExtraTreesClassifier(5, random_state=0),
        GradientBoostingClassifier(n_estimators=4, random_state=0),
        HistGradientBoostingClassifier(max_iter=4, min_samples_leaf=5, random_state=0),
    ]
)
regressors = st.sampled_from(
    [
        LinearRegression(),
        Ridge(),
        Lasso(max_iter=50),
        ElasticNet(max_iter=50),
        SGDRegressor(max_iter=5, random_state=0),
        DecisionTreeRegressor(random_state=0),
        RandomForestRegressor(5, random_state=0),
        GradientBoostingRegressor(n_estimators=4, random_state=0),
        HistGradientBoostingRegressor(max_iter=4, min_samples_leaf=5, random_state=0),
    ]
)


@st.composite
def pipelines(draw: st.DrawFn, numbers: list[str], texts: list[str]) -> Pipeline:
    parts = [("num", make_pipeline(draw(imputers), draw(scalers)), numbers)]
    if texts:
        filled = draw(st.booleans())
        encoder = draw(encoders)
        parts.append(
            (
                "cat",
                make_pipeline(SimpleImputer(strategy="most_frequent"), encoder) if filled else encoder,
                texts,
            )
        )
    columns = ColumnTransformer(
        parts,
        remainder=draw(st.sampled_from(["drop", "passthrough"])),
        sparse_threshold=draw(st.sampled_from([0, 0.3])),
    )
    if draw(st.booleans()):
        columns.set_output(transform="default")
    return Pipeline([("prep", columns), ("model", draw(st.one_of(classifiers, regressors)))])


def target(draw: st.DrawFn, model: object, rows: int) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if not hasattr(model, "predict_proba") and not isinstance(model, SGDClassifier):
        return rng.normal(size=rows) * draw(st.sampled_from([1.0, 1e6]))
    labels = draw(st.sampled_from([["no", "yes"], ["a", "b", "c"], [0, 1], [-1, 5, 7], [False, True]]))
    values = np.array(labels)[rng.integers(0, len(labels), rows)]
    values[: len(labels)] = labels
    return values


@settings(DRAWN, max_examples=60)
@given(data=st.data())
def test_a_drawn_pipeline_is_exact_or_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    check_drawn_pipeline(data, tmp_path_factory)


@pytest.mark.sweep
@settings(DRAWN, max_examples=500)
@given(data=st.data())
def test_many_drawn_pipelines_are_exact_or_refused(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
):
    check_drawn_pipeline(data, tmp_path_factory)


def check_drawn_pipeline(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    frame, numbers, texts = data.draw(frames())
    pipeline = data.draw(pipelines(numbers, texts))
    y = target(data.draw, pipeline[-1], ROWS)
    train, held_out = frame.iloc[:ROWS], frame.iloc[ROWS:].reset_index(drop=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            pipeline.fit(train, y)
            pipeline.predict(train)
        except (ValueError, TypeError):
            return  # scikit-learn itself takes no such pipeline
    path = tmp_path_factory.mktemp("drawn") / "m.afit"
    try:
        model = afterfit.save(pipeline, path, X=train)
    except afterfit.UnsupportedModelError as error:
        assert error.way_out
        assert not path.exists()
        return
    except afterfit.ParityError:
        assert not path.exists()
        assert cancels(pipeline, train), "the lowering is wrong: no sum is so long that its order shows"
        return
    assert model.verify().ok
    assert_equal_on(model, pipeline, held_out)


def cancels(pipeline: Pipeline, train: pd.DataFrame) -> bool:
    """Whether the terms of a linear model outweigh its answers so far that the order of a sum shows at 1e-12.

    Collinear columns can end in weights of 1e9 that cancel; then the model in memory itself is only sure of
    fewer digits, and refusing to save it is right.
    """
    coef = getattr(pipeline[-1], "coef_", None)
    if coef is None or hasattr(pipeline[-1], "classes_"):
        return False
    columns = pipeline[:-1].transform(train)
    columns = columns.toarray() if hasattr(columns, "toarray") else columns
    terms = (np.abs(np.asarray(columns, dtype=np.float64)) @ np.abs(coef)).max()
    answers = max(1.0, np.abs(pipeline.predict(train)).max())
    return bool(terms * np.finfo(np.float64).eps > 0.1 * 1e-12 * answers)


def assert_equal_on(model: afterfit.Model, pipeline: Pipeline, held_out: pd.DataFrame) -> None:
    """Equal answers wherever both answer; ours may refuse only rows that the pipeline refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = pipeline.predict(held_out)
        except ValueError:
            with pytest.raises(afterfit.SchemaError):
                model.predict(held_out)
            return
        got = model.predict(held_out)
        tolerance = model.report.tolerance
        if hasattr(pipeline, "predict_proba"):
            known = pipeline.predict_proba(held_out)
            assert np.abs(model.predict_proba(held_out) - known).max() <= tolerance
            best = np.sort(known, axis=1)
            clear = best[:, -1] - best[:, -2] > tolerance
            assert (got[clear] == expected[clear]).all()
        elif expected.dtype.kind == "f":
            assert np.abs(got - expected).max() <= tolerance * max(1.0, np.abs(expected).max())
        else:
            assert (got == expected).all()


def test_the_words_include_what_confuses_converters():
    assert {"", "None", "nan", "001"} <= set(WORDS)
    assert any(set(name) & set(string.punctuation) for name in NAMES)


def test_a_scaled_column_into_a_linear_model_is_exact(tmp_path: Path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=50)})
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, rng.integers(0, 2, 50))
    assert afterfit.save(pipeline, tmp_path / "m.afit", X=frame).report.max_error < 1e-15
