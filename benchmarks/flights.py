"""Parity and speed of the flights pipelines against scikit-learn itself and against skl2onnx.

    pip install ".[demo]" skl2onnx && python benchmarks/flights.py

Trains three pipelines (impute + scale + one-hot, then logistic regression, HistGradientBoosting, RandomForest of
100 trees) on January to June, answers every flight of July to December, and prints one table: labels that differ,
the largest difference of a probability, rows a second in batches and microseconds a row, with the ratio to the
scikit-learn pipeline measured in the same run. scikit-learn keeps its defaults; `--threads 1` holds both to one
core. skl2onnx is asked for the same pipeline in double precision, and its failures are named.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROUNDS = 5
SINGLE_CALLS = 200


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, help="hold scikit-learn and afterfit to this many cores")
    parser.add_argument("--models", nargs="*", default=["logistic", "hist", "forest"])
    arguments = parser.parse_args()
    if arguments.threads:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    _report(arguments.models)


def pipelines() -> dict[str, Callable[[], Any]]:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    from afterfit.cli._demo_model import NUMBERS, TEXTS

    def pipeline(model: Any, *, dense: bool) -> Any:
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=not dense)
        columns = make_column_transformer(
            (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS), (encoder, TEXTS)
        )
        return make_pipeline(columns, model)

    return {
        "logistic": lambda: pipeline(LogisticRegression(max_iter=500), dense=False),
        "hist": lambda: pipeline(HistGradientBoostingClassifier(random_state=0), dense=True),
        "forest": lambda: pipeline(
            RandomForestClassifier(100, min_samples_leaf=20, random_state=0), dense=False
        ),
    }


def _report(names: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    from afterfit.cli._demo_model import load_flights

    flights = load_flights()
    table = Table(title=f"{len(flights.held_out):,} held-out flights, {len(os.sched_getaffinity(0))} cores")
    for heading in (
        "pipeline",
        "by",
        "labels different",
        "max error",
        "rows/s",
        "x sklearn",
        "one row, us",
        "x sklearn",
    ):
        table.add_column(heading, justify="left" if heading in ("pipeline", "by") else "right")
    for name in names:
        for row in _measure(name, flights):
            table.add_row(name, *row)
    Console(width=140).print(table)


def _measure(name: str, flights: Any) -> list[list[str]]:
    import numpy as np

    import afterfit

    pipeline = pipelines()[name]().fit(flights.train, flights.late)
    labels, probabilities = pipeline.predict(flights.held_out), pipeline.predict_proba(flights.held_out)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.afit"
        model = afterfit.save(pipeline, path, X=flights.train)
        size = path.stat().st_size
    one = flights.held_out.head(1)
    row = one.astype(object).to_dict("records")
    theirs = (
        _best(lambda: pipeline.predict_proba(flights.held_out), ROUNDS),
        _median(lambda: pipeline.predict_proba(one)),
    )
    ours = (
        _best(lambda: model.predict_proba(flights.held_out), ROUNDS),
        _median(lambda: model.predict_proba(row)),
    )
    different = int((model.predict(flights.held_out) != labels).sum())
    error = float(np.abs(model.predict_proba(flights.held_out) - probabilities).max())
    count = len(flights.held_out)
    return [
        ["sklearn", "", "", f"{count / theirs[0]:,.0f}", "1.0", f"{theirs[1] * 1e6:,.0f}", "1"],
        [
            f"afterfit ({size / 1e6:.1f} MB)",
            str(different),
            f"{error:.1e}",
            f"{count / ours[0]:,.0f}",
            f"{theirs[0] / ours[0]:.1f}",
            f"{ours[1] * 1e6:,.0f}",
            f"{theirs[1] / ours[1]:,.0f}",
        ],
        _skl2onnx(pipeline, flights, labels, probabilities, theirs),
    ]


def _skl2onnx(
    pipeline: Any, flights: Any, labels: Any, probabilities: Any, theirs: tuple[float, float]
) -> list[str]:
    try:
        import skl2onnx
    except ModuleNotFoundError:
        return ["skl2onnx: not installed", "", "", "", "", "", ""]
    import numpy as np
    import onnxruntime
    from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

    from afterfit.cli._demo_model import TEXTS

    types = [
        (column, StringTensorType([None, 1]) if column in TEXTS else DoubleTensorType([None, 1]))
        for column in flights.train.columns
    ]
    options = {type(pipeline[-1]): {"zipmap": False}}
    try:
        converted = skl2onnx.to_onnx(pipeline, initial_types=types, options=options)
        session = onnxruntime.InferenceSession(
            converted.SerializeToString(), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # noqa: BLE001 - whatever the converter raises is the result to report
        return [
            f"skl2onnx {skl2onnx.__version__}: {type(error).__name__}: {str(error)[:60]}",
            "",
            "",
            "",
            "",
            "",
            "",
        ]

    def answer(frame: Any) -> list[Any]:
        feed = {
            column: frame[[column]].to_numpy(dtype=object if column in TEXTS else np.float64)
            for column in frame.columns
        }
        return session.run(None, feed)

    one = flights.held_out.head(1)
    got = answer(flights.held_out)
    batch, single = _best(lambda: answer(flights.held_out), ROUNDS), _median(lambda: answer(one))
    return [
        f"skl2onnx {skl2onnx.__version__}",
        str(int((got[0] != labels).sum())),
        f"{float(np.abs(got[1] - probabilities).max()):.1e}",
        f"{len(flights.held_out) / batch:,.0f}",
        f"{theirs[0] / batch:.1f}",
        f"{single * 1e6:,.0f}",
        f"{theirs[1] / single:,.0f}",
    ]


def _best(call: Callable[[], Any], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return min(taken)


def _median(call: Callable[[], Any]) -> float:
    taken = []
    for _ in range(SINGLE_CALLS):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return sorted(taken)[len(taken) // 2]


if __name__ == "__main__":
    main()
