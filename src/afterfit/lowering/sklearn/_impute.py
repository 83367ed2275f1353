"""SimpleImputer and MissingIndicator."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._look_up import is_missing
from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Block, Origin, Table, concatenate, constant
from afterfit.lowering.sklearn._encode import text_constant
from afterfit.schema._types import MISSING_TEXT, encode_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spox import Var

    from afterfit.lowering._context import Context


@lowers("sklearn.impute.SimpleImputer")
def lower_simple_imputer(estimator: Any, X: Table, context: Context) -> Table:
    # Without a statistic a column had no value while fitting, and scikit-learn drops it.
    kept = [
        i
        for i, statistic in enumerate(estimator.statistics_)
        if estimator.keep_empty_features or not _is_nan(statistic)
    ]
    received = _as_array(estimator, X)
    filled = []
    for block in received.select(kept).blocks:
        statistics = estimator.statistics_[kept[: block.width]]
        kept = kept[block.width :]
        filled.append(_fill(estimator, block, statistics, context))
    tables = [Table(tuple(filled))]
    if estimator.indicator_ is not None:
        tables.append(indicate(estimator, received, estimator.indicator_.features_, context))
    return replace(concatenate(tables).joined(), sparse=X.sparse)


@lowers("sklearn.impute.MissingIndicator")
def lower_missing_indicator(estimator: Any, X: Table, context: Context) -> Table:
    return indicate(estimator, X, estimator.features_, context)


def _as_array(estimator: Any, X: Table) -> Table:
    """What the imputer makes of `X` first: one array, of float32 or float64 where the strategy computes."""
    if estimator.strategy in ("most_frequent", "constant") or X.has_text:
        return X.joined()
    dtype = X.number_dtype
    return replace(X, blocks=tuple(replace(block, dtype=dtype) for block in X.blocks))


def _fill(estimator: Any, block: Block, statistics: Any, context: Context) -> Block:
    missing = _missing(estimator, block, context)
    if missing is None:
        return block
    if block.is_text:
        fill = text_constant([_text(estimator, value, context) for value in statistics])
    else:
        numbers = [_number(estimator, value, context) for value in statistics]
        # A fill takes the dtype the imputer was fitted on, then that of the array it is written to.
        cast = np.asarray(numbers).astype(_number_dtype(estimator._fit_dtype))  # noqa: SLF001 - as transform does
        fill = constant(cast.astype(_number_dtype(block.dtype)))
    var = op.where(missing, fill, context.read_block(estimator, block))
    return Block.of(var, block.width, block.dtype, _imputed(estimator, block.origins, statistics))


def _imputed(
    estimator: Any, origins: Sequence[Origin | None], statistics: Sequence[Any]
) -> list[Origin | None]:
    """Values stay the raw ones, but for missing ones and for a raw value such as -1 or "?" that stood for one."""
    known = [
        origin and replace(origin, fills=(*origin.fills, fill))
        for origin, fill in zip(origins, statistics, strict=True)
    ]
    value = estimator.missing_values
    if is_missing(value):
        return known
    value = value.item() if isinstance(value, np.generic) else value
    return [origin and replace(origin, replaced=(*origin.replaced, value)) for origin in known]


def indicate(estimator: Any, X: Table, features: Any, context: Context) -> Table:
    columns = []
    for block in X.select([int(i) for i in features]).blocks:
        missing = _missing(estimator, block, context)
        if missing is None:
            var = op.expand(constant(0.0), op.shape(context.read_block(estimator, block)))
        else:
            var = op.cast(missing, to=np.float64)
        origins = [origin and replace(origin, verbatim=False) for origin in block.origins]
        columns.append(Block.of(var, block.width, np.bool_, origins))
    return Table(tuple(columns))


def _missing(estimator: Any, block: Block, context: Context) -> Var | None:
    """Where `block` holds the value that means missing, as booleans `[N, width]`; None for nowhere."""
    value = estimator.missing_values
    if is_missing(value):
        if not _takes_for_missing(value, block, context):
            return None
        var = context.read_block(estimator, block)
        return op.equal(var, text_constant(MISSING_TEXT)) if block.is_text else op.isnan(var)
    if isinstance(value, str) != block.is_text:
        return None
    sought = text_constant(encode_text(value)) if block.is_text else constant(float(value))
    return op.equal(context.read_block(estimator, block), sought)


def _takes_for_missing(value: Any, block: Block, context: Context) -> bool:
    """Whether `missing_values=value` finds what the library holds in this block where a value is missing.

    Floating arrays hold NaN. Arrays of Python objects hold what the DataFrame did: NaN does not find None.
    """
    if type(value).__name__ == "NAType":
        return True
    held: Any = math.nan
    if block.is_text or block.dtype == np.dtype(object):
        origin = block.origins[0]
        held = math.nan if origin is None else context.columns[origin.column].missing
    return (value is None) == (held is None)


def _text(estimator: Any, value: Any, context: Context) -> str:
    if isinstance(value, str):
        return encode_text(value)
    if is_missing(value):
        return MISSING_TEXT
    raise context.refuse(
        estimator,
        f"it fills missing text with {value!r}, which is not text",
        "Give fill_value a string for text columns",
    )


def _number(estimator: Any, value: Any, context: Context) -> float:
    if isinstance(value, str):
        raise context.refuse(
            estimator,
            f"it fills missing numbers with the text {value!r}",
            "Impute text columns and number columns with two imputers",
        )
    return math.nan if is_missing(value) else float(value)


def _number_dtype(dtype: Any) -> Any:
    return np.float64 if dtype == np.dtype(object) else dtype


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and bool(np.isnan(value))
