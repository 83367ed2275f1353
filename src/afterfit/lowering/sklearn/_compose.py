"""Pipeline, ColumnTransformer, FeatureUnion and FunctionTransformer: which columns go where, in order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import inverts, lowers, transforms
from afterfit.lowering._table import Block, Lowered, Table, concatenate, constant, round_to_float32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spox import Var

    from afterfit.lowering._context import Context


@lowers("sklearn.pipeline.Pipeline")
def lower_pipeline(estimator: Any, X: Table, context: Context) -> Lowered:
    *earlier, (name, last) = estimator.steps
    table = _through(earlier, X, context)
    if _is_passthrough(last):
        return table
    returned = context.lower(last, table, name)
    return _contained(last, returned) if isinstance(returned, Table) else returned


@transforms("sklearn.pipeline.Pipeline")
def transform_pipeline(estimator: Any, X: Table, context: Context) -> Table:
    return _through(estimator.steps, X, context)


@inverts("sklearn.pipeline.Pipeline")
def invert_pipeline(estimator: Any, values: Var, context: Context) -> Var:
    for name, step in reversed(estimator.steps):
        if not _is_passthrough(step):
            with context.inside(name):
                values = context.invert(step, values)
    return values


@lowers("sklearn.compose.ColumnTransformer")
def lower_column_transformer(estimator: Any, X: Table, context: Context) -> Table:
    returned = []
    for name, transformer, selected in estimator.transformers_:
        with context.inside(name):
            indices = list(estimator._transformer_to_input_indices[name])  # noqa: SLF001 - no public equivalent
            if len(indices) == 0 or _is_drop(transformer):
                continue
            received = X.select(_positions(estimator, indices, X, context))
            if isinstance(selected, str | int | np.integer) and not isinstance(transformer, str):
                received = replace(received, flat=True)
            returned.append(_apply(estimator, name, transformer, received, context))
    stacked = _stack(estimator, returned)
    return replace(stacked, sparse=bool(getattr(estimator, "sparse_output_", False)))


@lowers("sklearn.pipeline.FeatureUnion")
def lower_feature_union(estimator: Any, X: Table, context: Context) -> Table:
    returned = []
    for name, transformer in estimator.transformer_list:
        with context.inside(name):
            if _is_drop(transformer):
                continue
            returned.append(_apply(estimator, name, transformer, X, context))
    return replace(_stack(estimator, returned), sparse=any(table.sparse for table in returned))


def _through(steps: Sequence[tuple[str, Any]], X: Table, context: Context) -> Table:
    for name, step in steps:
        if not _is_passthrough(step):
            X = _contained(step, context.lower_transformer(step, X, name))
    return X


def _is_passthrough(transformer: Any) -> bool:
    return transformer is None or (isinstance(transformer, str) and transformer == "passthrough")


def _is_drop(transformer: Any) -> bool:
    return isinstance(transformer, str) and transformer == "drop"


def _positions(estimator: Any, indices: Sequence[int], X: Table, context: Context) -> list[int]:
    """Where the columns it was fitted on stand in `X`: by name where both are known, as it selects itself."""
    fitted = getattr(estimator, "feature_names_in_", None)
    held = [None if origin is None else context.columns[origin.column].name for origin in X.origins]
    counts = Counter(held)
    by_name = {name: i for i, name in enumerate(held) if name is not None and counts[name] == 1}
    if fitted is not None and all(fitted[i] in by_name for i in indices):
        return [by_name[fitted[i]] for i in indices]
    if X.width != estimator.n_features_in_:
        raise context.refuse(
            estimator,
            f"it was fitted on {estimator.n_features_in_} columns and receives {X.width}",
            "Give X with the columns it was fitted on",
        )
    return list(indices)


def _apply(estimator: Any, name: str, transformer: Any, X: Table, context: Context) -> Table:
    """What the part called `name` of a union or column transformer returns, times its weight if any."""
    table = X
    if not _is_passthrough(transformer):
        table = _contained(transformer, context.lower_transformer(transformer, X))
    weight = (estimator.transformer_weights or {}).get(name)
    if weight is None:
        return table
    blocks = []
    if table.terms is not None and np.result_type(table.number_dtype, weight) == np.float64:
        return table.with_terms(op.mul(table.terms.values, constant(weight)), np.float64)
    for block in table.blocks:
        if block.is_text:
            raise context.refuse(estimator, "it multiplies text by a weight", "Encode the text columns first")
        dtype = np.result_type(block.dtype, weight)
        product = op.mul(context.read_block(estimator, block), constant(weight))
        if dtype == np.float32:
            product = round_to_float32(product)
        blocks.append(Block.of(product, block.width, dtype, _transformed(block)))
    return replace(table, blocks=tuple(blocks))


def _transformed(block: Block) -> list[Any]:
    return [origin and replace(origin, verbatim=False) for origin in block.origins]


def _stack(estimator: Any, tables: Sequence[Table]) -> Table:
    """The tables side by side: a DataFrame keeps the dtype of each column, an array has one joint dtype."""
    stacked = concatenate(tables)
    return stacked.joined() if container(estimator) == "default" else stacked


def _contained(estimator: Any, table: Table) -> Table:
    """The table in the container the transformer returns: scikit-learn reads float64 from polars."""
    if container(estimator) != "polars":
        return table
    single = np.dtype(np.float32)
    blocks = (replace(b, dtype=np.dtype(np.float64)) if b.dtype == single else b for b in table.blocks)
    return replace(table, blocks=tuple(blocks))


def container(estimator: Any) -> str:
    """What `set_output` chose for it: `default`, `pandas` or `polars`."""
    from sklearn.utils._set_output import _get_output_config

    return str(_get_output_config("transform", estimator)["dense"])
