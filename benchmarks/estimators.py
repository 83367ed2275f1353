"""How fast every estimator of scikit-learn answers as a bundle, against scikit-learn itself in the same run.

    pip install ".[demo]" && python benchmarks/estimators.py

Each estimator that is captured, with its default settings (and SVC with `probability=True` too), is fitted on 500 rows
made of real ones (moved by up to 3 %), and asked for one row and for 10,000 rows through its public methods, given a
2-D array (a DataFrame where it reads text). Both sides run on one core and take turns; medians. Writes
`docs/latency.md`; with names of estimators it only prints them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "latency.md"
FITTED_ON = 500
BATCH = 10_000
SECONDS_ONE = 0.06
SECONDS_BATCH = 0.2
METHODS = ("predict", "predict_proba", "transform")
SETTINGS = {"SVC": {"probability": True}, "NuSVC": {"probability": True}}
"""Settings beside the default ones that answer in another way."""

NOISE = 1.05
"""Within this the two are called equal: medians of a shared machine do not tell them apart."""


@dataclass(frozen=True)
class Latency:
    """Median microseconds a call of one method: `one` row and a `batch`, of the bundle and of scikit-learn."""

    estimator: str
    method: str
    one: float
    one_sklearn: float
    batch: float
    batch_sklearn: float

    @property
    def ratio_one(self) -> float:
        return self.one_sklearn / self.one

    @property
    def ratio_batch(self) -> float:
        return self.batch_sklearn / self.batch


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="ESTIMATOR", help="only these, and write no document")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    found = []
    for latency in measured(arguments.names):
        found.append(latency)
        if arguments.json:
            line = {**asdict(latency), "ratio_one": latency.ratio_one, "ratio_batch": latency.ratio_batch}
            print(json.dumps(line), flush=True)
    if not arguments.json:
        show(found)
    if not arguments.names:
        DOCUMENT.write_text(document(found), encoding="utf-8")
    return 1 if any(latency.ratio_one * NOISE < 1 for latency in found) else 0


def measured(names: list[str]) -> Iterator[Latency]:
    from rich.console import Console
    from rich.progress import track

    sweep = _sweep()
    known = dict(sweep.applicable())
    unknown = sorted(set(names) - set(known))
    if unknown:
        sys.exit(f"no estimator of scikit-learn that answers on new rows is called {', '.join(unknown)}")
    chosen = names or list(known)
    for name in track(chosen, "estimators", console=Console(stderr=True)):
        yield from _estimator(sweep, name, known[name], {})
        if name in SETTINGS:
            yield from _estimator(sweep, name, known[name], SETTINGS[name])


def _sweep() -> Any:
    """The conformance sweep, which knows how every class is made and what it can be fitted on."""
    path = ROOT / "tests" / "conformance" / "coverage.py"
    spec = importlib.util.spec_from_file_location("afterfit_coverage", path)
    if spec is None or spec.loader is None:
        sys.exit(f"{path} is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _estimator(sweep: Any, name: str, cls: type, chosen: dict[str, Any]) -> Iterator[Latency]:
    import afterfit

    title = name + (f"({', '.join(f'{key}={value}' for key, value in chosen.items())})" if chosen else "")
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        fitted = _fitted(sweep, name, cls, chosen)
        if fitted is None:
            return
        model, X = fitted
        try:
            path = Path(folder) / "model.afit"
            afterfit.save(model, path, X=X)
        except afterfit.CaptureError:
            return
        saved = afterfit.load(path, threads=1)
        one, batch = _rows(X, 1), _rows(X, BATCH)
        for method in METHODS:
            if method in saved.manifest.entry_points:
                ours, theirs = getattr(saved, method), getattr(model, method)
                yield Latency(
                    title,
                    method,
                    *_medians(lambda: ours(one), lambda: theirs(one), SECONDS_ONE),  # noqa: B023 - called at once
                    *_medians(lambda: ours(batch), lambda: theirs(batch), SECONDS_BATCH),  # noqa: B023 - likewise
                )


def _fitted(sweep: Any, name: str, cls: type, chosen: dict[str, Any]) -> tuple[Any, Any] | None:
    import numpy as np

    for key in sweep.data_for(name, cls):
        data = sweep.DATA[key]
        X = _more(data.X, key)
        y = np.concatenate([data.y] * (FITTED_ON // len(data.X) + 1))[:FITTED_ON]
        try:
            model = sweep.make(name, cls, chosen, small={"n_components": 2}).fit(X, y)
            getattr(model, "predict" if hasattr(model, "predict") else "transform")(X)
        except Exception:  # noqa: BLE001 - scikit-learn refuses data in many ways; the sweep says which
            continue
        return model, X
    return None


def _more(X: Any, key: str) -> Any:
    """`FITTED_ON` rows like those of `X`."""
    import numpy as np
    import pandas as pd

    from afterfit.testing import perturbed, recombined

    make = recombined if key in ("counts", "categories", "documents") else perturbed
    parts = [make(X, seed=seed) for seed in range(FITTED_ON // len(X) + 1)]
    joined = pd.concat(parts, ignore_index=True) if hasattr(X, "iloc") else np.vstack(parts)
    if key == "positive numbers":
        joined = np.abs(joined)
    return joined[:FITTED_ON]


def _rows(X: Any, count: int) -> Any:
    import numpy as np

    indices = np.arange(count) % len(X)
    return X.iloc[indices].reset_index(drop=True) if hasattr(X, "iloc") else X[indices]


def _medians(ours: Callable[[], object], theirs: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Median microseconds of both, which take turns for so many seconds each, and at least five times."""
    ours()
    theirs()
    taken: tuple[list[float], list[float]] = ([], [])
    while len(taken[0]) < 5 or (sum(taken[0]) + sum(taken[1]) < 2 * seconds and len(taken[0]) < 1000):
        for call, times in zip((ours, theirs), taken, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return statistics.median(taken[0]) * 1e6, statistics.median(taken[1]) * 1e6


def show(found: list[Latency]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"microseconds a call; ratio: scikit-learn / bundle; batch: {BATCH:,} rows")
    for column in ("estimator", "method", "one", "sklearn", "ratio", "batch", "sklearn", "ratio"):
        table.add_column(column, justify="left" if column in ("estimator", "method") else "right")
    for latency in sorted(found, key=lambda latency: latency.ratio_one):
        table.add_row(
            latency.estimator,
            latency.method,
            f"{latency.one:,.0f}",
            f"{latency.one_sklearn:,.0f}",
            f"{latency.ratio_one:.1f}",
            f"{latency.batch:,.0f}",
            f"{latency.batch_sklearn:,.0f}",
            f"{latency.ratio_batch:.1f}",
        )
    Console().print(table)


def document(found: list[Latency]) -> str:
    import onnxruntime
    import sklearn

    slow_one = [latency for latency in found if latency.ratio_one * NOISE < 1]
    slow_batch = sorted(
        (latency for latency in found if latency.ratio_batch * NOISE < 1), key=lambda one: one.ratio_batch
    )
    ratios = [statistics.median(getattr(one, name) for one in found) for name in ("ratio_one", "ratio_batch")]
    names = len({latency.estimator for latency in found})
    lines = [
        "# Latency",
        "",
        "Written by `python benchmarks/estimators.py`, which says how it is measured: "
        f"{names} estimators of scikit-learn {sklearn.__version__} against their",
        f"bundles (ONNX Runtime {onnxruntime.__version__}), one core of a shared machine, medians of calls in turn. A "
        "ratio is scikit-learn's time divided by the bundle's:",
        f"over 1, the bundle is faster. Median ratio: {ratios[0]:.1f} on one row, {ratios[1]:.1f} in batches of "
        f"{BATCH:,}.",
        "",
        f"Slower than scikit-learn on one row (by over {NOISE - 1:.0%}): {_names(slow_one, 'ratio_one')}.",
        "",
        f"Slower in batches of {BATCH:,}: {_names(slow_batch, 'ratio_batch')}.",
        "",
        "| estimator | method | one row, µs | sklearn, µs | ratio | batch, ms | sklearn, ms | ratio |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
        *[
            f"| `{one.estimator}` | `{one.method}` | {one.one:,.0f} | {one.one_sklearn:,.0f} | {one.ratio_one:.1f} "
            f"| {one.batch / 1000:,.1f} | {one.batch_sklearn / 1000:,.1f} | {one.ratio_batch:.1f} |"
            for one in found
        ],
    ]
    return "\n".join(lines) + "\n"


def _names(found: list[Latency], ratio: str) -> str:
    named = [f"`{one.estimator}.{one.method}` ({getattr(one, ratio):.2f})" for one in found]
    return ", ".join(named) if named else "none"


if __name__ == "__main__":
    sys.exit(main())
