"""What counts as equal: labels but for exact ties, numbers within the tolerance of their output's scale."""

from __future__ import annotations

import numpy as np
import pytest

from afterfit.capture._parity import TOLERANCE, compare, scaled_errors
from afterfit.schema import Output

LABELS = (
    Output(name="prediction", type="string", shape=(-1,), classes=("a", "b")),
    Output(name="probabilities", type="float", shape=(-1, 2)),
)
NUMBERS = (Output(name="prediction", type="float", shape=(-1,)),)


def labels(values: list[str]) -> np.ndarray:
    return np.array(values, dtype=object)


def test_equal_answers_have_no_error():
    answers = {"prediction": labels(["a", "b"]), "probabilities": np.array([[0.9, 0.1], [0.2, 0.8]])}
    comparison = compare(answers, answers, LABELS, 1e-12)
    assert comparison.first is None
    assert comparison.max_error == 0
    assert comparison.tied_rows == ()


def test_a_different_label_is_a_difference():
    known = {"prediction": labels(["a", "b"]), "probabilities": np.array([[0.9, 0.1], [0.2, 0.8]])}
    got = {**known, "prediction": labels(["a", "a"])}
    first = compare(known, got, LABELS, 1e-12).first
    assert first is not None
    assert (first.output, first.row, first.expected, first.got) == ("prediction", 1, "b", "a")


@pytest.mark.parametrize(("gap", "tied"), [(0.0, True), (1e-13, True), (1e-11, False)])
def test_a_different_label_is_a_tie_only_where_the_best_two_lie_within_the_tolerance(gap: float, tied: bool):
    known = {"prediction": labels(["a"]), "probabilities": np.array([[0.5 + gap / 2, 0.5 - gap / 2]])}
    got = {**known, "prediction": labels(["b"])}
    comparison = compare(known, got, LABELS, 1e-12)
    assert (comparison.first is None) is tied
    assert comparison.tied_rows == ((0,) if tied else ())


def test_scores_of_two_classes_tie_around_zero():
    outputs = (LABELS[0], Output(name="scores", type="float", shape=(-1,)))
    known = {"prediction": labels(["a", "a"]), "scores": np.array([-1e-14, -1.0])}
    got = {"prediction": labels(["b", "a"]), "scores": np.array([1e-14, -1.0])}
    assert compare(known, got, outputs, 1e-12).tied_rows == (0,)


def test_rows_that_the_library_decides_by_chance_may_differ():
    known = {
        "prediction": labels(["a", "a", "b"]),
        "probabilities": np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
    }
    got = {
        "prediction": labels(["b", "a", "b"]),
        "probabilities": np.array([[0.0, 1.0], [0.5, 0.5], [1e-14, 1.0]]),
    }
    by_chance = np.array([True, True, True])
    comparison = compare(known, got, LABELS, 1e-12, by_chance)
    assert comparison.first is None
    assert comparison.tied_rows == (0, 1)
    assert comparison.max_error == pytest.approx(1e-14)
    first = compare(known, got, LABELS, 1e-12, np.array([True, False, True])).first
    assert first is not None
    assert (first.output, first.row) == ("probabilities", 1)


@pytest.mark.parametrize(
    ("known", "got", "error"),
    [
        ([1.0], [1.0], 0.0),
        ([2.0], [1.0], 0.5),
        ([1e9, 0.0], [1e9, 1.0], 1e-9),
        ([0.1], [0.2], 0.1),
        ([np.nan], [np.nan], 0.0),
        ([np.inf], [np.inf], 0.0),
        ([np.nan], [1.0], np.inf),
        ([1.0], [np.nan], np.inf),
        ([np.inf], [-np.inf], np.inf),
    ],
)
def test_errors_are_relative_to_the_scale_of_the_output(known: list[float], got: list[float], error: float):
    assert scaled_errors(known, got).max() == pytest.approx(error, rel=1e-12)


def test_another_number_of_values_is_a_difference_everywhere():
    assert np.isinf(scaled_errors(np.zeros((2, 2)), np.zeros(3))).all()


def test_the_first_differing_row_is_reported():
    known = {"prediction": np.array([1.0, 2.0, 3.0])}
    got = {"prediction": np.array([1.0, 2.5, 4.0])}
    first = compare(known, got, NUMBERS, TOLERANCE["float64"]).first
    assert first is not None
    assert first.row == 1
