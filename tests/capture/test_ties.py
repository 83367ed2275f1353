"""Answers that the library leaves to chance: counted up to a share of the rows, refused beyond it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

import afterfit
from afterfit.capture._parity import LARGEST_TIED_SHARE
from afterfit.capture._save import _check_ties

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(200, 3))
y = DRAW.normal(size=200)


class _Replayed:
    """As much of a replay as the cap reads."""

    class reference:  # noqa: N801 - an attribute
        model = KNeighborsClassifier()


def test_the_cap():
    _check_ties(_Replayed, int(LARGEST_TIED_SHARE * 200), 200)
    _check_ties(_Replayed, 0, 0)
    with pytest.raises(afterfit.UnsupportedModelError, match="on 6% of the rows replayed"):
        _check_ties(_Replayed, 11, 200)


def test_rows_that_do_not_tie_are_saved_without_ties(tmp_path):
    saved = afterfit.save(KNeighborsRegressor().fit(X, y), tmp_path / "m.afit", X=X)
    assert saved.report.ties == 0


def test_a_model_that_decides_by_chance_is_refused(tmp_path):
    """Hamming distances between continuous rows are all 1, so any rows are the nearest."""
    model = KNeighborsRegressor(metric="hamming").fit(X, y)
    with pytest.raises(afterfit.UnsupportedModelError, match="several equally good ones"):
        afterfit.save(model, tmp_path / "m.afit", X=X)
    assert not list(tmp_path.iterdir())
