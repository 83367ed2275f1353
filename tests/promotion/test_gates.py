"""Gates on metrics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterfit.errors import ArgumentError
from afterfit.promotion import MetricGate, parse_gate

METRICS = {
    "auc": 0.8,
    "loss": 1,
    "validation": {"auc": 0.7},
    "a.b": 3.0,
    "nan": "NaN",
    "text": "0.9",
    "flag": True,
}


@pytest.mark.parametrize(
    ("gate", "holds"),
    [
        ("auc >= 0.8", True),
        ("auc > 0.8", False),
        ("auc>=.8", True),
        ("loss <= 1", True),
        ("loss < 1e0", False),
        ("loss == 1", True),
        ("validation.auc >= 0.7", True),
        ("a.b >= 3", True),
        ("nan >= -1e300", False),
        ("nan <= 1e300", False),
        ("text >= 0", False),
        ("flag >= 0", False),
        ("missing >= 0", False),
        ("validation >= 0", False),
        ("auc.deeper >= 0", False),
        ("auc >= current", False),
        ("auc >= current - 0.1", True),
        ("auc >= current-0.05", False),
        ("loss <= current + 0.5", True),
        ("a.b >= current", False),
    ],
)
def test_a_gate_holds_or_not(gate: str, holds: bool):
    got, why = parse_gate(gate).judge(METRICS, {"auc": 0.9, "loss": 0.5})
    assert got is holds
    assert why


def test_a_gate_against_the_current_version_holds_where_there_is_none():
    assert parse_gate("auc >= current").judge(METRICS, None)[0]
    assert not parse_gate("missing >= current").judge(METRICS, None)[0]


@pytest.mark.parametrize("text", ["", "auc", "auc 0.8", "auc >= ", "auc => 1", "auc >= x", ">= 1", "auc >= current * 2",
                                  "auc >= 0.8 and loss < 1", "auc >= inf"])  # fmt: skip
def test_what_is_no_gate(text: str):
    with pytest.raises(ArgumentError, match="is no gate"):
        parse_gate(text)


@given(
    st.sampled_from(["auc", "a.b"]),
    st.sampled_from([">=", "<=", ">", "<", "=="]),
    st.integers(-100, 100),
    st.booleans(),
)
def test_a_gate_is_read_as_it_is_written(metric: str, comparison: str, offset: int, relative: bool):
    gate = MetricGate(metric, comparison, float(offset), relative)
    assert parse_gate(str(gate)) == gate
