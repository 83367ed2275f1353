"""TargetEncoder: categories into the mean target that was learned for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._look_up import is_missing, look_up
from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Block, Table, constant
from afterfit.lowering.sklearn._array import transformed

if TYPE_CHECKING:
    from afterfit.lowering._context import Context


@lowers("sklearn.preprocessing.TargetEncoder")
def lower_target_encoder(estimator: Any, X: Table, context: Context) -> Table:
    """Of several classes, a column for each class and feature; an unknown category gets the mean of all."""
    classes = len(estimator.classes_) if estimator.target_type_ == "multiclass" else 1
    means = np.ravel(estimator.target_mean_).astype(np.float64)
    blocks = []
    for i, categories in enumerate(estimator.categories_):
        block = X.column(i)
        values = [value.item() if isinstance(value, np.generic) else value for value in categories]
        context.learn(block, [value for value in values if not is_missing(value)], open=True)
        encodings = np.stack(estimator.encodings_[i * classes : (i + 1) * classes], axis=1)
        rows = np.concatenate([encodings, means[None]]).astype(np.float64)
        position = look_up(
            estimator,
            block,
            categories,
            np.arange(len(categories), dtype=np.int64),
            len(categories),
            context=context,
        )
        encoded = op.gather(constant(rows), position, axis=0)
        blocks.append(Block.of(encoded, classes, np.float64, transformed(block.origins) * classes))
    return Table(tuple(blocks))
