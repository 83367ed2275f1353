"""Thresholds beside zero, which LightGBM widens."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afterfit.lowering.lightgbm._text import ZERO, _beside_zero

STEPS = [0.0, -0.0, ZERO, -ZERO, ZERO / 2, -ZERO / 2]
NEAR = [step for value in STEPS for step in (value, np.nextafter(value, 1), np.nextafter(value, -1))]
numbers = st.sampled_from(NEAR) | st.floats(allow_nan=False)


@given(numbers, numbers)
def test_a_moved_threshold_decides_as_the_old_one_on_numbers_made_zero(x: float, threshold: float):
    zeroed = x if abs(x) > ZERO else 0.0
    moved = _beside_zero(np.array([threshold]))[0]
    assert (zeroed <= threshold) == (x <= moved)
