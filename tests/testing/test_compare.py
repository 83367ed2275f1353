"""What counts as the same answer."""

from __future__ import annotations

import numpy as np
import pytest

from afterfit.testing import largest_error


def test_numbers_are_held_to_their_own_size():
    known = np.array([[1.0, 1000.0], [1e-3, 2.0]])
    assert largest_error(known, known) == 0.0
    assert largest_error(known, known * (1 + 5e-10)) == pytest.approx(5e-10)
    with pytest.raises(AssertionError, match="the first is row 1"):
        largest_error(known, known + np.array([[0, 0], [1e-11, 0]]))
    largest_error(known, known + np.array([[0, 0], [1e-13, 0]]))


def test_a_looser_limit_may_be_asked_for():
    known = np.array([1.0, 2.0])
    assert largest_error(known, known + 1e-7, relative=1e-6) > 0
    assert largest_error(known, known + 1e-7, of_scale=1e-7) > 0


@pytest.mark.parametrize("got", [np.array([1.0, 2.0]), np.array([1.0, np.inf]), np.array([np.nan, np.nan])])
def test_nan_stands_where_it_stood(got):
    known = np.array([1.0, np.nan])
    assert largest_error(known, known.copy()) == 0.0
    with pytest.raises(AssertionError):
        largest_error(known, got)


def test_infinities_are_equal_only_to_themselves():
    known = np.array([np.inf, -np.inf, 3.0])
    assert largest_error(known, known.copy()) == 0.0
    with pytest.raises(AssertionError):
        largest_error(known, -known)


def test_labels_and_texts_are_equal_or_not():
    labels = np.array(["a", "b"])
    assert largest_error(labels, np.array(["a", "b"], dtype=object)) == 0.0
    with pytest.raises(AssertionError, match="1 of 2 rows differ, the first is row 1: 'b' in memory, 'a'"):
        largest_error(labels, np.array(["a", "a"]))
    texts = np.array([["a", np.nan]], dtype=object)
    assert largest_error(texts, np.array([["a", None]], dtype=object)) == 0.0
    with pytest.raises(AssertionError):
        largest_error(texts, np.array([["a", "nan"]], dtype=object))
    with pytest.raises(AssertionError):
        largest_error(np.array([0, 1]), np.array([0, 2]))


def test_another_shape_is_a_difference():
    with pytest.raises(AssertionError, match="shape"):
        largest_error(np.zeros(3), np.zeros((3, 1)))


def test_no_rows_agree():
    assert largest_error(np.zeros((0, 2)), np.zeros((0, 2))) == 0.0
