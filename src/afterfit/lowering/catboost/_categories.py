"""Which categories CatBoost's splits ask for. A model keeps hashes of them only, so it is asked itself."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._look_up import is_missing, look_up
from afterfit.lowering._table import Table, concatenate, constant
from afterfit.lowering.catboost._json import ONE_HOT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Block
    from afterfit.lowering.catboost._json import Dump


def encode_hashes(estimator: Any, dump: Dump, X: Table, context: Context) -> Table:
    """The table with categorical columns as places in the feature's `hashes`; NaN for every other category."""
    feature_of = {column: feature for feature, column in dump.categoricals.items()}
    parts = []
    for position in range(X.width):
        block = X.column(position)
        if position not in feature_of:
            parts.append(Table((block,)))
        elif not dump.hashes[feature_of[position]]:
            parts.append(Table.of(_nothing(estimator, block, context), 1))
        else:
            parts.append(Table.of(_encode(estimator, dump, feature_of[position], block, context), 1))
    return concatenate(parts)


def _nothing(estimator: Any, block: Block, context: Context) -> Any:
    """NaN in every row, for a column that no split asks for."""
    rows = op.shape(context.read_block(estimator, block))
    return op.expand(constant(np.nan), rows)


def _encode(estimator: Any, dump: Dump, feature: int, block: Block, context: Context) -> Any:
    origin = block.origins[0]
    if origin is None or not origin.verbatim:
        raise context.refuse(
            estimator,
            "it reads categories of a column that earlier steps computed, and keeps hashes of them only",
            "Give it the raw column",
        )
    values = [value for value in context.columns[origin.column].distinct() if not is_missing(value)]
    places = _places(dump, feature, values)
    unseen = len(dump.hashes[feature]) - len(set(places[places >= 0].tolist()))
    if unseen:
        raise context.refuse(
            estimator,
            f"its splits ask for {unseen} categories of {context.columns[origin.column].name!r} that X does not hold, "
            "and it keeps hashes of them only",
            "Give the training rows as X",
        )
    context.learn(block, values, open=True)
    known = np.flatnonzero(places >= 0)
    codes = look_up(
        estimator,
        block,
        np.array([values[i] for i in known], dtype=object),
        places[known].astype(np.float64),
        np.nan,
        context=context,
    )
    return op.unsqueeze(codes, constant([1], np.int64))


def _places(dump: Dump, feature: int, values: list[Any]) -> NDArray[np.int64]:
    """Which of the feature's `hashes` each value has, -1 for none.

    A model is made whose trees each ask for one of the hashes and add its number, and CatBoost is asked what it
    answers: so its own conversion to text and its own hash decide.
    """
    import catboost

    width = 1 + max([*dump.numbers.values(), *dump.categoricals.values()])
    categoricals = sorted(dump.categoricals.values())
    splits = {
        split["value"]: split
        for split in dump.splits()
        if split["split_type"] == ONE_HOT and split["cat_feature_index"] == feature
    }
    document = {
        **dump.document,
        "oblivious_trees": [
            {"leaf_values": [0.0, float(number)], "leaf_weights": [0, 0], "splits": [split]}
            for number, split in enumerate((splits[value] for value in dump.hashes[feature]), 1)
        ],
        "scale_and_bias": [1.0, [0.0]],
        "model_info": {},
    }
    document.pop("trees", None)
    row: list[Any] = ["" if column in categoricals else 0.0 for column in range(width)]
    column = dump.categoricals[feature]
    rows = [[*row[:column], value, *row[column + 1 :]] for value in values]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hashes.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        asked = catboost.CatBoost().load_model(str(path), format="json")
    answers = asked.predict(catboost.Pool(rows, cat_features=categoricals))
    places: NDArray[np.int64] = np.rint(np.atleast_1d(answers)).astype(np.int64) - 1
    return places
