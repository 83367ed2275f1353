"""Every way into the graph reads the same values the same way, or finds the same mistakes."""

from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from afterfit.errors import SchemaError
from afterfit.schema import (
    Bounds,
    Categories,
    Column,
    RowDecoder,
    Schema,
    UnpackedRows,
    encode_text,
    join_rows,
    pack_table,
)

names = st.text(min_size=1, max_size=6) | st.sampled_from(
    ["a b", "Age (years)", "x:y", '"q"', "b\\s", "\x01"]
)
texts = st.text(max_size=4) | st.sampled_from(
    ["NaN", "Infinity", "-Infinity", "", "001", ":", "\x1a", "\x1aa", "a", "\\u003a", "\x00", "null"]
)
integers = st.integers(-5, 5) | st.integers(-(2**65), 2**65) | st.sampled_from([2**53, 2**53 + 1, 10**400])
floats = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([1.0, 2.0**54, 1e39, -0.0])
anything = st.none() | st.booleans() | integers | floats | texts | st.just([1]) | st.just({"a": 1})

GOOD = {"float": floats | integers, "integer": integers, "boolean": st.booleans(), "string": texts}

LIMITS = (
    Bounds(exclusive_minimum=0.0),
    Bounds(minimum=-2.0, maximum=2.0**53),
    Bounds(exclusive_maximum=2.5),
)


@st.composite
def columns(draw, name, position):
    kind = draw(st.sampled_from(["float", "integer", "boolean", "string"]))
    inputs = {
        "float": ["number"],
        "integer": ["number", "integer"],
        "boolean": ["number"],
        "string": ["text"],
    }
    bounds = draw(
        st.none() | st.sampled_from([(0.0, 1e300), ("-Infinity", "Infinity"), (-5.0, 5.0), (0.0, "Infinity")])
    )
    categories = None
    if draw(st.booleans()):
        small = {"float": st.sampled_from([0.5, 1.0, 1e39]), "integer": st.sampled_from([0, 1, 2, 2**53 + 1])}
        values = draw(st.lists(small.get(kind, GOOD[kind]), max_size=3, unique=True))
        categories = Categories(values=tuple(values), open=draw(st.booleans()))
    return Column(
        name=name,
        type=kind,
        nullable=draw(st.booleans()),
        input=draw(st.sampled_from([*inputs[kind], *inputs[kind], None])),
        position=position,
        categories=categories,
        range=bounds if kind == "float" else None,
        bounds=draw(st.none() | st.sampled_from(LIMITS)) if kind in ("float", "integer") else None,
    )


@st.composite
def schemas(draw):
    found = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    built = tuple(draw(columns(name, position)) for position, name in enumerate(found))
    return Schema(columns=built, outputs=())


@st.composite
def rows(draw, schema, *, tidy=False):
    """Rows with every column that is read; `tidy` rows hold values of the right kind only."""
    count = draw(st.integers(1, 3))
    made = []
    for _ in range(count):
        row = {}
        for column in schema.columns:
            values = GOOD[column.type]
            if column.categories is not None and column.categories.values:
                values |= st.sampled_from(column.categories.values)
            if column.nullable:
                values |= st.none()
            row[column.name] = draw(values if tidy or draw(st.integers(0, 9)) else anything)
        made.append(row)
    return made


def outcome(read):
    """What reading gives, in a form that can be compared; the mistakes where it fails."""
    try:
        packed = read()
    except SchemaError as error:
        return error.errors
    return {name: (array.dtype, array.shape, array.tolist()) for name, array in packed.items()}


def same(left, right):
    return repr(left) == repr(right)


@settings(deadline=None, max_examples=300)
@given(st.data(), st.booleans())
def test_every_way_in_agrees(data, ascii_only):
    schema = data.draw(schemas())
    given_rows = data.draw(rows(schema))
    decoder = RowDecoder(schema)
    body = json.dumps({"rows": given_rows}, ensure_ascii=ascii_only).encode()
    expected = outcome(lambda: decoder.decode_rows(given_rows))
    assert same(outcome(lambda: decoder.decode_json(body)), expected)
    assert same(outcome(lambda: join_rows([decoder.read_json(body)])), expected)
    assert same(outcome(lambda: pack_table(schema, given_rows)), expected)
    frame = pd.DataFrame(
        {name: pd.Series([r[name] for r in given_rows], dtype=object) for name in given_rows[0]}
    )
    assert same(outcome(lambda: pack_table(schema, frame)), expected)
    array = frame.to_numpy(dtype=object)
    assert same(outcome(lambda: pack_table(schema, array)), expected)


@pytest.mark.parametrize(
    "texts", [["\x1aa", "b"], ["b", "\x1a"], ["\x1a"], [None, "\x1a"], ["b", "c"], [None]]
)
@pytest.mark.parametrize("nullable", [True, False])
def test_texts_that_look_as_if_they_were_encoded_are_encoded_whoever_comes_along(texts, nullable):
    column = Column(name="t", type="string", nullable=nullable, input="text", position=0)
    decoder = RowDecoder(Schema(columns=(column,), outputs=()))
    sent = texts if nullable else ["d", *filter(None, texts)]
    parts = [decoder.read_json(json.dumps({"rows": [{"t": text}]}).encode()) for text in sent]
    assert all(isinstance(part, UnpackedRows) for part in parts)
    assert join_rows(parts)["text"].tolist() == [[encode_text(text)] for text in sent]


@settings(deadline=None, max_examples=300)
@given(st.data(), st.booleans())
def test_requests_packed_together_are_as_if_packed_alone(data, ascii_only):
    """Whether each was left unpacked, packed the fast way or read the slow way."""
    schema = data.draw(schemas())
    decoder = RowDecoder(schema)
    parts, alone = [], []
    for _ in range(data.draw(st.integers(1, 4))):
        body = json.dumps({"rows": data.draw(rows(schema, tidy=True))}, ensure_ascii=ascii_only).encode()
        with suppress(SchemaError):
            alone.append(decoder.decode_json(body))
            parts.append(data.draw(st.sampled_from([decoder.read_json, decoder.decode_json]))(body))
    assume(parts)
    expected = {name: np.concatenate([one[name] for one in alone]) for name in alone[0]}
    assert same(outcome(lambda: join_rows(parts)), outcome(lambda: expected))
    assert all(part.pack().keys() == expected.keys() for part in parts if isinstance(part, UnpackedRows))


@settings(deadline=None)
@given(st.data())
def test_typed_tables_agree_with_rows(data):
    schema = data.draw(schemas())
    given_rows = data.draw(rows(schema, tidy=True))
    kinds = {
        "float": (pa.float64(), pl.Float64, "Float64"),
        "integer": (pa.int64(), pl.Int64, "Int64"),
        "boolean": (pa.bool_(), pl.Boolean, "boolean"),
        "string": (pa.string(), pl.String, "string"),
    }
    lists = {}
    for column in schema.columns:
        values = [row[column.name] for row in given_rows]
        if column.type == "float":
            # A float64 column holds what Python's float does; the rest is another test's.
            values = [
                None if v is None else float(v) if not isinstance(v, int) or abs(v) < 2**64 else 0.5
                for v in values
            ]
        if column.type == "integer":
            values = [v if v is None or -(2**63) <= v < 2**63 else 3 for v in values]
        lists[column.name] = values
    given_rows = [{name: values[i] for name, values in lists.items()} for i in range(len(given_rows))]
    expected = outcome(lambda: RowDecoder(schema).decode_rows(given_rows))
    arrow = pa.table([pa.array(lists[c.name], kinds[c.type][0]) for c in schema.columns], names=list(lists))
    polars = pl.DataFrame([pl.Series(c.name, lists[c.name], kinds[c.type][1]) for c in schema.columns])
    nullable = pd.DataFrame({c.name: pd.array(lists[c.name], kinds[c.type][2]) for c in schema.columns})
    backed = arrow.to_pandas(types_mapper=pd.ArrowDtype)
    for table in (arrow, polars, nullable, backed):
        assert same(outcome(lambda table=table: pack_table(schema, table)), expected)


@settings(deadline=None)
@given(st.data())
def test_reading_changes_nothing_and_is_deterministic(data):
    schema = data.draw(schemas())
    given_rows = data.draw(rows(schema, tidy=True))
    before = repr(given_rows)
    decoder = RowDecoder(schema)
    first = outcome(lambda: decoder.decode_rows(given_rows))
    assert same(outcome(lambda: decoder.decode_rows(given_rows)), first)
    assert repr(given_rows) == before


@settings(deadline=None)
@given(st.lists(st.none() | st.text(max_size=5), min_size=1))
def test_packed_text_is_the_spelling_of_the_strings(values):
    schema = Schema(
        columns=(Column(name="t", type="string", nullable=True, input="text", position=0),), outputs=()
    )
    expected = [[encode_text(value)] for value in values]
    for table in (
        pl.DataFrame({"t": pl.Series(values, dtype=pl.String)}),
        pa.table({"t": pa.array(values, pa.string())}),
    ):
        assert pack_table(schema, table)["text"].tolist() == expected
    body = json.dumps({"rows": [{"t": value} for value in values]}).encode()
    assert RowDecoder(schema).decode_json(body)["text"].tolist() == expected


@pytest.mark.parametrize(
    "text",
    [
        "0.1",
        "1e-320",
        "5e-324",
        "1.7976931348623157e308",
        "9007199254740993",
        "123456789012345678901234567890",
        "2.2250738585072011e-308",
        "8.5e-46",
        "0.1e1",
        "-0.0",
    ],
)
def test_numbers_are_read_to_the_nearest_float64(text):
    column = Column(name="x", type="float", nullable=False, input="number", position=0, range=(0.0, 1e300))
    decoder = RowDecoder(Schema(columns=(column,), outputs=()))
    assert decoder._fast_built is False
    packed = decoder.decode_json(b'{"rows": [{"x": %s}]}' % text.encode())["number"]
    assert packed.dtype == np.float64
    assert repr(packed[0, 0].item()) == repr(float(text))
