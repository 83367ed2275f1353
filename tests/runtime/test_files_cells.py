"""Cells of text become values of their column's type: exactly, or not at all."""

from __future__ import annotations

import math
import re
import struct

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterfit.runtime._files._cells import convert_cells, decode_utf8
from afterfit.schema import Column


def convert(kind: str, *cells: str | None) -> tuple[list[object], list[int]]:
    column = Column(name="x", type=kind, nullable=True, input="number", position=0)
    values, bad = convert_cells(column, pa.array(cells, pa.string()))
    return values.to_pylist(), bad.tolist()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        (" 1.5 ", 1.5),
        ("+2", 2.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e-3", 0.001),
        ("-0", -0.0),
        ("007", 7.0),
    ],
)
def test_numbers(text: str, value: float):
    assert convert("float", text, "x") == ([value, None], [1])


@pytest.mark.parametrize("text", ["0x10", "1_0", "1,5", "1.5f", "١", "1 2", "true", "--1", "1e", "."])
def test_not_numbers(text: str):
    assert convert("float", text) == ([None], [0])
    assert convert("integer", text) == ([None], [0])


@pytest.mark.parametrize("text", ["", "NA", "N/A", "NaN", "nan", "null", "NULL", " NA "])
def test_missing_spellings_are_missing_except_in_text(text: str):
    for kind in ("float", "integer", "boolean"):
        assert convert(kind, text, "1", "x")[0][0] is None
        assert convert(kind, text, "1", "x")[1] == [2]
    assert convert("string", text) == ([text], [])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1.0", 1),
        ("1.", 1),
        ("-3.00", -3),
        ("+5", 5),
        ("1e3", 1000),
        ("9007199254740993", 2**53 + 1),
        ("9007199254740993.0", 2**53 + 1),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_integers_are_exact(text: str, value: int):
    assert convert("integer", text, "7") == ([value, 7], [])


@pytest.mark.parametrize(
    "text", ["1.5", "9223372036854775808", "1e17", "1e400", "1e-400", "inf", "1e999999999"]
)
def test_not_integers(text: str):
    assert convert("integer", "7", text) == ([7, None], [1])


_SPELLINGS = st.one_of(
    st.sampled_from(
        [
            "inf",
            "+inf",
            "-Infinity",
            "INF",
            "INFINITY",
            "nan",
            "-nan",
            "NaN",
            "+1",
            "1e400",
            "0x1",
            " 1",
            "1.",
            "",
        ]
    ),
    st.text("0123456789+-.eEinfa ", max_size=6),
)


@given(st.sampled_from(["float", "integer", "boolean"]), st.lists(_SPELLINGS, max_size=6))
def test_a_cell_means_the_same_whatever_stands_beside_it(kind: str, cells: list[str]):
    together, bad = convert(kind, *cells)
    for position, cell in enumerate(cells):
        [alone], wrong = convert(kind, cell)
        assert (position in bad) == bool(wrong)
        assert repr(alone) == repr(together[position])


def test_booleans():
    spelled = ["true", "True", "TRUE", "1", "false", "False", "FALSE", "0"]
    assert convert("boolean", *spelled) == ([True] * 4 + [False] * 4, [])
    assert convert("boolean", "yes", None, "2", "tRUE") == ([None] * 4, [0, 2, 3])


@given(st.lists(st.one_of(st.floats(), st.none()), max_size=20))
def test_every_float_written_by_python_is_read_back(values: list[float | None]):
    cells = [None if value is None else repr(value) for value in values]
    found, bad = convert("float", *cells)
    assert bad == []
    for value, back in zip(values, found, strict=True):
        if value is None or math.isnan(value):
            assert back is None or math.isnan(back)
        else:
            assert struct.pack("<d", value) == struct.pack("<d", back)


@given(st.lists(st.text(), max_size=20))
def test_a_number_is_what_the_pattern_says_and_nothing_else(cells: list[str]):
    found, bad = convert("float", *cells)
    for position, (cell, value) in enumerate(zip(cells, found, strict=True)):
        text = cell.strip(" \t\n\v\f\r")
        if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
            assert value == float(text)
        elif position not in bad:
            assert value is None or not math.isfinite(value)


@given(st.lists(st.integers(-(2**64), 2**64), max_size=20))
def test_integers_written_by_python_are_read_back(values: list[int]):
    found, bad = convert("integer", *map(str, values))
    assert found == [value if -(2**63) <= value < 2**63 else None for value in values]
    assert bad == [i for i, value in enumerate(values) if not -(2**63) <= value < 2**63]


@given(st.lists(st.one_of(st.none(), st.binary(max_size=4)), max_size=10))
def test_text_is_utf8_or_reported(cells: list[bytes | None]):
    texts, bad = decode_utf8(pa.array(cells, pa.binary()))
    for position, (cell, text) in enumerate(zip(cells, texts.to_pylist(), strict=True)):
        if position in bad.tolist():
            with pytest.raises(UnicodeDecodeError):
                cell.decode()
        else:
            assert text == (None if cell is None else cell.decode())
