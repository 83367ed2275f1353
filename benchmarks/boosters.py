"""Boosters on the flights: does any label differ, and how fast is the bundle against the library itself?

    pip install ".[demo,boosters]" && python benchmarks/boosters.py
    python benchmarks/boosters.py --trees 20 --rows 5000    # a small form

Fits each library's classifier on the flights of January to June as they are, text columns as the library's own
categories and missing values as they come, saves it, and answers every flight of July to December with both. One line
for each: labels that differ, ties (rows whose probability lies within the stated tolerance of 0.5, where the library
rounds in float32), the largest difference of a probability, and the library's time for a batch and for one row divided
by ours. CatBoost is fitted three times: with one-hot splits, with statistics of single categories, which is its default
here, and with statistics of combinations.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROUNDS = 3
SINGLE_CALLS = 50


def models(trees: int) -> dict[str, Callable[[Any, Any], Any]]:
    from afterfit.cli._demo_model import TEXTS

    def xgboost(X: Any, y: Any) -> Any:
        from xgboost import XGBClassifier

        return XGBClassifier(n_estimators=trees, enable_categorical=True).fit(X, y)

    def lightgbm(X: Any, y: Any) -> Any:
        from lightgbm import LGBMClassifier

        return LGBMClassifier(n_estimators=trees, verbose=-1).fit(X, y)

    def catboost(**options: Any) -> Callable[[Any, Any], Any]:
        def fit(X: Any, y: Any) -> Any:
            from catboost import CatBoostClassifier

            return CatBoostClassifier(
                iterations=trees, cat_features=TEXTS, verbose=0, allow_writing_files=False, **options
            ).fit(X, y)

        return fit

    return {
        "xgboost": xgboost,
        "lightgbm": lightgbm,
        "catboost-one-hot": catboost(one_hot_max_size=255),
        "catboost": catboost(),
        "catboost-combinations": catboost(max_ctr_complexity=4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--models", nargs="*", default=list(models(0)))
    parser.add_argument("--rows", type=int, help="flights to fit on, and to answer; all by default")
    arguments = parser.parse_args()
    _report(arguments.models, arguments.trees, arguments.rows)


def _report(names: list[str], trees: int, rows: int | None) -> None:
    from afterfit.cli._demo_model import TEXTS, load_flights

    flights = _spread(load_flights(), rows)
    categories = {name: sorted({*flights.train[name], *flights.held_out[name]}) for name in TEXTS}
    print(f"{len(flights.held_out):,} held-out flights, {trees} trees", flush=True)
    for name in names:
        print(f"{name}: {_measure(name, trees, flights, categories)}", flush=True)


def _spread(flights: Any, rows: int | None) -> Any:
    """Flights to fit on and held-out ones, `rows` of each, evenly spread over the year."""
    import numpy as np

    def pick(count: int) -> Any:
        return np.linspace(0, count - 1, min(rows or count, count)).astype(int)

    train, held_out = pick(len(flights.train)), pick(len(flights.held_out))
    return replace(
        flights,
        train=flights.train.iloc[train].reset_index(drop=True),
        late=flights.late[train],
        held_out=flights.held_out.iloc[held_out].reset_index(drop=True),
    )


def _measure(name: str, trees: int, flights: Any, categories: dict[str, list[str]]) -> str:
    import numpy as np
    import pandas as pd

    import afterfit

    def prepared(X: Any) -> Any:
        if name.startswith("catboost"):
            return X
        return X.astype({column: pd.CategoricalDtype(values) for column, values in categories.items()})

    train, held_out = prepared(flights.train), prepared(flights.held_out)
    fitted = models(trees)[name](train, (flights.late == "late").astype(int))
    with tempfile.TemporaryDirectory() as folder:
        model = afterfit.save(fitted, Path(folder) / f"{name}.afit", X=train)
    one = held_out.head(1)
    row = flights.held_out.head(1).astype(object).to_dict("records")
    expected, got = fitted.predict_proba(held_out), model.predict_proba(held_out)
    different = fitted.predict(held_out) != model.predict(held_out)
    tied = np.abs(expected[:, 1] - 0.5) <= model.manifest.parity.tolerance
    theirs = _best(lambda: fitted.predict_proba(held_out), ROUNDS)
    ours = _best(lambda: model.predict_proba(held_out), ROUNDS)
    one_theirs = _best(lambda: fitted.predict_proba(one), SINGLE_CALLS)
    one_ours = _best(lambda: model.predict_proba(row), SINGLE_CALLS)
    return (
        f"labels different {int((different & ~tied).sum())}, ties {int((different & tied).sum())}, "
        f"max error {np.abs(expected - got).max():.1e}, "
        f"batch {theirs / ours:.2f} x, one row {one_theirs / one_ours:.0f} x"
    )


def _best(call: Callable[[], Any], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return min(taken)


if __name__ == "__main__":
    main()
