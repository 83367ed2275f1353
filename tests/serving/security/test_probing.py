"""What is counted of each key, so that a person sees who reads a model out."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from afterfit.serving._security._steps import MOST_ROWS, SAMPLE, Steps
from afterfit.serving.contracts import OperationsContract


@pytest.fixture
def guarded(guard, keyring):
    return guard(keys=str(keyring.path))


def test_rows_and_rows_that_do_not_fit_are_counted_by_key_whatever_the_contract(guarded, keyring, tools):
    good = {"x": 1, "y": 2, "kind": "a"}
    bad = {"x": "no", "y": "neither", "kind": "a"}
    split = {"columns": ["x", "y", "kind"], "data": [[1, 2, "a"]] * 3}
    infer = {
        "inputs": [
            {"name": "x", "datatype": "FP64", "shape": [2], "data": [1.5, 2]},
            {"name": "y", "datatype": "FP64", "shape": [2], "data": [3, 4]},
            {"name": "kind", "datatype": "BYTES", "shape": [2], "data": ["a", "z"]},
        ]
    }
    sent = [
        ("/predict", {"rows": [good, good]}, 2, 0),
        ("/predict", {"rows": [good, bad, bad]}, 0, 2),
        ("/check", {"rows": [bad]}, 0, 1),
        ("/invocations", {"dataframe_split": split}, 3, 0),
        ("/invocations", {"instances": [bad, good]}, 0, 1),
        ("/v1/models/spy:predict", {"instances": [good]}, 1, 0),
        ("/vertex/predict", {"instances": [bad]}, 0, 1),
        ("/v2/models/spy/infer", infer, 0, 1),
    ]
    for path, body, rows, invalid in sent:
        before = [
            guarded.count(f"afterfit_key_{what}_total", key="predict-key")
            for what in ("rows", "invalid_rows")
        ]
        guarded.send("POST", path, json.dumps(body).encode(), keyring.predict)
        after = [
            guarded.count(f"afterfit_key_{what}_total", key="predict-key")
            for what in ("rows", "invalid_rows")
        ]
        assert [now - then for now, then in zip(after, before, strict=True)] == [rows, invalid], path
    assert guarded.count("afterfit_key_requests_total", key="predict-key") == len(sent)
    assert guarded.count("afterfit_key_requests_total", key="admin-key") == 0


def test_they_are_in_the_metrics(guard, keyring, tools):
    made = []

    def more(plane):
        return [OperationsContract(plane, made[0].meter)] if made else []

    guarded = guard(keys=str(keyring.path), more=more)
    made.append(guarded)
    guarded.app.start()
    row = tools.row(x=1.0)
    guarded.send("POST", "/predict", tools.rows(row, {**row, "x": 2.0}), keyring.predict)
    guarded.send("GET", "/models")
    text = guarded.send("GET", "/metrics", key=keyring.admin).body.decode()
    assert 'afterfit_key_rows_total{key="predict-key"} 2' in text
    assert 'afterfit_key_steps_total{key="predict-key"} 1' in text
    assert 'afterfit_refused_total{reason="no-key"} 1' in text


def table(*rows):
    return {
        "number": np.array([row[:2] for row in rows], dtype=np.float64),
        "text": np.array([row[2:] for row in rows], dtype=object),
    }


class Counting(Steps):
    def count(self, model, packed):
        return super().count(model, packed, len(next(iter(packed.values()))))


def test_a_walk_on_a_grid_is_told_from_rows_as_they_come():
    rng = np.random.default_rng(3)
    steps = Counting()
    grid = [(x, y, "a") for x in range(10) for y in range(10)]
    # Where a line of the grid ends, both columns change.
    assert steps.count("m", table(*grid)) == (99, 90)
    real = [(rng.normal(), rng.normal(), rng.choice(["a", "b"])) for _ in range(100)]
    assert steps.count("m", table(*real)) == (99, 0)
    assert steps.count("m", table(*[(1.0, 2.0, "a")] * 50)) == (49, 0), "rows sent again are no steps"
    nan = float("nan")
    assert steps.count("m", table((nan, 1.0, "a"), (nan, 2.0, "a"), (nan, 2.0, "b"), (0.0, 2.0, "b"))) == (
        3,
        3,
    )
    assert steps.count("m", table(*grid * 10)) == (MOST_ROWS - 1, 230)


def test_requests_of_one_row_are_a_sample():
    steps = Counting()
    found = [steps.count("m", table((float(x), 1.0, "a"))) for x in range(5 * SAMPLE)]
    assert sum(compared for compared, _ in found) == sum(stepped for _, stepped in found) == 5
    other = Counting()
    found = [other.count(f"m{x % 2}", table((float(x), 1.0, "a"))) for x in range(5 * SAMPLE)]
    assert sum(compared for compared, _ in found) == 0, "rows of two models are not compared"


def test_a_tensor_is_one_column():
    images = np.zeros((3, 4, 4), dtype=np.float32)
    images[1] += 1
    images[2] = images[1]
    assert Counting().count("m", {"image": images}) == (2, 1)


def test_without_keys_nothing_is_counted_by_key(guard, tools):
    guarded = guard()
    assert guarded.send("POST", "/predict", tools.rows(tools.row())).status == 200
    assert guarded.count("afterfit_key_rows_total") == 0


def test_callers_at_the_same_moment_are_not_mixed_up(guarded, keyring, tools):
    async def main():
        return await asyncio.gather(
            *[
                tools.call(
                    guarded.app,
                    "POST",
                    "/predict",
                    tools.rows(*[tools.row()] * count),
                    [(b"x-api-key", key.encode())],
                )
                for count, key in [(1, keyring.predict), (2, keyring.admin)] * 20
            ]
        )

    assert {reply.status for reply in asyncio.run(main())} == {200}
    assert guarded.count("afterfit_key_rows_total", key="predict-key") == 20
    assert guarded.count("afterfit_key_rows_total", key="admin-key") == 40
