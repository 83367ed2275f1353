from __future__ import annotations

import numpy as np
import pytest

from afterfit.errors import ArgumentError, SchemaError
from afterfit.schema import Column, RowDecoder, Schema, TablePacker

SCHEMA = Schema(
    columns=(
        Column(name="x", type="float", nullable=True, input="number", position=0, range=(0.0, 1.0)),
        Column(name="n", type="integer", nullable=False, input="number", position=1),
        Column(name="t", type="string", nullable=True, input="text", position=0),
        Column(name="unread", type="any", nullable=True, input=None, position=None),
    ),
    outputs=(),
)


@pytest.mark.parametrize(
    "columns",
    [
        {"x": [1, None, 2.5, "NaN"], "n": [1, 2, 3.0, 4], "t": ["a", None, "\x1a", ""]},
        {"x": np.array([1, np.nan, 2.5, np.nan]), "n": np.arange(1, 5), "t": ["a", None, "\x1a", ""]},
    ],
    ids=["lists", "arrays"],
)
def test_columns_are_packed_as_their_rows_are(columns):
    packed = TablePacker(SCHEMA).pack_columns({"other": [{}, [], [1], [2]], **columns})
    lists = {
        name: values if isinstance(values, list) else values.tolist() for name, values in columns.items()
    }
    rows = [{name: lists[name][row] for name in lists} for row in range(4)]
    known = RowDecoder(SCHEMA).decode_rows(rows)
    assert set(packed) == set(known)
    for name in known:
        np.testing.assert_array_equal(packed[name], known[name])


def test_every_mistake_is_told_by_row_and_column():
    with pytest.raises(SchemaError) as caught:
        TablePacker(SCHEMA).pack_columns(
            {"x": [[1], [2], {}, 1], "n": [1, 2.5, None, 10**30], "t": ["a", 1, "b", "\ud800"]}
        )
    assert [(error.row, error.column) for error in caught.value.errors] == [
        (0, "x"),
        (1, "x"),
        (1, "n"),
        (1, "t"),
        (2, "x"),
        (2, "n"),
        (3, "n"),
        (3, "t"),
    ]
    with pytest.raises(SchemaError, match="no such column; rename the column 'nn'"):
        TablePacker(SCHEMA).pack_columns({"x": [1], "nn": [1], "t": ["a"]})


def test_columns_are_of_one_length():
    with pytest.raises(ArgumentError, match="one length"):
        TablePacker(SCHEMA).pack_columns({"x": [1], "n": [1, 2], "t": ["a"]})
