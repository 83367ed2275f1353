"""Every estimator of scikit-learn that answers on new rows: saved and compared, or refused with a reason.

`python tests/conformance/coverage.py` writes `docs/coverage.md`.
"""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import sklearn
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

import afterfit

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = Path(__file__).parents[2] / "docs" / "coverage.md"
RELATIVE = 1e-9
SUMMED_IN_FLOAT32 = 1e-6

NOT_ROWS = {
    "DictVectorizer": "it reads dicts, not rows of a table",
    "FeatureHasher": "it reads dicts, not rows of a table",
    "HashingVectorizer": "it reads documents, not rows of a table; in a ColumnTransformer it is refused",
    "KernelCenterer": "it reads a kernel between rows, not rows",
    "LabelBinarizer": "it transforms targets, not rows",
    "LabelEncoder": "it transforms targets, not rows",
    "MultiLabelBinarizer": "it transforms targets, not rows",
    "PatchExtractor": "it reads images, not rows of a table",
}
"""Classes with `predict` or `transform` that answer on something else than rows of a table."""

ANSWERS_AS_WHAT_IT_HOLDS = ("FrozenEstimator",)
"""Classes that have the methods of the estimator they are made with, and so none of their own."""

SMALL = {"n_estimators": 8, "n_components": 2, "n_quantiles": 20, "n_bins": 4}
"""Where a parameter counts what takes time, fewer of it."""

_part = LogisticRegression(max_iter=2000)
REQUIRED: dict[str, dict[str, Any]] = {
    "ClassifierChain": {"estimator": _part},
    "ColumnTransformer": {"transformers": [("scale", StandardScaler(), [0, 2])], "remainder": "passthrough"},
    "FeatureUnion": {"transformer_list": [("scale", StandardScaler())]},
    "FixedThresholdClassifier": {"estimator": _part},
    "FrozenEstimator": {"estimator": _part},
    "GaussianRandomProjection": {"n_components": 2},
    "GridSearchCV": {"estimator": _part, "param_grid": {"C": [0.1, 1.0]}},
    "HalvingGridSearchCV": {"estimator": _part, "param_grid": {"C": [0.1, 1.0]}},
    "HalvingRandomSearchCV": {"estimator": _part, "param_distributions": {"C": [0.1, 1.0]}},
    "HistGradientBoostingClassifier": {"max_iter": 8},
    "HistGradientBoostingRegressor": {"max_iter": 8},
    "LocalOutlierFactor": {"novelty": True},
    "MultiOutputClassifier": {"estimator": _part},
    "MultiOutputRegressor": {"estimator": Ridge()},
    "OneVsOneClassifier": {"estimator": _part},
    "OneVsRestClassifier": {"estimator": _part},
    "OutputCodeClassifier": {"estimator": _part},
    "Pipeline": {"steps": [("scale", StandardScaler()), ("model", _part)]},
    "RFE": {"estimator": _part},
    "RFECV": {"estimator": _part},
    "RandomizedSearchCV": {"estimator": _part, "param_distributions": {"C": [0.1, 1.0]}, "n_iter": 2},
    "RegressorChain": {"estimator": Ridge()},
    "SelectFromModel": {"estimator": _part},
    "SelfTrainingClassifier": {"estimator": _part},
    "SequentialFeatureSelector": {"estimator": _part, "n_features_to_select": 2},
    "SparseCoder": {"dictionary": np.eye(4)[:3]},
    "SparseRandomProjection": {"n_components": 2},
    "StackingClassifier": {"estimators": [("a", _part), ("b", DecisionTreeClassifier(max_depth=3))]},
    "StackingRegressor": {"estimators": [("a", Ridge()), ("b", LinearRegression())]},
    "TunedThresholdClassifierCV": {"estimator": _part},
    "VotingClassifier": {"estimators": [("a", _part), ("b", DecisionTreeClassifier(max_depth=3))]},
    "VotingRegressor": {"estimators": [("a", Ridge()), ("b", LinearRegression())]},
}
"""What a class cannot be made without."""


@dataclass(frozen=True)
class Outcome:
    """How one estimator, or one setting of it, came out: `exact`, `refused`, `not applicable` or `wrong`."""

    name: str
    setting: str
    status: str
    detail: str = ""


@dataclass(frozen=True)
class Data:
    """Rows to fit on and to save with, targets, and new rows."""

    X: Any
    y: Any
    new: Any


def _data() -> dict[str, Data]:
    def split(X: Any, y: Any, size: int = 120) -> Data:
        rows = np.random.default_rng(0).permutation(len(X))[: size + 60]
        X, y = X[rows], y[rows]
        noise = np.random.default_rng(1).uniform(-0.03, 0.03, X.shape) * np.ptp(X, axis=0)
        return Data(X[:size], y[:size], np.vstack([X[size:], X + noise]))

    iris, kind = load_iris(return_X_y=True)
    cancer, ill = load_breast_cancer(return_X_y=True)
    diabetes, progress = load_diabetes(return_X_y=True)
    flowers = split(iris, kind)
    bins = np.floor(flowers.X)
    words = pd.DataFrame(np.char.add("b", bins.astype(int).astype(str)), columns=list("abcd"))
    draw = np.random.default_rng(2)
    # No two rows at the same distance: among such neighbours scikit-learn itself chooses by chance.
    uneven = flowers.X + draw.uniform(0.0, 1e-3, flowers.X.shape)
    gaps = np.where(draw.random(flowers.X.shape) < 0.1, np.nan, uneven)
    return {
        "three classes": flowers,
        "gaps": Data(gaps, flowers.y, np.vstack([gaps[::-1], flowers.new])),
        "two classes": split(cancer[:, :6], ill),
        "numbers": split(diabetes, progress),
        "positive numbers": split(np.abs(diabetes) * 10, progress),
        "one column": split(diabetes[:, [2]], progress),
        "targets": split(diabetes, np.column_stack([progress, progress**2 / 100])),
        "labels": Data(
            flowers.X, np.column_stack([flowers.y == 0, flowers.X[:, 0] > 5.5]).astype(int), flowers.new
        ),
        "counts": Data(bins, flowers.y, bins[::-1]),
        "categories": Data(words, flowers.y, words[::-1]),
        "documents": Data(
            pd.DataFrame({"text": ["a good film", "a bad one", "no film"] * 40}), flowers.y, None
        ),
    }


DATA = _data()
FOR_CLASSIFIERS = ("three classes", "two classes", "counts", "labels")
FOR_REGRESSORS = ("numbers", "positive numbers", "one column", "targets")
FOR_OTHERS = ("three classes", "categories", "counts", "one column", "targets")


def applicable() -> Iterator[tuple[str, type]]:
    """Every class that answers on new rows of a table."""
    for name, cls in all_estimators():
        if name not in NOT_ROWS and _answers(name, cls):
            yield name, cls


def _answers(name: str, cls: type) -> bool:
    return hasattr(cls, "predict") or hasattr(cls, "transform") or name in ANSWERS_AS_WHAT_IT_HOLDS


def not_applicable() -> Iterator[Outcome]:
    """The others, each with the reason."""
    for name, cls in all_estimators():
        if name in NOT_ROWS:
            yield Outcome(name, "", "not applicable", NOT_ROWS[name])
        elif not _answers(name, cls):
            yield Outcome(
                name, "", "not applicable", "it has no answer on new rows (no predict, no transform)"
            )


def settings(cls: type) -> Iterator[tuple[str, dict[str, Any]]]:
    """The estimator as it comes, and then with every named option and switch of its parameters, one at a time."""
    yield "", {}
    defaults = cls(**REQUIRED.get(cls.__name__, {})).get_params(deep=False)
    for name, constraints in sorted(getattr(cls, "_parameter_constraints", {}).items()):
        if not isinstance(constraints, list) or name in ("n_jobs", "verbose", "copy", "copy_X", "warm_start"):
            continue
        for constraint in constraints:
            options = getattr(constraint, "options", None)
            if options is not None and all(isinstance(option, str) for option in options):
                for option in sorted(options - set(getattr(constraint, "deprecated", ()) or ())):
                    if defaults.get(name) != option:
                        yield f"{name}={option!r}", {name: option}
            elif constraint == "boolean" and isinstance(defaults.get(name), bool):
                yield f"{name}={not defaults[name]}", {name: not defaults[name]}


def judge(name: str, cls: type, setting: str, chosen: dict[str, Any], path: Path) -> Outcome:
    """Fit, save and compare; anything but exact answers or a refusal by name is `wrong`."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            model, data = _fit(name, cls, chosen)
        except _NoFitError as error:
            return Outcome(name, setting, "not applicable", str(error))
        try:
            saved = afterfit.save(model, path, X=data.X)
        except afterfit.UnsupportedModelError as error:
            return Outcome(name, setting, "refused", error.reason)
        except Exception as error:  # noqa: BLE001 - whatever it is, the sweep reports it
            return Outcome(name, setting, "wrong", f"{type(error).__name__}: {error}")
        tolerance = SUMMED_IN_FLOAT32 if saved.report.precision == "float32" else RELATIVE
        for rows in (data.X, data.new):
            different = _difference(model, saved, rows, tolerance)
            if different:
                return Outcome(name, setting, "wrong", different)
        return Outcome(
            name,
            setting,
            "exact",
            "to 1e-6, as the library adds up in float32" if tolerance > RELATIVE else "",
        )


class _NoFitError(Exception):
    """No data that the sweep has can be learned from with this setting."""


def _fit(name: str, cls: type, chosen: dict[str, Any]) -> tuple[Any, Data]:
    failures = []
    for key in _data_for(name, cls):
        data = DATA[key]
        try:
            model = _make(name, cls, chosen)
            fitted = model.fit(data.X, data.y)
            answer = "predict" if hasattr(fitted, "predict") else "transform"
            getattr(fitted, answer)(data.X)
        except Exception as error:  # noqa: BLE001 - scikit-learn refuses this data or setting in many ways
            failures.append(str(error))
        else:
            return fitted, data
    raise _NoFitError("scikit-learn cannot be fitted so: " + failures[0].splitlines()[0] if failures else "")


def _data_for(name: str, cls: type) -> tuple[str, ...]:
    if name in ("MultiOutputClassifier", "ClassifierChain"):
        return ("labels",)
    if name in ("MultiOutputRegressor", "RegressorChain"):
        return ("targets",)
    if name in ("IterativeImputer", "KNNImputer", "MissingIndicator", "SimpleImputer"):
        return ("gaps",)
    if name in ("CategoricalNB", "TfidfTransformer"):
        return ("counts",)
    if name in ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder"):
        return ("categories",)
    if name in ("CountVectorizer", "TfidfVectorizer"):
        return ("documents",)
    kind = getattr(cls, "_estimator_type", None) or _mixin(cls)
    return {"classifier": FOR_CLASSIFIERS, "regressor": FOR_REGRESSORS}.get(str(kind), FOR_OTHERS)


def _mixin(cls: type) -> str | None:
    names = {base.__name__ for base in cls.__mro__}
    return "classifier" if "ClassifierMixin" in names else "regressor" if "RegressorMixin" in names else None


def _make(name: str, cls: type, chosen: dict[str, Any]) -> Any:
    if cls in (CountVectorizer, TfidfVectorizer):
        from sklearn.compose import ColumnTransformer

        return ColumnTransformer([("words", cls(**chosen), "text")])
    required = dict(REQUIRED.get(name, {}))
    if name == "FrozenEstimator":
        required["estimator"] = LogisticRegression(max_iter=2000).fit(
            DATA["three classes"].X, DATA["three classes"].y
        )
    model = cls(**required)
    known = model.get_params(deep=False)
    small = {key: value for key, value in SMALL.items() if isinstance(known.get(key), int)}
    if "random_state" in known:
        small["random_state"] = 0
    model.set_params(**{**small, **chosen})
    return model


_METHODS = {
    "prediction": "predict",
    "probabilities": "predict_proba",
    "scores": "decision_function",
    "transformed": "transform",
}


def _difference(model: Any, saved: Any, rows: Any, tolerance: float) -> str:
    if rows is None:
        return ""
    packed = None
    for output in saved.schema.outputs:
        method = _METHODS[output.name]
        try:
            expected = getattr(model, method)(rows)
        except ValueError:
            return ""
        if hasattr(expected, "toarray"):
            expected = expected.toarray()
        expected = np.asarray(expected)
        if output.name == "scores":
            from afterfit.schema import pack_table

            packed = pack_table(saved.schema, rows) if packed is None else packed
            got = saved.run(packed, ["scores"])["scores"]
        else:
            got = getattr(saved, method)(rows)
        if got.shape != expected.shape:
            return f"{method} is of shape {got.shape} and not {expected.shape}"
        if output.type != "float" or output.classes is not None:
            if got.tolist() != expected.tolist():
                return f"{method}: {int(np.sum(got != expected))} labels of {got.size} differ"
            continue
        expected = expected.astype(np.float64)
        scale = np.maximum(np.abs(expected), np.nanmax(np.abs(expected), axis=0, initial=0.0))
        error = np.abs(got - expected)
        error[(got == expected) | (np.isnan(got) & np.isnan(expected))] = 0.0
        if not np.all((error <= tolerance * scale) | (error == 0.0)):
            return f"{method} differs by up to {np.nanmax(error / np.where(scale > 0, scale, 1.0)):.1e}, relatively"
    return ""


def table(outcomes: list[Outcome]) -> str:
    """`docs/coverage.md`: one row an estimator, as it comes."""
    exact = sum(outcome.status == "exact" for outcome in outcomes)
    counted = sum(outcome.status != "not applicable" for outcome in outcomes)
    lines = [
        "# Coverage",
        "",
        f"scikit-learn {sklearn.__version__}: {exact} of the {counted} estimators that answer on new rows of a table "
        f"({exact / counted:.1%}) are captured",
        "exactly with their default settings (1e-9 relative on new and perturbed rows, no label different); the others "
        "are refused by name.",
        "Written by `python tests/conformance/coverage.py`; the long sweep fails when it is stale.",
        "",
        "| estimator | | |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{outcome.name}` | {outcome.status} | {outcome.detail.replace('|', '/')} |"
        for outcome in sorted(outcomes, key=lambda outcome: outcome.name.lower())
    ]
    return "\n".join(lines) + "\n"


def sweep(folder: Path) -> list[Outcome]:
    """Every estimator as it comes, those that are exact saved in `folder` under their names."""
    judged = [judge(name, cls, "", {}, folder / f"{name}.afit") for name, cls in applicable()]
    return [*judged, *not_applicable()]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        DOCUMENT.write_text(table(sweep(Path(temporary))), encoding="utf-8")
