"""The one float array that scikit-learn makes of a table, float32 or float64, and what is computed from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import Origin, Table, constant, round_to_float32

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context


class FloatArray:
    """The array an estimator works on in place: float32 arrays are rounded to float32 after every operation."""

    def __init__(self, estimator: Any, X: Table, context: Context) -> None:
        if X.blocks and all(block.dtype == np.float16 for block in X.blocks):
            raise context.refuse(
                estimator,
                "it computes in float16",
                "Convert the columns to float32 or float64 before fitting",
            )
        self.X = X
        self.single = X.number_dtype == np.float32
        self.var = context.numbers(estimator, X)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.X.number_dtype

    def apply(self, function: Callable[[Var, Var], Var], operand: Any) -> None:
        """Replace the array by `function(array, operand)`; `operand` as the estimator holds it."""
        self.replace(function(self.var, constant(operand)))

    def replace(self, result: Var) -> None:
        """Replace the array by `result`, computed in float64."""
        self.var = self.rounded(result)

    def rounded(self, value: Var) -> Var:
        """The value as it is written into an array of this dtype."""
        return round_to_float32(value) if self.single else value

    def clip(self, low: float, high: float) -> None:
        """Bring values inside `[low, high]`, which are rounded to the array's dtype; NaN stays."""
        dtype = np.float32 if self.single else np.float64
        for bound, beyond in ((low, op.less), (high, op.greater)):
            limit = constant(np.asarray(bound, dtype=dtype))
            self.var = op.where(beyond(self.var, limit), limit, self.var)

    def table(self, *, traced: bool = True) -> Table:
        """The array as a table; `traced`: each column comes from the one it was, and from no other.

        Not so where a value depends on its whole row, nor where it is an exponential or a logarithm, right only to a
        few units of the last place: there the two sides of a threshold cannot be probed to the last bit.
        """
        origins = transformed(self.X.origins) if traced else None
        return replace(Table.of(self.var, self.X.width, self.dtype, origins), sparse=self.X.sparse)


def transformed(origins: Sequence[Origin | None]) -> list[Origin | None]:
    """The origins of columns whose values are no longer the raw ones."""
    return [origin and replace(origin, verbatim=False) for origin in origins]


def project(estimator: Any, var: Var, dtype: np.dtype[Any], matrix: NDArray[Any], context: Context) -> Table:
    """The table of `var @ matrix` `[N, k]`, `var` being held as `dtype`.

    Where both are float32 so is what scikit-learn adds up, in an order of its own: parity is held to 1e-6.
    """
    return single_table(
        estimator,
        op.matmul(var, constant(matrix)),
        matrix.shape[1],
        np.result_type(dtype, matrix.dtype),
        context,
    )


def single_table(estimator: Any, var: Var, width: int, dtype: np.dtype[Any], context: Context) -> Table:
    """A table of `width` new columns that scikit-learn computes in `dtype`; float32 means parity to 1e-6."""
    if dtype == np.float32:
        context.note_float32_sum(estimator)
        return Table.of(round_to_float32(var), width, np.float32)
    return Table.of(var, width)
