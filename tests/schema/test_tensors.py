"""Columns whose values are arrays: inference, rows, tables, and every mistake with its place."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterfit.errors import ArgumentError, SchemaError
from afterfit.schema import (
    Bounds,
    Column,
    RowDecoder,
    Schema,
    groups_by_size,
    infer_table,
    pack_table,
    take_group,
)

IMAGE = Column(name="image", type="float", nullable=False, input="tensor_0", position=0, shape=(2, 3))
TOKENS = Column(
    name="tokens",
    type="integer",
    nullable=False,
    input="tensor_1",
    position=0,
    shape=(-1,),
    bounds=Bounds(minimum=0, maximum=9),
)
AGE = Column(name="age", type="float", nullable=True, input="number", position=0)
SCHEMA = Schema(columns=(IMAGE, TOKENS, AGE), outputs=())
DECODER = RowDecoder(SCHEMA)
PICTURE = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]]


def body(*rows: dict[str, Any]) -> bytes:
    return json.dumps({"rows": rows}).encode()


def row(image: Any = PICTURE, tokens: Any = (1,), age: Any = 1.0) -> dict[str, Any]:
    return {"image": image, "tokens": tokens if tokens is None else list(tokens), "age": age}


def assert_equal(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left.keys() == right.keys()
    for name, array in left.items():
        assert array.dtype == right[name].dtype
        for a, b in zip(array, right[name], strict=True):
            np.testing.assert_array_equal(a, b)


def mistakes(value: object) -> list[tuple[int | None, str | None, str, str]]:
    """What is wrong, found the same in a body, in rows of dicts and in columns."""
    with pytest.raises(SchemaError) as in_body:
        DECODER.decode_json(body(row(image=value)))
    with pytest.raises(SchemaError) as in_rows:
        DECODER.decode_rows([row(image=value)])
    assert in_body.value.errors == in_rows.value.errors
    return [(error.row, error.column, error.expected, error.got) for error in in_body.value.errors]


def test_rows_and_tables_of_every_kind_are_packed_alike():
    rows = [row(tokens=[1, 2]), row(tokens=[3], age=None)]
    expected = DECODER.decode_rows(rows)
    assert expected["tensor_0"].shape == (2, 2, 3)
    assert [tokens.tolist() for tokens in expected["tensor_1"]] == [[1, 2], [3]]
    assert_equal(DECODER.decode_json(body(*rows)), expected)
    columns = {name: [one[name] for one in rows] for name in ("image", "tokens", "age")}
    arrays = {"image": np.array(columns["image"]), "tokens": columns["tokens"], "age": np.array([1, np.nan])}
    for table in (
        pd.DataFrame(columns),
        pl.DataFrame(columns),
        pl.DataFrame(columns).to_arrow(),
        arrays,
        list(map(np.array, [columns["image"], np.array([[1, 2], [3]], dtype=object), [1, np.nan]])),
        rows,
    ):
        assert_equal(pack_table(SCHEMA, table), expected)


def test_the_fast_way_is_taken_and_agrees():
    assert DECODER.decode_json(body(row()))["tensor_0"].tolist() == [PICTURE]
    assert DECODER._fast is not None
    assert_equal(DECODER._fast(body(row()), None), DECODER.decode_rows([row()]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, [("a list of 2 lists of 3 numbers", "5")]),
        ([1, [1, 2, 3]], [("a list of 3 numbers", "1 at [0]")]),
        ([[1, 2, 3]], [("a list of 2 lists of 3 numbers", "a list of 1")]),
        ([[1, 2, 3], [1, 2]], [("a list of 3 numbers", "a list of 2 at [1]")]),
        ([[1, "a", 3], [1, 2, [3]]], [("a number", "'a' at [0][1]"), ("a number", "a list at [1][2]")]),
        ([[1, 2, 3], [True, 2, 3]], [("a number", "true at [1][0]")]),
        ([[None, 2, 3], ["NaN", 2, 3]], [("a number", "null at [0][0]"), ("a number", "'NaN' at [1][0]")]),
        ({"a": 1}, [("a list of 2 lists of 3 numbers", "an object")]),
    ],
)  # fmt: skip
def test_every_mistake_is_listed_with_its_place(value, expected):
    assert mistakes(value) == [(0, "image", *phrases) for phrases in expected]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([], [("a list of integers", "an empty list")]),
        ([[1]], [("an integer of at least 0 and at most 9", "a list at [0]")]),
        (
            [10, 1.5],
            [
                ("an integer of at least 0 and at most 9", "10 at [0]"),
                ("an integer of at least 0 and at most 9", "1.5 at [1]"),
            ],
        ),
        ([0, -1], [("an integer of at least 0 and at most 9", "-1 at [1]")]),
    ],
)  # fmt: skip
def test_tokens_keep_to_their_bounds(tokens, expected):
    with pytest.raises(SchemaError) as found:
        DECODER.decode_json(body(row(tokens=tokens)))
    assert [(error.expected, error.got) for error in found.value.errors] == expected
    with pytest.raises(SchemaError):
        pack_table(SCHEMA, pd.DataFrame([row(tokens=tokens)]))


def test_a_wrong_array_lists_its_mistakes():
    with pytest.raises(SchemaError, match=r"row 1, column 'image': expected a number, got Infinity|finite"):
        pack_table(
            SCHEMA,
            {"image": np.array([PICTURE, [[np.inf] * 3] * 2]), "tokens": [[1], [1]], "age": np.ones(2)},
        )
    with pytest.raises(SchemaError, match="a list of 4 at"):
        pack_table(SCHEMA, {"image": np.ones((1, 2, 4)), "tokens": [[1]], "age": np.ones(1)})
    with pytest.raises(SchemaError, match="expected 3 arrays"):
        pack_table(SCHEMA, np.ones((1, 2, 3)))
    with pytest.raises(SchemaError, match="got a list"):
        pack_table(SCHEMA, {"image": [PICTURE], "tokens": [[1]], "age": [[1.0]]})


def test_inference():
    X = {
        "image": np.ones((3, 2, 3), dtype=np.float32),
        "tokens": [[1], [2, 9], [3]],
        "words": np.array([[["a"], ["b"]]] * 3),
        "flags": np.ones((3, 4), dtype=bool),
        "age": np.arange(3.0),
    }
    found = {column.name: column for column in infer_table(X).columns}
    assert {name: (column.type, column.shape) for name, column in found.items()} == {
        "image": ("float", (2, 3)),
        "tokens": ("integer", (-1,)),
        "words": ("string", (2, 1)),
        "flags": ("boolean", (4,)),
        "age": ("float", None),
    }
    assert found["image"].dtype == np.float32
    assert found["tokens"].range == (1.0, 9.0)
    assert infer_table(np.ones((3, 2, 3))).columns[0].name == "x"
    missing = infer_table({"x": np.full((2, 2), np.nan)}).columns[0]
    assert (
        missing.refusal
        == "which holds missing values inside its arrays; put a number that stands for them there"
    )


def test_arrays_of_unequal_lengths_are_refused():
    with pytest.raises(ArgumentError, match="a 2, b 3"):
        infer_table({"a": np.ones((2, 2)), "b": np.ones(3)})


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), min_size=1, max_size=12))
def test_groups_hold_every_row_once_and_agree_in_size(tokens):
    packed = DECODER.decode_json(body(*(row(tokens=one) for one in tokens)))
    groups = groups_by_size(packed)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(tokens)))
    for group in groups:
        taken = {name: take_group(values, group) for name, values in packed.items()}
        assert taken["tensor_1"].tolist() == [tokens[i] for i in group]
        assert taken["tensor_0"].shape == (len(group), 2, 3)


nested = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-2, 11), st.floats(width=32), st.sampled_from(["a", "NaN"])
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(nested, nested)
def test_bytes_and_rows_agree_whatever_is_sent(image, tokens):
    one = {"image": image, "tokens": tokens, "age": 1.0}
    sent = json.loads(json.dumps({"rows": [one]}, allow_nan=True))["rows"]
    try:
        expected = DECODER.decode_rows(sent)
    except SchemaError as error:
        if "NaN" not in json.dumps(sent) and "Infinity" not in json.dumps(sent):
            with pytest.raises(SchemaError) as found:
                DECODER.decode_json(json.dumps({"rows": sent}).encode())
            assert found.value.errors == error.errors
    else:
        assert_equal(DECODER.decode_json(json.dumps({"rows": sent}).encode()), expected)
