"""Columns of categories as the codes that a library numbered them by when it was fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._look_up import is_missing, look_up
from afterfit.lowering._table import Table, concatenate, constant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from afterfit.lowering._context import Context


def encode_categories(
    estimator: Any, X: Table, learned: Mapping[int, Sequence[Any]], context: Context, *, closed: bool
) -> Table:
    """The table with the columns at the keys of `learned` as codes: the places of their values in the lists there.

    A missing value and a value that is not listed are NaN. `closed`: the library raises an error for the latter,
    which the schema then says; that a graph can hold only of raw columns, so others are refused.
    """
    parts = []
    for position in range(X.width):
        block = X.column(position)
        if position not in learned:
            parts.append(Table((block,)))
            continue
        origin = block.origins[0]
        if closed and (origin is None or not origin.verbatim):
            raise context.refuse(
                estimator,
                "it raises an error for unknown values of a column that earlier steps computed",
                "Give it the raw column",
            )
        values = [value for value in learned[position] if not is_missing(value)]
        context.learn(block, values, open=not closed)
        codes = look_up(
            estimator,
            block,
            np.array(learned[position], dtype=object),
            np.arange(len(learned[position]), dtype=np.float64),
            np.nan,
            context=context,
        )
        parts.append(Table.of(op.unsqueeze(codes, constant([1], np.int64)), 1))
    return concatenate(parts)


def categorical_columns(X: Table, context: Context) -> list[int]:
    """The positions of the columns that still are raw columns of a categorical dtype."""
    return [
        position
        for position, origin in enumerate(X.origins)
        if origin is not None and origin.verbatim and context.columns[origin.column].categorical
    ]
