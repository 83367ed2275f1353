"""On fixed data sets no honest save is refused, and forgotten scalers mostly are found."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.sweep

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DATA = ["iris", "wine", "diabetes"]
"""Bundled with scikit-learn, so that they are the same rows everywhere."""

CAUGHT = {("raw", False): 0.6, ("raw", True): 0.8, ("processed", False): 0.9}
"""Least share of forgotten scalers that are found, on the rows the model was fitted on, by what is given and by `y`."""


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("forgotten")
    for name in ("forgotten", "_forgotten_data"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.filterwarnings("ignore")
def test_no_honest_save_is_refused_and_forgotten_scalers_are_found(name: str, benchmark: Any):
    (data,) = benchmark.datasets([name])
    counts: dict[tuple[str, bool], list[int]] = {key: [0, 0] for key in CAUGHT}
    for save in benchmark.saves(data):
        found = benchmark.findings(save)
        if found is None:
            continue
        if save.honest:
            assert found == {False: [], True: []}, (save.kind, save.model_name, save.rows)
        elif save.kind in benchmark.SCALERS and save.rows == "fitted":
            for y, evidence in found.items():
                if (save.given, y) in counts:
                    counts[save.given, y][0] += bool(evidence)
                    counts[save.given, y][1] += 1
    for key, (refused, saves) in counts.items():
        assert refused >= CAUGHT[key] * saves, (key, refused, saves)
