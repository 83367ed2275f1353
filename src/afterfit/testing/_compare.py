"""How far two answers to the same rows are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RELATIVE = 1e-9
"""How far a number may lie from the model in memory, relative to the number itself."""


def largest_error(
    expected: NDArray[Any], got: NDArray[Any], *, relative: float = RELATIVE, of_scale: float = 1e-12
) -> float:
    """The largest relative error of the answer `got` against `expected`, both `[N]` or `[N, k]`.

    Labels and texts must be equal, missing ones too. A number may be off by `relative` of itself and `of_scale`
    of the largest finite magnitude in its column, below which a sum has no digits left; NaN and infinities must
    stand in the same places. The error returned is relative to that magnitude, and 0.0 for labels and texts.

    Raises `AssertionError`, which names the first row that differs.

    >>> import numpy as np
    >>> largest_error(np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    0.0
    >>> largest_error(np.array([1.0, 2.0]), np.array([1.0, 2.1]))
    Traceback (most recent call last):
      ...
    AssertionError: 1 of 2 rows differ, the first is row 1: 2.0 in memory, 2.1 from the bundle
    """
    if expected.shape != got.shape:
        raise AssertionError(f"the shape is {expected.shape} in memory and {got.shape} from the bundle")
    if expected.dtype.kind not in "fc" or got.dtype.kind != "f":
        _check_rows(expected, got, _unequal(expected, got))
        return 0.0
    magnitudes = np.abs(np.where(np.isfinite(expected), expected, 0.0))
    scale = magnitudes.max(axis=0, initial=0.0)
    same = (expected == got) | (np.isnan(expected) & np.isnan(got))
    with np.errstate(invalid="ignore"):
        errors = np.where(same, 0.0, np.abs(expected - got))
        wrong = ~(errors <= relative * magnitudes + of_scale * scale)
        _check_rows(expected, got, wrong)
        return float(np.max(errors / np.where(scale > 0, scale, 1.0), initial=0.0))


def _unequal(expected: NDArray[Any], got: NDArray[Any]) -> NDArray[np.bool_]:
    pairs = zip(expected.ravel().tolist(), got.ravel().tolist(), strict=True)
    different = [
        known != answered and not (_is_missing(known) and _is_missing(answered)) for known, answered in pairs
    ]
    return np.array(different, dtype=np.bool_).reshape(expected.shape)


def _is_missing(value: Any) -> bool:
    return value is None or value != value  # noqa: PLR0124 - NaN alone differs from itself


def _check_rows(expected: NDArray[Any], got: NDArray[Any], wrong: NDArray[np.bool_]) -> None:
    rows = np.flatnonzero(wrong.any(axis=tuple(range(1, wrong.ndim))))
    if len(rows):
        row = int(rows[0])
        raise AssertionError(
            f"{len(rows)} of {len(expected)} rows differ, the first is row {row}: "
            f"{expected[row].tolist()!r} in memory, {got[row].tolist()!r} from the bundle"
        )
