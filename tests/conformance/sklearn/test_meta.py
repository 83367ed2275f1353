"""Estimators that hold other estimators answer from a bundle as they do in memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    RandomForestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes the next import work
from sklearn.impute import MissingIndicator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor, RegressorChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import afterfit

NAMES = np.array(["setosa", "versicolor", "virginica"])


def drawn(loaded, columns=slice(None)):
    X, y = loaded
    rows = np.random.default_rng(0).permutation(len(X))[:200]
    X, y = X[rows][:, columns], y[rows]
    return X[:120], y[:120], X[120:]


IRIS, KIND, IRIS_NEW = drawn(load_iris(return_X_y=True))
CANCER, ILL, CANCER_NEW = drawn(load_breast_cancer(return_X_y=True), slice(0, 8))
DIABETES, PROGRESS, DIABETES_NEW = drawn(load_diabetes(return_X_y=True))
DATA = {
    "iris": (IRIS, NAMES[KIND], IRIS_NEW),
    "iris codes": (IRIS, KIND, IRIS_NEW),
    "half labeled": (IRIS, np.where(np.arange(120) % 3, KIND, -1), IRIS_NEW),
    "cancer": (CANCER, ILL, CANCER_NEW),
    "diabetes": (DIABETES, PROGRESS, DIABETES_NEW),
    "targets": (DIABETES, np.column_stack([PROGRESS, PROGRESS**2, DIABETES[:, 0]]), DIABETES_NEW),
    "labels": (IRIS, np.column_stack([KIND == 0, KIND == 1, IRIS[:, 0] > 5.5]).astype(int), IRIS_NEW),
    "columns of labels": (IRIS, NAMES[np.column_stack([KIND, (IRIS[:, 1] > 3) * 2])], IRIS_NEW),
}

logistic = make_pipeline(StandardScaler(), LogisticRegression())
tree = DecisionTreeClassifier(max_depth=3, random_state=0)
margin = LinearSVC()
ridge = Ridge()
steps = DecisionTreeRegressor(max_depth=4, random_state=0)
three = [("a", logistic), ("b", tree), ("c", "drop"), ("d", margin)]
two = [("a", logistic), ("b", "drop"), ("c", tree)]
numbers = [("a", ridge), ("b", "drop"), ("c", steps)]

CASES = {
    "grid": (GridSearchCV(LogisticRegression(max_iter=999), {"C": [0.1, 1]}), "iris"),
    "randomized": (RandomizedSearchCV(steps, {"max_depth": [2, 3]}, n_iter=2, random_state=0), "diabetes"),
    "halving": (HalvingGridSearchCV(tree, {"max_depth": [1, 3]}, random_state=0), "iris"),
    "halving random": (HalvingRandomSearchCV(ridge, {"alpha": [0.1, 1.0]}, random_state=0), "diabetes"),
    "search of a transformer": (GridSearchCV(StandardScaler(), {}, scoring=lambda m, X, y: 0), "iris"),
    "search in a pipeline": (
        make_pipeline(GridSearchCV(MinMaxScaler(), {}, scoring=lambda *_: 0), tree),
        "iris",
    ),
    "self training": (SelfTrainingClassifier(logistic), "half labeled"),
    "threshold": (FixedThresholdClassifier(logistic, threshold=0.3, pos_label=0), "cancer"),
    "threshold auto": (FixedThresholdClassifier(margin), "cancer"),
    "threshold of decisions": (
        FixedThresholdClassifier(logistic, response_method="decision_function", pos_label=0, threshold=0.2),
        "cancer",
    ),
    "tuned threshold": (TunedThresholdClassifierCV(logistic, cv=3, thresholds=20), "cancer"),
    "hard votes": (VotingClassifier(three), "iris"),
    "weighted votes": (VotingClassifier(three, weights=[2, 1.5, 4, 1]), "iris codes"),
    "soft votes": (VotingClassifier(two, voting="soft", weights=[2, 5, 1]), "iris"),
    "soft votes, equal": (VotingClassifier(two, voting="soft"), "cancer"),
    "mean": (VotingRegressor(numbers), "diabetes"),
    "weighted mean": (VotingRegressor(numbers, weights=[1, 2, 3]), "diabetes"),
    "stack": (StackingClassifier(three, cv=2), "iris"),
    "stack of two classes": (StackingClassifier(three, cv=2, passthrough=True), "cancer"),
    "stack of labels": (StackingClassifier(two, logistic, cv=2, stack_method="predict"), "iris"),
    "stacked regressors": (StackingRegressor(numbers, cv=2), "diabetes"),
    "stacked with rows": (StackingRegressor(numbers, steps, cv=2, passthrough=True), "diabetes"),
    "stack as a step": (make_pipeline(StackingClassifier(three, cv=2), tree), "iris"),
    "votes as a step": (make_pipeline(VotingClassifier(two), tree), "iris"),
    "soft votes as a step": (make_pipeline(VotingClassifier(two, voting="soft"), tree), "iris"),
    "mean as a step": (make_pipeline(VotingRegressor(numbers), steps), "diabetes"),
    "bagging": (BaggingClassifier(random_state=0), "iris"),
    "bagging of columns": (
        BaggingClassifier(logistic, max_features=0.5, bootstrap_features=True, random_state=0),
        "iris",
    ),
    "bagging of few classes": (BaggingClassifier(tree, max_samples=4, random_state=0), "iris"),
    "bagging of votes": (BaggingClassifier(margin, max_samples=10, random_state=2), "iris codes"),
    "bagging of regressors": (BaggingRegressor(random_state=0, max_features=3), "diabetes"),
    "bagging of targets": (BaggingRegressor(ridge, random_state=0), "targets"),
    "boosting": (AdaBoostClassifier(n_estimators=20, random_state=0), "iris"),
    "boosting of two classes": (AdaBoostClassifier(n_estimators=20, random_state=0), "cancer"),
    "boosting of linear models": (AdaBoostClassifier(LogisticRegression(), n_estimators=4), "iris"),
    "boosted regressors": (AdaBoostRegressor(n_estimators=15, random_state=0), "diabetes"),
    "calibrated": (CalibratedClassifierCV(logistic, cv=3), "iris"),
    "calibrated margin": (CalibratedClassifierCV(margin, cv=3, ensemble=False), "cancer"),
    "calibrated by steps": (CalibratedClassifierCV(tree, cv=3, method="isotonic"), "iris"),
    "calibrated margin by steps": (CalibratedClassifierCV(margin, cv=3, method="isotonic"), "cancer"),
    "one against the rest": (OneVsRestClassifier(logistic), "iris"),
    "one against the rest, two classes": (OneVsRestClassifier(logistic), "cancer"),
    "one against the rest, margin": (OneVsRestClassifier(margin), "cancer"),
    "one against the rest, trees": (OneVsRestClassifier(tree), "iris"),
    "one against the rest, regressors": (OneVsRestClassifier(ridge), "iris"),
    "one against the rest, labels": (OneVsRestClassifier(logistic), "labels"),
    "one against one": (OneVsOneClassifier(logistic), "iris"),
    "one against one, two classes": (OneVsOneClassifier(logistic), "cancer"),
    "one against one, trees": (OneVsOneClassifier(tree), "iris codes"),
    "codes": (OutputCodeClassifier(logistic, random_state=0, code_size=2), "iris"),
    "codes of trees": (OutputCodeClassifier(tree, random_state=0, code_size=3), "iris"),
    "targets": (MultiOutputRegressor(steps), "targets"),
    "chain of regressors": (RegressorChain(steps, order=[2, 0, 1]), "targets"),
    "chain": (ClassifierChain(logistic, order=[2, 0, 1]), "labels"),
    "columns of labels": (MultiOutputClassifier(tree), "columns of labels"),
    "tree of labels": (DecisionTreeClassifier(max_depth=4, random_state=0), "columns of labels"),
    "forest of labels": (RandomForestClassifier(n_estimators=10, random_state=0), "labels"),
    "ridge of labels": (RidgeClassifier(), "labels"),
    "scaled target": (TransformedTargetRegressor(ridge, transformer=StandardScaler()), "diabetes"),
    "scaled targets": (TransformedTargetRegressor(ridge, transformer=MinMaxScaler()), "targets"),
    "target as it is": (TransformedTargetRegressor(ridge), "diabetes"),
    "logarithm of target": (
        TransformedTargetRegressor(ridge, func=np.log1p, inverse_func=np.expm1),
        "diabetes",
    ),
    "cube of a person's own": (
        TransformedTargetRegressor(ridge, func=np.cbrt, inverse_func=lambda y: y**3),
        "diabetes",
    ),
    "root of target": (TransformedTargetRegressor(ridge, func=np.sqrt, inverse_func=np.square), "diabetes"),
}


def sorted_rows(X):
    return np.sort(X, axis=1)


def perturbed(X):
    noise = np.random.default_rng(1).uniform(-0.05, 0.05, X.shape)
    return X + noise * np.ptp(X, axis=0)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_answers_on_new_rows(name, check_saved):
    model, data = CASES[name]
    X, y, new = DATA[data]
    check_saved(model.fit(X, y), X, new, perturbed(X), perturbed(new))


@pytest.mark.parametrize("method", ["predict_proba", "decision_function"])
def test_a_chain_hands_on_what_it_was_told_to(method, check_saved):
    X, y, new = DATA["labels"]
    check_saved(ClassifierChain(logistic, chain_method=method).fit(X, y), X, new)


@pytest.mark.parametrize("data", ["iris", "cancer"])
@pytest.mark.parametrize("part", [tree, logistic], ids=["probabilities", "decisions"])
def test_temperature(part, data, check_saved):
    X, y, new = DATA[data]
    try:
        model = CalibratedClassifierCV(part, cv=3, method="temperature").fit(X, y)
    except ValueError:
        pytest.skip("scikit-learn before 1.8 has no temperature scaling")
    check_saved(model, X, new)


def test_frozen(check_saved):
    frozen = pytest.importorskip("sklearn.frozen", reason="scikit-learn before 1.6")
    X, y, new = DATA["iris codes"]
    fitted = frozen.FrozenEstimator(logistic.fit(X, y))
    check_saved(fitted, X, new)
    check_saved(CalibratedClassifierCV(fitted).fit(X, y), X, new)
    scaler = frozen.FrozenEstimator(StandardScaler().fit(X))
    check_saved(make_pipeline(scaler, tree).fit(X, y), X, new)


def test_votes_and_stacks_of_pipelines_that_read_text(check_saved):
    frame = pd.DataFrame({"kind": NAMES[KIND], "length": IRIS[:, 0], "width": IRIS[:, 1]})
    columns = ColumnTransformer(
        [("kind", OneHotEncoder(handle_unknown="ignore"), ["kind"])], remainder="passthrough"
    )
    parts = [("a", make_pipeline(columns, Ridge())), ("b", make_pipeline(columns, steps))]
    for model in (VotingRegressor(parts), StackingRegressor(parts, cv=2)):
        check_saved(model.fit(frame, IRIS[:, 2]), frame, frame.iloc[::-1])


def test_one_class_in_a_round_of_one_against_the_rest(check_saved):
    labels = np.column_stack([KIND == 0, np.ones(120), KIND == 2]).astype(int)
    with pytest.warns(UserWarning, match="present in all"):
        model = OneVsRestClassifier(logistic).fit(IRIS, labels)
    check_saved(model, IRIS, IRIS_NEW)


def test_float32_rows(check_saved):
    X, y, new = IRIS.astype(np.float32), KIND, IRIS_NEW.astype(np.float32)
    for model in (
        VotingClassifier([("a", tree)]),
        BaggingClassifier(tree),
        StackingClassifier([("a", tree)], tree),
    ):
        check_saved(model.fit(X, y), X, new)


@pytest.mark.parametrize(
    ("model", "data", "reason"),
    [
        (
            TransformedTargetRegressor(
                ridge, func=np.cbrt, inverse_func=lambda y: np.sort(y, axis=0), check_inverse=False
            ),
            "diabetes",
            "lambda",
        ),
        (StackingClassifier([("a", tree)], tree, cv=2), "labels", "several labels"),
        (
            make_pipeline(VotingClassifier(two, voting="soft", flatten_transform=False), tree),
            "iris",
            "no table",
        ),
        (
            VotingRegressor([("a", make_pipeline(FunctionTransformer(sorted_rows), LinearRegression()))]),
            "diabetes",
            "sorted_rows",
        ),
    ],
)
def test_refused_by_name(model, data, reason, tmp_path):
    X, y, _ = DATA[data]
    try:
        model.fit(X, y)
    except ValueError:
        model = model[0].fit(X, y)
        pytest.skip("scikit-learn itself refuses")
    with pytest.raises(afterfit.UnsupportedModelError, match=reason):
        afterfit.save(model, tmp_path / "model.afit", X=X)
    assert list(tmp_path.iterdir()) == []


def test_an_indicator_saved_alone_answers_with_numbers(check_saved):
    X = np.where(np.random.default_rng(0).random(IRIS.shape) < 0.2, np.nan, IRIS)
    check_saved(MissingIndicator(features="all").fit(X), X, X[::-1])


def test_a_search_without_a_refit_is_not_saved(tmp_path):
    model = GridSearchCV(tree, {"max_depth": [1, 2]}, refit=False).fit(IRIS, KIND)
    with pytest.raises(afterfit.ArgumentError):
        afterfit.save(model, tmp_path / "model.afit", X=IRIS)


def test_several_labels_are_one_output_with_a_column_each(tmp_path):
    X, y, new = DATA["columns of labels"]
    model = MultiOutputClassifier(tree).fit(X, y)
    saved = afterfit.save(model, tmp_path / "model.afit", X=X)
    output = saved.schema.output("prediction")
    assert (output.type, output.shape, output.classes) == ("string", (-1, 2), None)
    assert saved.task == "classification"
    assert saved.classes is None
    assert saved.predict(new).tolist() == model.predict(new).tolist()
