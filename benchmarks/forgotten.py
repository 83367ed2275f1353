"""How often `afterfit.save` finds a forgotten scaler, encoder, imputer or target scaler, and refuses honest saves.

    pip install ".[demo,bench]" && python benchmarks/forgotten.py --write docs/forgotten.md

Over real data sets that packages carry, and 13 kinds of model: one step of preprocessing is fitted on three quarters
of the rows, the model on what it makes of them, and the model is given to `save` alone, with the raw rows and with
the processed ones, without and with `y`, on the rows it was fitted on and, for scalers, on the held-out quarter.
Then honest saves of the same models: bare ones fitted on the raw rows, pipelines, steps handed over. Only the checks
of `save` run, with the lowering that they read: whether a save that passes them is exact is measured elsewhere.
`--write` replaces the tables of the document between its markers.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))

from _forgotten_data import Data, datasets
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, RobustScaler, StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
SCALERS = {"StandardScaler": StandardScaler, "MinMaxScaler": MinMaxScaler, "RobustScaler": RobustScaler}

CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "logistic": lambda: LogisticRegression(max_iter=1000),
    "KNN": KNeighborsClassifier,
    "SVM": SVC,
    "MLP": lambda: MLPClassifier(hidden_layer_sizes=(20,), max_iter=300, random_state=0),
    "naive Bayes": GaussianNB,
    "tree": lambda: DecisionTreeClassifier(max_depth=5, random_state=0),
    "forest": lambda: RandomForestClassifier(10, random_state=0),
    "gradient boosting": lambda: GradientBoostingClassifier(n_estimators=10, random_state=0),
    "hist gradient boosting": lambda: HistGradientBoostingClassifier(max_iter=10, random_state=0),
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "linear": LinearRegression,
    "ridge": Ridge,
    "KNN": KNeighborsRegressor,
    "SVM": SVR,
    "MLP": lambda: MLPRegressor(hidden_layer_sizes=(20,), max_iter=300, random_state=0),
    "tree": lambda: DecisionTreeRegressor(max_depth=5, random_state=0),
    "forest": lambda: RandomForestRegressor(10, random_state=0),
    "gradient boosting": lambda: GradientBoostingRegressor(n_estimators=10, random_state=0),
    "hist gradient boosting": lambda: HistGradientBoostingRegressor(max_iter=10, random_state=0),
}
UNSUPERVISED: dict[str, Callable[[], Any]] = {
    "k-means": lambda: KMeans(4, n_init=1, random_state=0),
    "PCA": lambda: PCA(2),
}


@dataclass(frozen=True)
class Save:
    """One call of `save`: a fitted model and the rows given with it.

    `kind`: what was forgotten, or which honest save it is. `given`: `raw` or `processed`. `rows`: `fitted` or
    `held out`. `y`: what is given as `y` where it is.
    """

    data: Data
    kind: str
    given: str
    rows: str
    model_name: str
    model: Any
    X: Any
    y: Any
    preprocess: Any = None
    postprocess: Any = None

    @property
    def honest(self) -> bool:
        return self.kind.startswith("honest")


def findings(save: Save) -> dict[bool, list[str]] | None:
    """The evidence without (False) and with (True) `y`; None where the model is not captured at all."""
    from afterfit.capture._forgotten import check_columns, check_missing, value_findings
    from afterfit.capture._frames import reference_frame
    from afterfit.capture._graph import lower_model
    from afterfit.capture._reference import Reference
    from afterfit.capture._save import _check_answers, _first_output
    from afterfit.errors import ForgottenPreprocessingError, UnsupportedModelError
    from afterfit.schema import Schema, infer_table, pack_table

    reference = Reference(save.model, save.preprocess, save.postprocess)
    frame = reference_frame(save.X)
    try:
        table = infer_table(save.X)
        check_columns(reference, table)
        _check_answers(reference, table, frame, _first_output(save.model))
        lowered = lower_model(reference, table, frame)
        check_missing(reference, lowered, table, frame)
    except ForgottenPreprocessingError as error:
        return {False: list(error.evidence), True: list(error.evidence)}
    except UnsupportedModelError:
        return None
    packed = pack_table(Schema(columns=lowered.columns, outputs=lowered.outputs), save.X)
    return {
        given: [
            f.evidence for f in value_findings(reference, lowered, packed, frame, save.y if given else None)
        ]
        for given in (False, True)
    }


def models(data: Data, names: list[str] | None) -> Iterator[tuple[str, Callable[[], Any]]]:
    for name, make in {**(CLASSIFIERS if data.classification else REGRESSORS), **UNSUPERVISED}.items():
        if names is None or name in names:
            yield name, make


def saves(data: Data, names: list[str] | None = None) -> Iterator[Save]:
    """All saves of a data set, forgetful and honest."""
    order = np.random.default_rng(1).permutation(len(data.X))
    cut = len(order) * 3 // 4
    halves = {"fitted": np.sort(order[:cut]), "held out": np.sort(order[cut:])}
    for name, make in models(data, names):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not data.looks_scaled:
                yield from _forgotten_scalers(data, halves, name, make)
                yield from _forgotten_encoders(data, halves, name, make)
                yield from _forgotten_imputers(data, halves, name, make)
                yield from _forgotten_target_scalers(data, halves, name, make)
            yield from _honest(data, halves, name, make)


def _whole(data: Data, halves: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The columns of numbers, without the rows in which one is missing."""
    full = data.numbers.notna().all(axis=1).to_numpy()
    return data.numbers, {rows: indices[full[indices]] for rows, indices in halves.items()}


def _only_fitted(halves: dict[str, Any]) -> list[tuple[str, Any]]:
    return [("fitted", halves["fitted"])]


def _forgotten_scalers(
    data: Data, halves: dict[str, Any], name: str, make: Callable[[], Any]
) -> Iterator[Save]:
    X, halves = _whole(data, halves)
    if X.shape[1] == 0 or len(halves["fitted"]) < 15:
        return
    train = halves["fitted"]
    for kind, scaler_class in SCALERS.items():
        scaler = scaler_class().fit(X.iloc[train])
        model = make().fit(scaler.transform(X.iloc[train]), data.y.iloc[train])
        for rows, indices in halves.items():
            part, y = X.iloc[indices], data.y.iloc[indices]
            yield Save(data, kind, "raw", rows, name, model, part, y)
            yield Save(data, kind, "processed", rows, name, model, scaler.transform(part), y)


def _forgotten_encoders(
    data: Data, halves: dict[str, Any], name: str, make: Callable[[], Any]
) -> Iterator[Save]:
    X, halves = _whole(data, halves)
    if not data.texts or len(halves["fitted"]) < 15:
        return
    text, train = data.X[data.texts], halves["fitted"]
    coded = text.apply(lambda column: pd.Series(pd.factorize(column, sort=True)[0], index=column.index))
    for kind, encoded in (("one-hot encoder", pd.get_dummies(text, dtype=float)), ("label codes", coded)):
        processed = pd.concat([X, encoded], axis=1)
        model = make().fit(processed.iloc[train], data.y.iloc[train])
        for rows, indices in _only_fitted(halves):
            y = data.y.iloc[indices]
            yield Save(data, kind, "raw", rows, name, model, data.X.iloc[indices], y)
            yield Save(data, kind, "processed", rows, name, model, processed.iloc[indices], y)


def _forgotten_imputers(
    data: Data, halves: dict[str, Any], name: str, make: Callable[[], Any]
) -> Iterator[Save]:
    X, train = data.numbers, halves["fitted"]
    if not X.iloc[train].isna().any(axis=None):
        return
    for kind in ("mean", "median"):
        imputer = SimpleImputer(strategy=kind).fit(X.iloc[train])
        model = make().fit(imputer.transform(X.iloc[train]), data.y.iloc[train])
        for rows, indices in _only_fitted(halves):
            part, y = X.iloc[indices], data.y.iloc[indices]
            if not part.isna().any(axis=None):
                continue
            yield Save(data, f"imputer ({kind})", "raw", rows, name, model, part, y)
            yield Save(data, f"imputer ({kind})", "processed", rows, name, model, imputer.transform(part), y)


def _forgotten_target_scalers(
    data: Data, halves: dict[str, Any], name: str, make: Callable[[], Any]
) -> Iterator[Save]:
    X, halves = _whole(data, halves)
    if data.classification or name in UNSUPERVISED or X.shape[1] == 0 or len(halves["fitted"]) < 15:
        return
    train = halves["fitted"]
    y = data.y.to_numpy(dtype=float)
    for kind, scaler_class in (("StandardScaler", StandardScaler), ("MinMaxScaler", MinMaxScaler)):
        scaled = scaler_class().fit(y[train, None]).transform(y[:, None])[:, 0]
        model = make().fit(X.iloc[train], scaled[train])
        for rows, indices in _only_fitted(halves):
            part = X.iloc[indices]
            yield Save(data, f"target {kind}", "raw", rows, name, model, part, y[indices])
            yield Save(data, f"target {kind}", "processed", rows, name, model, part, scaled[indices])


def _honest(data: Data, halves: dict[str, Any], name: str, make: Callable[[], Any]) -> Iterator[Save]:
    X, whole = _whole(data, halves)
    y = data.y
    if X.shape[1] and len(whole["fitted"]) >= 15:
        train = whole["fitted"]
        scaler = StandardScaler().fit(X.iloc[train])
        named = make().fit(X.iloc[train], y.iloc[train])
        bare = make().fit(X.iloc[train].to_numpy(dtype=float), y.iloc[train])
        scaled = make().fit(scaler.transform(X.iloc[train]), y.iloc[train])
        piped = make_pipeline(MinMaxScaler(), make()).fit(X.iloc[train], y.iloc[train])
        for rows, indices in whole.items():
            part, targets = X.iloc[indices], y.iloc[indices]
            yield Save(data, "honest: bare model", "raw", rows, name, named, part, targets)
            yield Save(
                data, "honest: bare model of an array", "raw", rows, name, bare, part.to_numpy(float), targets
            )
            yield Save(data, "honest: preprocess=scaler", "raw", rows, name, scaled, part, targets, scaler)
            yield Save(data, "honest: pipeline with a scaler", "raw", rows, name, piped, part, targets)
            if not data.classification and name not in UNSUPERVISED:
                yield from _honest_target(data, name, make, X, train, rows, indices)
    if data.texts:
        train = halves["fitted"]
        numbers = make_pipeline(SimpleImputer(), StandardScaler())
        encoders = (
            ("one-hot encoder", OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
            ("ordinal encoder", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
        )
        for kind, encoder in encoders:
            columns = make_column_transformer((numbers, list(X)), (encoder, data.texts))
            model = make_pipeline(columns, make()).fit(data.X.iloc[train], y.iloc[train])
            for rows, indices in halves.items():
                part = data.X.iloc[indices]
                label = f"honest: pipeline with imputer, scaler and {kind}"
                yield Save(data, label, "raw", rows, name, model, part, y.iloc[indices])
    if data.numbers.iloc[halves["fitted"]].isna().any(axis=None):
        for strategy in ("mean", "median"):
            model = make_pipeline(SimpleImputer(strategy=strategy), make())
            model.fit(data.numbers.iloc[halves["fitted"]], y.iloc[halves["fitted"]])
            for rows, indices in halves.items():
                part = data.numbers.iloc[indices]
                label = f"honest: pipeline with an imputer ({strategy}) alone"
                yield Save(data, label, "raw", rows, name, model, part, y.iloc[indices])
    if name.startswith("hist") and data.numbers.isna().any(axis=None):
        model = make().fit(data.numbers.iloc[halves["fitted"]], y.iloc[halves["fitted"]])
        for rows, indices in halves.items():
            part = data.numbers.iloc[indices]
            label = "honest: bare model that takes missing values"
            yield Save(data, label, "raw", rows, name, model, part, y.iloc[indices])


def _honest_target(
    data: Data, name: str, make: Callable[[], Any], X: pd.DataFrame, train: Any, rows: str, indices: Any
) -> Iterator[Save]:
    y = data.y.to_numpy(dtype=float)
    scaler = StandardScaler().fit(y[train, None])
    model = make().fit(X.iloc[train], scaler.transform(y[train, None])[:, 0])
    label = "honest: postprocess=target_scaler"
    yield Save(data, label, "raw", rows, name, model, X.iloc[indices], y[indices], None, scaler)


Counts = dict[tuple[str, str, str, bool], list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="*", help="only these data sets")
    parser.add_argument("--models", nargs="*", help="only these kinds of model")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument(
        "--missed", action="store_true", help="print every forgetful save that was not refused"
    )
    parser.add_argument("--write", type=Path, help="the document whose tables are replaced")
    arguments = parser.parse_args()
    counts: Counts = defaultdict(lambda: [0, 0])
    by_model: Counts = defaultdict(lambda: [0, 0])
    chosen = datasets(arguments.data)
    work = partial(_measure, names=arguments.models, missed=arguments.missed)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for number, (data, counted) in enumerate(zip(chosen, pool.map(work, chosen), strict=True)):
            print(f"{number + 1} of {len(chosen)}: {data.name} {data.X.shape}", file=sys.stderr, flush=True)
            for total, part in zip((counts, by_model), counted, strict=True):
                for key, (refused, saves_of_it) in part.items():
                    total[key][0] += refused
                    total[key][1] += saves_of_it
    text = _tables(counts, by_model, chosen)
    print(text)
    if arguments.write:
        document = arguments.write.read_text(encoding="utf-8")
        before, after = document.split(BEGIN)[0], document.split(END)[1]
        arguments.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def _measure(data: Data, names: list[str] | None, *, missed: bool) -> tuple[dict[Any, Any], dict[Any, Any]]:
    counts: Counts = defaultdict(lambda: [0, 0])
    by_model: Counts = defaultdict(lambda: [0, 0])
    for save in saves(data, names):
        _count(save, counts, by_model, missed=missed)
    return dict(counts), dict(by_model)


def _count(save: Save, counts: Counts, by_model: Counts, *, missed: bool) -> None:
    found = findings(save)
    if found is None:
        return
    kind = f"{save.kind}, published scaled" if save.honest and save.data.looks_scaled else save.kind
    for given, evidence in found.items():
        for table, key in ((counts, kind), (by_model, save.model_name)):
            if table is by_model and (save.honest or save.kind not in SCALERS):
                continue
            table[key, save.given, save.rows, given][0] += bool(evidence)
            table[key, save.given, save.rows, given][1] += 1
        place = f"{save.data.name} | {save.kind} | {save.model_name} | {save.given}, {save.rows}, y {given}"
        if save.honest and evidence and not save.data.looks_scaled:
            print(f"HONEST {place}: {evidence}", file=sys.stderr, flush=True)
        if missed and not save.honest and not evidence:
            print(f"MISSED {place}", file=sys.stderr, flush=True)


def _share(cell: list[int]) -> str:
    return f"{100 * cell[0] / cell[1]:.0f} %" if cell[1] else "-"


def _sum(counts: Counts, kinds: list[str], given: str | None, rows: str | None, y: bool | None) -> list[int]:
    cells = [
        cell
        for (kind, g, r, with_y), cell in counts.items()
        if kind in kinds and g == (given or g) and r == (rows or r) and (y is None or with_y == y)
    ]
    return [sum(cell[0] for cell in cells), sum(cell[1] for cell in cells)]


_COLUMNS = [
    (given, rows, y)
    for given in ("raw", "processed")
    for rows in ("fitted", "held out")
    for y in (False, True)
]


def _caught(counts: Counts, kinds: list[str], head: str) -> list[str]:
    lines = [
        f"| {head} | saves | raw X | raw X, y | raw, held out | raw, held out, y | processed X | processed X, y "
        "| processed, held out | processed, held out, y |",
        "|" + "---|" * 10,
    ]
    for kind in kinds:
        cells = [_share(_sum(counts, [kind], *column)) for column in _COLUMNS]
        lines.append(f"| {kind} | {_sum(counts, [kind], None, None, None)[1]} | {' | '.join(cells)} |")
    return lines


def _tables(counts: Counts, by_model: Counts, chosen: list[Data]) -> str:
    kinds = list(dict.fromkeys(key[0] for key in counts))
    forgotten = [kind for kind in kinds if not kind.startswith("honest")]
    honest = [kind for kind in kinds if kind.startswith("honest") and not kind.endswith("published scaled")]
    published = [kind for kind in kinds if kind.endswith("published scaled")]
    lines = [f"{len(chosen)} data sets, {sum(cell[1] for cell in counts.values()):,} saves.", ""]
    lines += _caught(counts, forgotten, "forgotten, refused")
    total = [_share(_sum(counts, forgotten, *column)) for column in _COLUMNS]
    lines += [f"| all | {_sum(counts, forgotten, None, None, None)[1]} | {' | '.join(total)} |", ""]
    lines += _caught(by_model, list(dict.fromkeys(key[0] for key in by_model)), "forgotten scaler, by model")
    lines += ["", "| honest, refused | saves | refused | share |", "|---|---|---|---|"]
    for kind in honest:
        cell = _sum(counts, [kind], None, None, None)
        lines.append(
            f"| {kind.removeprefix('honest: ')} | {cell[1]} | {cell[0]} | {100 * cell[0] / cell[1]:.2f} % |"
        )
    everything = _sum(counts, honest, None, None, None)
    if everything[1]:
        share = 100 * everything[0] / everything[1]
        lines.append(f"| all | {everything[1]} | {everything[0]} | {share:.2f} % |")
    if published:
        cell = _sum(counts, published, None, None, None)
        lines += ["", f"Honest saves on data published scaled: {cell[0]} of {cell[1]} refused."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
