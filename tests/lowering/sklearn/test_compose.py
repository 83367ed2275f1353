from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

from afterfit.errors import UnsupportedModelError
from afterfit.lowering import Classification

ROWS = 60


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=ROWS),
            "b (km)": rng.normal(size=ROWS) * 1e3,
            "c": rng.choice(["x", "", "None", "nan", "001", "\x1a", "\x1ax"], ROWS),
            "d": rng.integers(0, 4, ROWS),
            "e": rng.choice([True, False], ROWS),
            "f": rng.normal(size=ROWS).astype(np.float32),
            "été": rng.choice(["u", "v"], ROWS),
        }
    )
    frame.loc[::7, "a"] = np.nan
    frame.loc[::5, "été"] = np.nan
    return frame


SELECTORS = {
    "names": ["a", "b (km)"],
    "indices": [1, 0],
    "negative": [-4, 0],
    "slice": slice(0, 2),
    "slice of names": slice("a", "b (km)"),
    "mask": [True, False, False, True, False, True, False],
    "boolean array": np.array([True, False, False, False, False, False, False]),
    "callable": make_column_selector(dtype_include=np.number),
    "pattern": make_column_selector(pattern="^[ab]"),
    "function": lambda X: [X.columns[0]],
}


@pytest.mark.parametrize("remainder", ["drop", "passthrough"])
@pytest.mark.parametrize("selector", SELECTORS)
def test_selectors(agree, frame, selector, remainder):
    model = ColumnTransformer([("scale", StandardScaler(), SELECTORS[selector])], remainder=remainder)
    agree(model.fit(frame), frame)


@pytest.mark.parametrize("verbose", [True, False])
def test_order_drop_passthrough_and_remainder_estimator(agree, frame, verbose):
    model = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), ["c"]),
            ("gone", "drop", ["été"]),
            ("as is", "passthrough", ["d", "a"]),
            ("nothing", StandardScaler(), []),
            ("again", MinMaxScaler(), ["b (km)", "d"]),
        ],
        remainder=StandardScaler(),
        verbose_feature_names_out=verbose,
    ).fit(frame)
    agree(model, frame)


def test_everything_dropped(lower, frame):
    model = ColumnTransformer([("gone", "drop", ["a"])]).fit(frame)
    assert lower(model, frame).lowered.width == 0 if model.transform(frame).shape[1] else True


def test_columns_are_found_by_name(agree, frame):
    model = ColumnTransformer([("n", StandardScaler(), ["b (km)", "a"]), ("p", "passthrough", ["d"])]).fit(
        frame
    )
    shuffled = frame[["été", "d", "b (km)", "a", "c"]].copy()
    shuffled["extra"] = 1.0
    agree(model, shuffled)


def test_array_by_position(agree):
    X = np.random.default_rng(0).normal(size=(30, 4))
    agree(ColumnTransformer([("n", StandardScaler(), [2, 0])], remainder="passthrough").fit(X), X)
    with pytest.raises(UnsupportedModelError, match="fitted on 4 columns"):
        agree(ColumnTransformer([("n", StandardScaler(), [2, 0])]).fit(X), X[:, :3])


@pytest.mark.parametrize("weights", [{"s": 0.5}, {"s": 2, "p": np.float64(0.1)}, None])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_weights(agree, weights, dtype):
    X = np.random.default_rng(0).normal(size=(30, 3)).astype(dtype)
    parts = [("s", StandardScaler()), ("p", "passthrough"), ("d", "drop"), ("m", MinMaxScaler())]
    agree(FeatureUnion(parts, transformer_weights=weights).fit(X), X)
    columns = [(name, part, [0, 2]) for name, part in parts]
    agree(ColumnTransformer(columns, transformer_weights=weights).fit(X), X)


@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
@pytest.mark.parametrize("validate", [True, False])
def test_dtypes_of_stacked_columns_decide_rounding(agree, frame, output, validate):
    """A float32 column beside float64 ones becomes float64 in an array and stays float32 in a DataFrame."""
    inner = ColumnTransformer(
        [("s", MinMaxScaler(), ["f"]), ("p", "passthrough", ["f"]), ("m", MaxAbsScaler(), ["b (km)"])]
    )
    outer = ColumnTransformer([("again", RobustScaler(), [0, 1])], remainder="passthrough")
    model = make_pipeline(
        inner, FunctionTransformer(validate=validate, feature_names_out="one-to-one"), outer
    )
    model.set_output(transform=output)
    agree(model.fit(frame), frame)


def test_text_beside_float32_is_an_object_array(agree, frame):
    inner = ColumnTransformer([("p", "passthrough", ["f", "c"]), ("s", MinMaxScaler(), ["f"])])
    outer = ColumnTransformer(
        [("n", StandardScaler(), [0, 2]), ("t", OneHotEncoder(handle_unknown="ignore"), [1])]
    )
    agree(make_pipeline(inner, outer).fit(frame), frame)


def test_nested(agree, frame):
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True), make_union(StandardScaler(), MinMaxScaler())
    )
    text = Pipeline(
        [
            ("fill", SimpleImputer(strategy="most_frequent")),
            ("keep", "passthrough"),
            ("hot", OneHotEncoder(handle_unknown="ignore")),
        ]
    )
    inner = make_column_transformer((numbers, ["a", "b (km)"]), (text, ["c", "été"]), remainder="passthrough")
    y = np.random.default_rng(1).choice(["p", "q", "r"], ROWS)
    model = make_pipeline(make_pipeline(inner, "passthrough"), None, LogisticRegression()).fit(frame, y)
    unknown = frame.assign(c="never seen", été="neither")
    agree(model, frame, unknown)
    agree(model[:-1], frame, unknown)


def _halve(X):
    return X / 2


def test_places_in_errors(lower, frame):
    numbers = Pipeline([("scale", FunctionTransformer(_halve))])
    model = Pipeline([("prep", ColumnTransformer([("num", numbers, ["d"])]))]).fit(frame)
    with pytest.raises(UnsupportedModelError, match=r"at prep -> num -> scale") as raised:
        lower(model, frame)
    assert raised.value.estimator == "FunctionTransformer"
    assert raised.value.where == "prep -> num -> scale"


def test_text_as_numbers_names_the_column(lower, frame):
    model = ColumnTransformer([("p", "passthrough", ["a", "c"])]).fit(frame)
    ridge = Ridge().fit(frame[["a", "b (km)"]].fillna(0), frame["f"])
    with pytest.raises(UnsupportedModelError, match="text column 'c'"):
        lower(Pipeline([("prep", model), ("ridge", ridge)]), frame)


def test_reads_only_what_the_model_reads(lower, frame):
    model = ColumnTransformer([("s", StandardScaler(), ["b (km)"]), ("c", OneHotEncoder(), ["été"])]).fit(
        frame
    )
    assert lower(model, frame).context.read == {1, 6}


# Sparse output: the numbers of scikit-learn's sparse arithmetic, x * (1 / scale).
@pytest.mark.parametrize(
    "scaler", [StandardScaler(with_mean=False), MaxAbsScaler(), RobustScaler(with_centering=False)]
)
@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_scaling_sparse_output(agree, frame, scaler, threshold):
    prep = ColumnTransformer(
        [("hot", OneHotEncoder(), ["c"]), ("n", "passthrough", ["b (km)", "d", "f"])],
        sparse_threshold=threshold,
    )
    model = make_pipeline(prep, scaler).fit(frame)
    assert model[0].sparse_output_ == (threshold == 1.0)
    agree(model, frame)


@pytest.mark.parametrize(
    "scaler", [StandardScaler(with_mean=False), MaxAbsScaler(), RobustScaler(with_centering=False)]
)
def test_scaling_a_sparse_union(agree, frame, scaler):
    union = FeatureUnion([("hot", OneHotEncoder(handle_unknown="ignore")), ("scaled", MinMaxScaler())])
    X = frame[["b (km)", "d"]]
    agree(make_pipeline(union, scaler).fit(X), X)


NUMBERS = st.sampled_from(
    [StandardScaler(), MinMaxScaler(clip=True), MaxAbsScaler(), RobustScaler(), Normalizer(), "passthrough"]
)
IMPUTERS = st.builds(
    SimpleImputer,
    strategy=st.sampled_from(["mean", "median", "most_frequent", "constant"]),
    add_indicator=st.booleans(),
)
TEXT_IMPUTERS = st.sampled_from(
    [
        "passthrough",
        SimpleImputer(strategy="most_frequent"),
        SimpleImputer(strategy="constant", fill_value="missing"),
    ]
)
ENCODERS = st.one_of(
    st.builds(
        OneHotEncoder,
        handle_unknown=st.sampled_from(["ignore", "infrequent_if_exist", "warn"]),
        drop=st.sampled_from([None, "first", "if_binary"]),
        min_frequency=st.sampled_from([None, 3, 0.2]),
        max_categories=st.sampled_from([None, 2, 4]),
        sparse_output=st.booleans(),
    ),
    st.builds(
        OrdinalEncoder,
        handle_unknown=st.just("use_encoded_value"),
        unknown_value=st.sampled_from([-1, 100]),
        encoded_missing_value=st.sampled_from([-2, -1]),
        min_frequency=st.sampled_from([None, 3]),
        max_categories=st.sampled_from([None, 3]),
    ),
)
MODELS = st.sampled_from(
    [LinearRegression(), Ridge(), LogisticRegression(max_iter=20), SGDClassifier(max_iter=5, loss="log_loss")]
)
TEXTS = st.sampled_from(["x", "y", "z", "", "None", "nan", "001", "1", "\x1a", "\x1a\x1a", "é", None])
FLOATS = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, -0.0, 1e-30]))


def rows(count: int) -> st.SearchStrategy[pd.DataFrame]:
    def build(columns):
        text, number, single, integer, boolean, other = columns
        return pd.DataFrame(
            {
                "text": pd.Series(text, dtype="str"),
                "number": pd.Series(number, dtype=np.float64),
                "single": pd.Series(single, dtype=np.float32),
                "integer": pd.Series(integer, dtype=np.int64),
                "boolean": pd.Series(boolean, dtype=np.bool_),
                "other": pd.Series(other, dtype="str"),
            }
        )

    def many(values):
        return st.lists(values, min_size=count, max_size=count)

    whole = st.integers(-3, 3)
    return st.tuples(
        many(TEXTS), many(FLOATS), many(FLOATS), many(whole), many(st.booleans()), many(TEXTS)
    ).map(build)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)
@given(
    seen=rows(14),
    unseen=rows(14),
    numbers=NUMBERS,
    imputer=IMPUTERS,
    text_imputer=TEXT_IMPUTERS,
    encoders=st.tuples(ENCODERS, ENCODERS),
    model=MODELS,
    remainder=st.sampled_from(["drop", "passthrough"]),
)
@pytest.mark.filterwarnings(
    "ignore:Skipping features",
    "ignore:Found unknown categories",
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:invalid value encountered in divide",
)
def test_drawn_pipelines(agree, seen, unseen, numbers, imputer, text_imputer, encoders, model, remainder):
    seen.loc[0, ["text", "other"]] = "x"
    seen.loc[0, ["number", "single"]] = 1.0
    prep = ColumnTransformer(
        [
            ("num", Pipeline([("fill", imputer), ("scale", numbers)]), ["number", "single"]),
            ("text", Pipeline([("fill", text_imputer), ("encode", encoders[0])]), ["text", "other"]),
            ("code", encoders[1], ["integer", "boolean"]),
        ],
        remainder=remainder,
    )
    pipeline = Pipeline([("prep", prep), ("fill", SimpleImputer()), ("model", model)])
    y = np.arange(14) % 3
    try:
        pipeline.fit(seen, y)
    except ValueError as error:
        # What scikit-learn itself does not fit is no model to save.
        assert "is one of the values already used" in str(error) or "already used to encode" in str(error)
        return
    transformed = agree(pipeline[:-1], seen, unseen, exact=not isinstance(numbers, Normalizer))
    graph = agree(pipeline, seen, unseen, tolerance=1e-11)
    assert transformed.lowered.width == pipeline[-1].n_features_in_
    assert isinstance(graph.lowered, Classification) == hasattr(model, "predict_proba")
