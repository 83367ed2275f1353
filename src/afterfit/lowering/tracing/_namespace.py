"""The namespace of the Python Array API for traced arrays: NumPy's, whose functions dispatch to them."""

from __future__ import annotations

from typing import Any

import numpy as np


class Namespace:
    """`X.__array_namespace__()`: NumPy's main namespace follows the standard since version 2.0."""

    __name__ = "numpy"

    def __getattr__(self, name: str) -> Any:
        if name in {"asarray", "take", "concat", "matrix_transpose"}:
            return getattr(self, f"_{name}")
        return getattr(np, name)

    @staticmethod
    def _asarray(value: Any, /, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Any:
        from afterfit.lowering.tracing._numpy import as_array

        del device, copy
        return as_array(np.asarray, value, dtype=dtype)

    @staticmethod
    def _take(x: Any, indices: Any, /, *, axis: int | None = None) -> Any:
        from afterfit.lowering.tracing._array import TracedArray
        from afterfit.lowering.tracing._functions import take

        if isinstance(indices, TracedArray):
            return take(indices.trace, x, indices, axis)
        return np.take(x, indices, axis=axis)

    @staticmethod
    def _concat(arrays: Any, /, *, axis: int = 0) -> Any:
        return np.concatenate(arrays, axis=axis)

    @staticmethod
    def _matrix_transpose(x: Any, /) -> Any:
        return x.mT


NAMESPACE = Namespace()
