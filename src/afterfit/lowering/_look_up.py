"""From categories to numbers, by a hash lookup in the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.ml.v5 as ml

from afterfit.schema._types import FLOAT_EXACT, MISSING_TEXT, encode_text

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Block


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


def is_missing(value: Any) -> bool:
    """Whether a category or a setting means missing: None, NaN or pandas.NA."""
    return (
        value is None
        or (isinstance(value, float | np.floating) and bool(np.isnan(value)))
        or type(value).__name__ == "NAType"
    )


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
