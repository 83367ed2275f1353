"""Requests and lists of dicts against a schema."""

from __future__ import annotations

import json
import math
import threading

import numpy as np
import pytest

from afterfit.errors import SchemaError
from afterfit.schema import MISSING_TEXT, RowDecoder, pack_table


def body_of(*rows):
    return json.dumps({"rows": rows}).encode()


def mistakes(read, *arguments, **keywords):
    with pytest.raises(SchemaError) as caught:
        read(*arguments, **keywords)
    return caught.value


def only(read, *arguments, **keywords):
    [error] = mistakes(read, *arguments, **keywords).errors
    return error


@pytest.fixture
def decoder(flights):
    return RowDecoder(flights)


def test_rows_are_packed_by_element_type(decoder, row):
    other = {**row, "dep_delay": None, "night": True, "dest": "\x1aX", "carrier": "Ωmega \U0001f600"}
    for packed in (decoder.decode_json(body_of(row, other)), decoder.decode_rows([row, other])):
        np.testing.assert_array_equal(packed["number"], [[2.5, 1400, 0], [np.nan, 1400, 1]])
        assert packed["text"].tolist() == [
            ["UA", "EWR", MISSING_TEXT],
            ["Ωmega \U0001f600", "EWR", "\x1a\x1aX"],
        ]
        assert packed["integer"].tolist() == [[2**53 + 1], [2**53 + 1]]
        assert [a.dtype for a in packed.values()] == [np.float64, object, np.int64]
        assert all(array.flags.c_contiguous for array in packed.values())


def test_text_that_begins_with_the_mark_of_missing_text_is_told_apart(decoder, row):
    row |= {"dest": "\x1a", "carrier": "\x1aX"}
    assert decoder.decode_json(body_of(row))["text"].tolist() == [["\x1a\x1aX", "EWR", "\x1a\x1a"]]


def test_an_integer_no_float64_holds_is_not_rounded(decoder, row):
    row["distance"] = 2**53
    assert decoder.decode_json(body_of(row))["number"][0, 1] == 2**53
    for integer in (2**53 + 1, -(2**53) - 1):
        error = only(decoder.decode_json, body_of({**row, "distance": integer}))
        assert (error.column, error.got) == ("distance", str(integer))


@pytest.fixture
def slow_path_forbidden(monkeypatch):
    def fail(*arguments):
        raise AssertionError("the slow path was taken")

    monkeypatch.setattr(RowDecoder, "_decode_slowly", fail)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"dep_delay": None},
        {"dep_delay": "NaN"},
        {"dep_delay": 3},
        {"dep_delay": -0.0},
        {"distance": 1400.0},
        {"dest": None},
        {"dest": "a: b"},
        {"dest": "\x1a"},
        {"dest": 'say "hi" \\ there'},
        {"note": {"any": ["thing:", {"b": 1}]}},
        {"note": "x:y"},
    ],
)
def test_good_requests_take_the_fast_path(flights, row, change, slow_path_forbidden):
    assert RowDecoder(flights).decode_json(body_of({**row, **change}))


def test_infinities_where_training_had_them(build_schema, slow_path_forbidden):
    schema = build_schema([{"name": "x", "type": "float", "range": (0.0, "Infinity")}])
    assert RowDecoder(schema).decode_json(b'{"rows": [{"x": "Infinity"}]}')["number"][0, 0] == math.inf


def test_four_mistakes_in_one_row_are_all_told(decoder, row):
    row["dep_delay"] = "twelve"
    row["origin"] = "JFX"
    row["distance"] = 1.5
    row["carier"] = row.pop("carrier")
    for error in (mistakes(decoder.decode_json, body_of(row)), mistakes(decoder.decode_rows, [row])):
        assert [(e.row, e.column, e.got, e.fix) for e in error.errors] == [
            (0, "dep_delay", "'twelve'", "send a number"),
            (0, "distance", "1.5", "send a number without a fraction"),
            (0, "origin", "'JFX'", "did you mean 'JFK'?"),
            (0, "carier", "an unknown column", "did you mean 'carrier'?"),
        ]
        assert error.errors[0].expected == "a number or null"
        assert error.errors[2].expected == "one of 'EWR', 'JFK', 'LGA'"


def test_rows_are_strict_about_their_columns(decoder, row):
    del row["dest"]
    error = only(decoder.decode_rows, [row])
    assert (error.column, error.got, error.fix) == ("dest", "nothing", "send null where it is missing")
    row["dest"] = None
    row["zzz"] = 1
    error = only(decoder.decode_json, body_of(row))
    assert (error.column, error.fix) == ("zzz", "leave it out")
    assert only(decoder.decode_rows, [row]) == error


def test_columns_the_model_never_reads_may_be_there_or_not(decoder, row):
    expected = decoder.decode_rows([row])
    for note in (None, 1, [[]], {"a": 1}, "\x1a"):
        for packed in (
            decoder.decode_rows([{**row, "note": note}]),
            decoder.decode_json(body_of({**row, "note": note})),
        ):
            assert repr(packed) == repr(expected)


def test_numpy_scalars_are_accepted_in_rows(decoder, row):
    row |= {
        "dep_delay": np.float32(2.5),
        "distance": np.int16(1400),
        "night": np.bool_(False),
        "carrier": np.str_("UA"),
    }
    packed = decoder.decode_rows([row])
    assert packed["number"].tolist() == [[2.5, 1400.0, 0.0]]
    assert type(packed["text"][0, 0]) is str


def test_the_value_of_a_misspelt_column_is_checked_too(decoder, row):
    del row["carrier"]
    row["carier"] = 7
    found = mistakes(decoder.decode_rows, [row]).errors
    assert [(e.column, e.got) for e in found] == [("carier", "an unknown column"), ("carrier", "7")]


def test_one_misspelt_column_never_hides_another(decoder, row):
    row["carier"] = row.pop("carrier")
    row["carrierr"] = "UA"
    found = mistakes(decoder.decode_rows, [row]).errors
    assert [(e.column, "carrier" in e.fix) for e in found] == [("carier", True), ("carrierr", False)]


@pytest.mark.parametrize(
    ("body", "expected", "got"),
    [
        (b"", "an object", "an empty body"),
        (b"  \n", "an object", "an empty body"),
        (b"{", "an object", "not JSON"),
        (b'{"rows": [{}]} x', "an object", "not JSON"),
        (b"\xff\xfe", "in UTF-8", "at byte 0"),
        (b'{"rows": [{"carrier": "\xed\xa0\x80"}]}', "in UTF-8", "not UTF-8"),
        (b"[]", "an object", "a list"),
        (b"null", "an object", "null"),
        (b"3", "an object", "3"),
        (b'"x"', "an object", "'x'"),
        (b"NaN", "an object", "NaN"),
        (b"{}", 'the key "rows"', "none"),
        (b'{"Rows": []}', 'the key "rows"', "none"),
        (b'{"rows": {}}', "a list", "an object"),
        (b'{"rows": null}', "a list", "null"),
        (b'{"rows": []}', "at least one row", "no rows"),
        (b'{"rows": [1]}', "an object of column names", "1"),
        (b'{"rows": [[]]}', "an object of column names", "a list"),
        (b'{"rows": [null]}', "an object of column names", "null"),
        (b"[" * 100_000 + b"]" * 100_000, "an object", "nested too deeply"),
        (b'{"rows":' * 100_000, "an object", "nested too deeply"),
    ],
)
def test_mistakes_of_the_body(decoder, body, expected, got):
    error = only(decoder.decode_json, body)
    assert expected in error.expected
    assert got in error.got
    assert error.column is None


def test_other_keys_of_the_body(decoder, row):
    body = json.dumps({"rows": [row], "row": 1, "x": 2}).encode()
    assert [e.got for e in mistakes(decoder.decode_json, body).errors] == ["'row'", "'x'"]
    assert only(decoder.decode_json, b'{"row": []}').fix == "rename 'row' to 'rows'"


def test_too_many_rows(decoder, row):
    body = body_of(row, row, row)
    assert len(decoder.decode_json(body, max_rows=3)["number"]) == 3
    error = only(decoder.decode_json, body, max_rows=2)
    assert (error.expected, error.got) == ("at most 2 rows", "3 rows")


@pytest.mark.parametrize(
    "repeated",
    [
        '"carrier": "AA"',
        '"c\\u0061rrier": "AA"',
        '"carrier" : "A:A"',
        '"carrier": "A\\u003aA"',
        '"note": 1, "note": 2',
        '"note": {"a": 1}, "carrier": "AA"',
    ],
)
def test_a_key_given_twice_is_a_mistake(decoder, row, repeated):
    body = body_of({**row, "dest": "x:y"})[:-3] + b", " + repeated.encode() + b"}]}"
    json.loads(body)
    error = only(decoder.decode_json, body)
    assert (error.row, error.expected) == (0, "each column once")
    assert "again" in only(decoder.decode_json, b'{"rows": [{}], "rows": []}').got


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("1e999", "1e999"),
        ("-1e999", "-1e999"),
        ("1" + "0" * 400, "an integer of 1329 bits"),
        ("1" + "0" * 5_000, "1000"),
        ("1e39", "1e+39"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("true", "true"),
        ('"1"', "'1'"),
        ('"\\ud800"', "'\\ud800'"),
    ],
)
def test_numbers_no_column_can_take_are_placed(decoder, row, text, got):
    row["dep_delay"] = "@"
    error = only(decoder.decode_json, body_of(row).replace(b'"@"', text.encode()))
    assert (error.row, error.column) == (0, "dep_delay")
    assert got in error.got
    assert len(error.got) <= 60


def test_half_of_a_surrogate_pair_is_a_mistake(decoder, row):
    row["carrier"] = "\ud83d"
    error = only(decoder.decode_json, body_of(row))
    assert error.column == "carrier"
    assert "surrogate" in error.fix
    assert only(decoder.decode_rows, [row]) == error
    str(error).encode()
    del row["carrier"]
    strange = mistakes(decoder.decode_rows, [{**row, "carrier": "a", "\ud83d": 1, 3: 4}])
    str(strange).encode()
    assert [e.column for e in strange.errors] == ["\\ud83d", "3"]


@pytest.mark.parametrize("name", ['"', "\\", "\x01", "a b", "Age (years)", "", ":", "\U0001f600", "\u2028"])
def test_any_name_can_be_sent(build_schema, name):
    schema = build_schema([{"name": name, "type": "float"}, {"name": name + "2", "type": "string"}])
    decoder = RowDecoder(schema)
    for ascii_only in (True, False):
        body = json.dumps({"rows": [{name: 1.5, name + "2": "x"}]}, ensure_ascii=ascii_only).encode()
        packed = decoder.decode_json(body)
        assert (packed["number"].tolist(), packed["text"].tolist()) == ([[1.5]], [["x"]])


def test_the_list_of_mistakes_is_bounded(decoder):
    rows = [{f"strange {number}": number for number in range(700)} for _ in range(100)]
    for error in (mistakes(decoder.decode_rows, rows), mistakes(decoder.decode_json, body_of(*rows))):
        assert error.truncated
        assert len(error.errors) == 1_000
        assert error.errors[0].row == 0
        assert error.errors[-1].row == 1
    many = json.dumps({f"key {number}": 1 for number in range(5_000)}).encode()
    error = mistakes(decoder.decode_json, many)
    assert error.truncated
    assert len(error.errors) <= 1_000


def test_closed_numbers_and_booleans(build_schema):
    schema = build_schema(
        [
            {"name": "month", "type": "integer", "closed": [1, 2], "nullable": True},
            {"name": "flag", "type": "boolean", "closed": [True]},
            {"name": "id", "type": "integer", "input": "integer", "closed": [2**60 + 1]},
            {"name": "none", "type": "string", "closed": [], "nullable": True},
        ]
    )
    decoder = RowDecoder(schema)
    good = {"month": 2, "flag": True, "id": 2**60 + 1, "none": None}
    assert (
        decoder.decode_json(body_of(good, {**good, "month": None}))["integer"].tolist() == [[2**60 + 1]] * 2
    )
    bad = {"month": 4, "flag": False, "id": 2**60, "none": "x"}
    error = mistakes(decoder.decode_json, body_of(bad))
    assert [(e.column, e.fix) for e in error.errors] == [
        ("month", "did you mean 2?"),
        ("flag", "did you mean true?"),
        ("id", f"did you mean {2**60 + 1}?"),
        ("none", "send one of the values the model learned"),
    ]


def test_pack_table_reads_a_list_of_dicts_as_the_decoder_does(flights, row):
    assert repr(pack_table(flights, [row])) == repr(RowDecoder(flights).decode_rows([row]))
    assert only(pack_table, flights, []).expected == "at least one row"
    assert only(pack_table, flights, [{**row, "zzz": 1}]).column == "zzz"


def test_a_decoder_serves_many_threads(flights, row):
    decoder = RowDecoder(flights)
    bodies = [body_of({**row, "distance": number}) for number in range(50)]
    wrong = []

    def read():
        for number, body in enumerate(bodies):
            if decoder.decode_json(body)["number"][0, 1] != number:
                wrong.append(number)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_bodies_come_as_any_bytes(decoder, row):
    body = body_of(row)
    for form in (bytearray(body), memoryview(body)):
        assert decoder.decode_json(bytes(form))["integer"].tolist() == [[2**53 + 1]]
