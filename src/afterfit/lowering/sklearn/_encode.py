"""OneHotEncoder and OrdinalEncoder: from categories to numbers by a hash lookup in the graph."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.ml.v5 as ml
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Block, OneHot, Table
from afterfit.schema._types import FLOAT_EXACT, MISSING_TEXT, encode_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context

_IGNORE = "Set handle_unknown='ignore' (OneHotEncoder) or 'use_encoded_value' (OrdinalEncoder) and fit again"


@lowers("sklearn.preprocessing.OneHotEncoder")
def lower_one_hot_encoder(estimator: Any, X: Table, context: Context) -> Table:
    blocks = []
    for i, categories in enumerate(estimator.categories_):
        block = X.column(i)
        _learn(estimator, block, categories, context)
        targets, unknown, width = _one_hot_columns(estimator, i)
        if width == 0:
            continue
        index = look_up(estimator, block, categories, targets, unknown, context=context)
        origin = block.origins[0]
        origins = [origin and replace(origin, verbatim=False)] * width
        blocks.append(Block.of(OneHot(index), width, estimator.dtype, origins))
    return Table(tuple(blocks), sparse=estimator.sparse_output)


@lowers("sklearn.preprocessing.OrdinalEncoder")
def lower_ordinal_encoder(estimator: Any, X: Table, context: Context) -> Table:
    blocks = []
    for i, categories in enumerate(estimator.categories_):
        block = X.column(i)
        _learn(estimator, block, categories, context)
        codes = np.arange(len(categories), dtype=np.float64)
        mapping = _infrequent_mapping(estimator, i)
        if mapping is not None:
            codes[: len(mapping)] = mapping
        missing = estimator._missing_indices.get(i)  # noqa: SLF001 - where NaN stands among the categories
        if missing is not None:
            codes[missing] = estimator.encoded_missing_value
        unknown = np.nan if estimator.handle_unknown == "error" else float(estimator.unknown_value)
        var = look_up(estimator, block, categories, codes, unknown, context=context)
        var = op.unsqueeze(var, op.constant(value=np.array([1], dtype=np.int64)))
        origin = block.origins[0]
        blocks.append(Block.of(var, 1, estimator.dtype, [origin and replace(origin, verbatim=False)]))
    return Table(tuple(blocks))


def look_up(
    estimator: Any,
    block: Block,
    categories: NDArray[Any],
    answers: NDArray[Any],
    default: float,
    *,
    context: Context,
) -> Var:
    """The answer `[N]` for the category in each row of a column, `default` for an unknown value."""
    keys_of = _text_keys if block.is_text else _number_keys
    keys, values = keys_of(estimator, categories, answers, context)
    return ml.label_encoder(
        context.read_vector(estimator, block),
        keys_tensor=keys,
        values_tensor=values,
        default_tensor=np.array([default], dtype=values.dtype),
    )


def text_constant(value: str | Sequence[str]) -> Var:
    """A string constant of the graph, already in the spelling of `encode_text`."""
    # NumPy's own strings lose a NUL at their end.
    return op.constant(value=np.asarray(value, dtype=object))


def is_missing(value: Any) -> bool:
    """Whether a category or a setting means missing: None, NaN or pandas.NA."""
    return (
        value is None
        or (isinstance(value, float | np.floating) and bool(np.isnan(value)))
        or type(value).__name__ == "NAType"
    )


def _one_hot_columns(estimator: Any, i: int) -> tuple[NDArray[np.int64], int, int]:
    """Of feature `i`: the output column of each category and of an unknown value, and the number of columns.

    A column number equal to that number means none: the category is dropped, or the unknown value ignored.
    """
    width = int(estimator._n_features_outs[i])  # noqa: SLF001 - no public equivalent
    mapping = _infrequent_mapping(estimator, i)
    grouped = np.arange(len(estimator.categories_[i])) if mapping is None else mapping
    unknown = _unknown_group(estimator, i)
    drops = estimator._drop_idx_after_grouping  # noqa: SLF001 - drop_idx_ names a category, this the group
    dropped = None if drops is None else drops[i]

    def column(group: int) -> int:
        if dropped is None or group < dropped:
            return group
        return width if group == dropped else group - 1

    targets = np.array([column(int(group)) for group in grouped], dtype=np.int64)
    return targets, width if unknown is None else column(unknown), width


def _unknown_group(estimator: Any, i: int) -> int | None:
    """The group that an unknown value of feature `i` joins, if any.

    The encoder's own step is asked, since releases differ: before 1.8 `handle_unknown="warn"` joins none.
    """
    groups = np.zeros((1, len(estimator.categories_)), dtype=np.int64)
    valid = np.zeros(groups.shape, dtype=np.bool_)
    estimator._map_infrequent_categories(groups, valid, None)  # noqa: SLF001 - no public equivalent
    return int(groups[0, i]) if valid[0, i] else None


def _infrequent_mapping(estimator: Any, i: int) -> NDArray[np.int64] | None:
    """The group of each category of feature `i`, where infrequent ones are grouped; otherwise None."""
    if not estimator._infrequent_enabled:  # noqa: SLF001 - no public equivalent
        return None
    mapping: NDArray[np.int64] | None = estimator._default_to_infrequent_mappings[i]  # noqa: SLF001 - likewise
    return mapping


def _learn(estimator: Any, block: Block, categories: NDArray[Any], context: Context) -> None:
    closed = estimator.handle_unknown == "error"
    origin = block.origins[0]
    if closed and (origin is None or not origin.verbatim):
        raise context.refuse(
            estimator,
            "it raises an error for unknown values of a column that earlier steps computed",
            _IGNORE,
        )
    values = [value.item() if isinstance(value, np.generic) else value for value in categories]
    context.learn(block, [value for value in values if not is_missing(value)], open=not closed)


def _text_keys(
    estimator: Any, categories: NDArray[Any], answers: NDArray[Any], context: Context
) -> tuple[NDArray[Any], NDArray[Any]]:
    found = {}
    for category, answer in zip(categories.tolist(), answers, strict=True):
        if is_missing(category):
            if MISSING_TEXT in found:
                raise context.refuse(
                    estimator,
                    "it tells None from NaN, and a missing value in a request can be only one of them",
                    "Spell missing values one way in X and fit again",
                )
            found[MISSING_TEXT] = answer
        elif isinstance(category, str):
            found[encode_text(category)] = answer
    # NumPy's own strings lose a NUL at their end.
    return np.array(list(found), dtype=object), np.array(list(found.values()), dtype=answers.dtype)


def _number_keys(
    estimator: Any, categories: NDArray[Any], answers: NDArray[Any], context: Context
) -> tuple[NDArray[Any], NDArray[Any]]:
    keys, kept = [], []
    for category, answer in zip(categories.tolist(), answers, strict=True):
        if isinstance(category, str):
            continue
        if not is_missing(category) and abs(category) > FLOAT_EXACT:
            raise context.refuse(
                estimator,
                f"its category {category} is an integer beyond 2**53, which float64 cannot hold exactly",
                "Convert the column to text before fitting",
            )
        keys.append(np.nan if is_missing(category) else float(category))
        kept.append(answer)
    return np.array(keys, dtype=np.float64), np.array(kept, dtype=answers.dtype)
