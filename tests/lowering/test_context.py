"""What a lowering notes for capture."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from afterfit.errors import UnsupportedModelError
from afterfit.lowering import Context
from afterfit.lowering._context import LARGEST_ROUNDING


@pytest.mark.parametrize("error", [0.0, 3e-11, LARGEST_ROUNDING])
def test_a_rounding_that_is_small_is_kept(error):
    context = Context([])
    context.note_rounding(Ridge(), error, "Scale the columns")
    context.note_rounding(Ridge(), 0.0, "Scale the columns")
    assert context.roundings == [error, 0.0]


@pytest.mark.parametrize("error", [np.nextafter(LARGEST_ROUNDING, 1), 1.0, np.inf, np.nan])
def test_a_rounding_that_is_large_or_unknown_is_refused_by_name(error):
    context = Context([])
    with context.inside("model"), pytest.raises(UnsupportedModelError, match="rounding alone") as refusal:
        context.note_rounding(Ridge(), error, "Scale the columns")
    assert (refusal.value.estimator, refusal.value.where) == ("Ridge", "model")
    assert refusal.value.way_out == "Scale the columns"
    assert context.roundings == []
