"""Every estimator of scikit-learn that answers on new rows: saved and compared, or refused with a reason.

`python tests/conformance/coverage.py` sweeps every setting of them and writes `docs/coverage.md`.
"""

from __future__ import annotations

import inspect
import sys
import tempfile
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
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
from afterfit.testing import RELATIVE, FreshProcess, check_estimator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOCUMENT = Path(__file__).parents[2] / "docs" / "coverage.md"
NEIGHBOURS = (
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "KNeighborsTransformer",
    "LabelPropagation",
    "LabelSpreading",
    "LocalOutlierFactor",
    "RadiusNeighborsClassifier",
    "RadiusNeighborsRegressor",
    "RadiusNeighborsTransformer",
)
"""Classes whose answers depend on which of equally near rows is nearer."""

NOT_ROWS = {
    "DictVectorizer": "it reads dicts, not rows of a table",
    "FeatureHasher": "it reads dicts, not rows of a table",
    "HashingVectorizer": "it reads documents, not rows of a table; tests/conformance has its own",
    "KernelCenterer": "it reads a kernel between rows, not rows",
    "LabelBinarizer": "it transforms targets, not rows",
    "LabelEncoder": "it transforms targets, not rows",
    "MultiLabelBinarizer": "it transforms targets, not rows",
    "PatchExtractor": "it reads images, not rows of a table",
}
"""Classes with `predict` or `transform` that answer on something else than rows of a table."""

ANSWERS_AS_WHAT_IT_HOLDS = ("FrozenEstimator",)
"""Classes that have the methods of the estimator they are made with, and so none of their own."""

SMALL = {"n_estimators": 8, "n_components": 2, "n_quantiles": 20, "n_bins": 4, "thresholds": 10, "Cs": 3}
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


def _uneven(X: Any, seed: int) -> Any:
    """`X` with no two rows at the same distance: among such neighbours scikit-learn itself chooses by chance."""
    draw = np.random.default_rng(seed)
    return X + draw.uniform(0.0, 1e-3, X.shape) * np.ptp(X, axis=0)


def _data() -> dict[str, Data]:
    def split(X: Any, y: Any, size: int = 120) -> Data:
        rows = np.random.default_rng(0).permutation(len(X))[: size + 60]
        X, y = X[rows], y[rows]
        noise = np.random.default_rng(1).uniform(-0.03, 0.03, X.shape) * np.ptp(X, axis=0)
        return Data(X[:size], y[:size], np.vstack([X[size:], X + noise]))

    iris, kind = load_iris(return_X_y=True)
    cancer, ill = load_breast_cancer(return_X_y=True)
    diabetes, progress = load_diabetes(return_X_y=True)
    flowers, sugar = split(iris, kind), split(diabetes, progress)
    bins = np.floor(flowers.X)
    words = pd.DataFrame(np.char.add("b", bins.astype(int).astype(str)), columns=list("abcd"))
    uneven = _uneven(flowers.X, 2)
    gaps = np.where(np.random.default_rng(4).random(flowers.X.shape) < 0.1, np.nan, uneven)
    return {
        "three classes": flowers,
        "uneven classes": Data(uneven, flowers.y, _uneven(flowers.new, 3)),
        "uneven numbers": Data(_uneven(sugar.X, 2), sugar.y, _uneven(sugar.new, 3)),
        "gaps": Data(gaps, flowers.y, np.vstack([gaps[::-1], flowers.new])),
        "two classes": split(cancer[:, :6], ill),
        "numbers": sugar,
        "positive numbers": split(np.abs(diabetes) * 10, progress),
        "one column": split(diabetes[:, [2]], progress),
        "targets": split(diabetes, np.column_stack([progress, progress**2 / 100])),
        "labels": Data(
            flowers.X, np.column_stack([flowers.y == 0, flowers.X[:, 0] > 5.5]).astype(int), flowers.new
        ),
        "low numbers": Data(flowers.X / 8, flowers.y, flowers.new / 8),
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
    with warnings.catch_warnings():
        # Making one that is deprecated warns.
        warnings.simplefilter("ignore")
        defaults = cls(**required(cls)).get_params(deep=False)
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


def judge(
    name: str, cls: type, setting: str, chosen: dict[str, Any], path: Path, process: FreshProcess
) -> Outcome:
    """Fit and check; anything but exact answers or a refusal by name is `wrong`."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            model, data = _fit(name, cls, chosen)
        except _NoFitError as error:
            return Outcome(name, setting, "not applicable", str(error))
        rows = [] if data.new is None else [data.new]
        try:
            report = check_estimator(model, data.X, data.y, rows=rows, path=path, process=process)
        except afterfit.UnsupportedModelError as error:
            return Outcome(name, setting, "refused", error.reason)
        except Exception as error:  # noqa: BLE001 - whatever it is, the sweep reports it
            return Outcome(name, setting, "wrong", f"{type(error).__name__}: {error}")
    stated = "to 1e-6, as the library adds up in float32" if report.relative > RELATIVE else ""
    return Outcome(name, setting, "exact", stated)


class _NoFitError(Exception):
    """No data that the sweep has can be learned from with this setting."""


def _fit(name: str, cls: type, chosen: dict[str, Any]) -> tuple[Any, Data]:
    failures = []
    for key in data_for(name, cls):
        data = DATA[key]
        try:
            model = make(name, cls, chosen)
            fitted = model.fit(data.X, data.y)
            answer = "predict" if hasattr(fitted, "predict") else "transform"
            getattr(fitted, answer)(data.X)
        except Exception as error:  # noqa: BLE001 - scikit-learn refuses this data or setting in many ways
            failures.append(str(error))
        else:
            return fitted, data
    raise _NoFitError("scikit-learn cannot be fitted so: " + failures[0].splitlines()[0] if failures else "")


def data_for(name: str, cls: type) -> tuple[str, ...]:
    """The names of the data sets in `DATA` to try for a class, in order."""
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
    if name == "SGDClassifier":
        return ("low numbers",)
    if name in NEIGHBOURS:
        return ("uneven numbers",) if kind == "regressor" else ("uneven classes",)
    return {"classifier": FOR_CLASSIFIERS, "regressor": FOR_REGRESSORS}.get(str(kind), FOR_OTHERS)


def required(cls: type) -> dict[str, Any]:
    """What it cannot be made without, under the names that this release of scikit-learn has."""
    known = inspect.signature(cls).parameters
    renamed = {"estimator": "base_estimator"}
    return {
        key if key in known else renamed[key]: value for key, value in REQUIRED.get(cls.__name__, {}).items()
    }


def _mixin(cls: type) -> str | None:
    names = {base.__name__ for base in cls.__mro__}
    return "classifier" if "ClassifierMixin" in names else "regressor" if "RegressorMixin" in names else None


def make(name: str, cls: type, chosen: dict[str, Any], small: Mapping[str, int] = SMALL) -> Any:
    """The estimator, not fitted, with `chosen` parameters; those that count what takes time are made `small`."""
    if cls in (CountVectorizer, TfidfVectorizer):
        from sklearn.compose import ColumnTransformer

        return ColumnTransformer([("words", cls(**chosen), "text")])
    arguments = required(cls)
    if name == "FrozenEstimator":
        arguments["estimator"] = LogisticRegression(max_iter=2000).fit(
            DATA["three classes"].X, DATA["three classes"].y
        )
    model = cls(**arguments)
    known = model.get_params(deep=False)
    fixed = {key: value for key, value in small.items() if isinstance(known.get(key), int)}
    if "random_state" in known:
        fixed["random_state"] = 0
    model.set_params(**{**fixed, **chosen})
    return model


@dataclass(frozen=True)
class Row:
    """What `docs/coverage.md` says of one estimator: as it comes, and in how many of its settings it is exact."""

    default: Outcome
    exact: int
    applicable: int
    refused: tuple[Outcome, ...]

    @staticmethod
    def of(outcomes: list[Outcome]) -> Row:
        """From the outcomes of all settings of one estimator, the first of which is as it comes."""
        counts = Counter(outcome.status for outcome in outcomes)
        refused = tuple(outcome for outcome in outcomes if outcome.status == "refused" and outcome.setting)
        return Row(outcomes[0], counts["exact"], len(outcomes) - counts["not applicable"], refused)

    def line(self) -> str:
        """Its line of the table."""
        of = f"{self.exact} of {self.applicable}" if self.default.status != "not applicable" else ""
        return f"{row_start(self.default)} {of} |"


def row_start(outcome: Outcome) -> str:
    """The line of the table as far as the estimator as it comes decides it."""
    detail = outcome.detail.replace("|", "/")
    return f"| `{outcome.name}` | {outcome.status} | {detail} |"


def table(rows: list[Row]) -> str:
    """`docs/coverage.md`: one row an estimator, then the settings that are refused."""
    counted = [row for row in rows if row.default.status != "not applicable"]
    exact = [row for row in counted if row.default.status == "exact"]
    settings_exact, settings_all = sum(row.exact for row in rows), sum(row.applicable for row in rows)
    lines = [
        "# Coverage",
        "",
        f"scikit-learn {sklearn.__version__}: {len(exact)} of the {len(counted)} estimators that answer on new rows of "
        f"a table ({len(exact) / len(counted):.1%}) are captured",
        "exactly with their default settings, and so are",
        f"{settings_exact:,} of their {settings_all:,} settings ({settings_exact / settings_all:.1%}): every named "
        "option and every switch of theirs, one at a time. Exact: 1e-9 relative on held-out,",
        "perturbed and recombined rows, no label different, answered in a process without scikit-learn. The others are "
        "refused by name.",
        "",
        "Written by `python tests/conformance/coverage.py`; the suite fails when a row is stale, the long sweep when a "
        "figure is.",
        "",
        "| estimator | as it comes | | settings exact |",
        "|---|---|---|---|",
        *[row.line() for row in rows],
        "",
        "## Settings that are refused",
        "",
        "Of estimators that are exact as they come.",
        "",
        "| estimator | setting | |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{outcome.name}` | `{outcome.setting}` | {outcome.detail.replace('|', '/')} |"
        for row in exact
        for outcome in row.refused
    ]
    return "\n".join(lines) + "\n"


def outcomes_of(name: str, cls: type, process: FreshProcess, path: Path) -> list[Outcome]:
    """Every setting of one estimator, as it comes first."""
    return [judge(name, cls, setting, chosen, path, process) for setting, chosen in settings(cls)]


def _swept(name: str) -> list[Outcome]:
    with FreshProcess() as process, tempfile.TemporaryDirectory() as folder:
        return outcomes_of(name, dict(applicable())[name], process, Path(folder) / "model.afit")


def main() -> int:
    """Write the document; 1 where an estimator is wrong."""
    from rich.progress import track

    names = [name for name, _ in applicable()]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        swept = list(track(pool.map(_swept, names), "estimators", total=len(names)))
    wrong = [outcome for outcomes in swept for outcome in outcomes if outcome.status == "wrong"]
    for outcome in wrong:
        print(outcome, file=sys.stderr)
    if not wrong:
        rows = [Row.of(outcomes) for outcomes in [*swept, *([outcome] for outcome in not_applicable())]]
        rows.sort(key=lambda row: row.default.name.lower())
        DOCUMENT.write_text(table(rows), encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
