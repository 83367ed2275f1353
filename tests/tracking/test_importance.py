"""What matters is told apart from what does not, and too few runs are not talked about."""

from __future__ import annotations

import numpy as np
import pytest

from afterfit.errors import ArgumentError
from afterfit.tracking import explain_metric

RANDOM = np.random.default_rng(3)
RATE, NOISE = RANDOM.random(200), RANDOM.random(200)
KIND = RANDOM.choice(["a", "b", "c"], 200).tolist()
LOSS = (RATE - 0.4) ** 2 + 0.01 * RANDOM.random(200)


def test_the_parameter_that_decides_has_the_largest_share():
    columns = {"noise": NOISE.tolist(), "rate": RATE.tolist(), "kind": KIND, "fixed": [1] * 200}
    found = {one.name: one for one in explain_metric(columns, LOSS, lower=True)}
    assert next(iter(found)) == "rate"
    assert set(found) == {"rate", "noise", "kind"}
    assert found["rate"].low > max(found["noise"].high, found["kind"].high)
    assert found["rate"].chance < 0.01 < min(found["noise"].chance, found["kind"].chance)
    assert sum(one.share for one in found.values()) == pytest.approx(1.0)
    assert explain_metric(columns, LOSS, lower=True) == explain_metric(columns, LOSS, lower=True)
    assert [one.name for one in explain_metric(columns, -LOSS, lower=False)] == list(found)


def test_a_category_and_a_gap_may_matter():
    loss = [0.0 if kind == "b" else 1.0 + i / 1000 for i, kind in enumerate(KIND)]
    gaps = [None if kind == "b" else 1.0 for kind in KIND]
    found = explain_metric({"kind": KIND, "noise": NOISE.tolist()}, loss, lower=True)
    assert found[0].name == "kind"
    assert explain_metric({"gaps": gaps, "noise": NOISE.tolist()}, loss, lower=True)[0].name == "gaps"


def test_too_few_runs_and_nothing_that_varies_are_refused():
    with pytest.raises(ArgumentError, match="needs 10 at least"):
        explain_metric({"a": [1, 2, 3]}, [1.0, 2.0, 3.0], lower=True)
    with pytest.raises(ArgumentError, match="no parameter differs"):
        explain_metric({"a": [1] * 20}, [1.0] * 20, lower=True)
