"""Scoring files: every format gives the same answers, and bad rows are found where they stand."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterfit.errors import ArgumentError, SchemaError
from afterfit.runtime import Model, load
from afterfit.runtime._files import AtomicFile, find_format, open_sink, open_source
from afterfit.runtime._scoring import Answers, ScoredBatch, score
from afterfit.schema import Column, Output, Schema

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["amount (€)", "code", "member", "visits", "account"]
HEADER = "amount (€),code,member,visits,account"


@pytest.fixture(scope="module")
def model(hand_bundle: Path) -> Model:
    return load(hand_bundle, threads=1)


def score_file(
    model: Model, path: Path, *, sift: bool = False, batch_rows: int = 65_536
) -> list[ScoredBatch]:
    source = open_source(path, find_format(str(path)), model.schema, batch_rows=batch_rows)
    try:
        return list(score(model, source, Answers(model.schema), sift=sift))
    finally:
        source.close()


def yes(batches: list[ScoredBatch]) -> list[float]:
    return [p for batch in batches for p in batch.answers.column("probability_yes").to_pylist()]


def write_csv(path: Path, body: str | bytes, header: str = HEADER) -> Path:
    content = body if isinstance(body, bytes) else body.encode()
    path.write_bytes(header.encode() + b"\n" + content)
    return path


def row(code: Any, **changed: Any) -> dict[str, Any]:
    return {"amount (€)": 1.0, "code": code, "member": False, "visits": 0, "account": 7, **changed}


def mistakes(batches: list[ScoredBatch]) -> list[tuple[int, int | None, str | None]]:
    return [
        (bad.number, bad.line, error.column)
        for batch in batches
        for bad in batch.rejected
        for error in bad.errors
    ]


SPELLED = [
    ("001", "001"),
    ("1", "1"),
    ('"1"', "1"),
    ("", None),
    ('""', ""),
    ("None", "None"),
    ("nan", "nan"),
    ("NA", "NA"),
    ('"Łódź, ""q""\n2"', 'Łódź, "q"\n2'),
    ("\x1a", "\x1a"),
    (" 001", " 001"),
]


@pytest.mark.parametrize(("cell", "value"), SPELLED)
def test_text_of_csv_is_taken_as_it_stands(
    tmp_path: Path, model: Model, hand_answer, cell: str, value: str | None
):
    path = write_csv(tmp_path / "a.csv", f"1,{cell},false,0,7\n")
    assert yes(score_file(model, path)) == [hand_answer(row(value))]


def test_the_same_rows_in_every_format_get_the_same_answers(tmp_path: Path, model: Model, hand_answer):
    rows = [row(value, visits=i, account=2**53 + i) for i, (_, value) in enumerate(SPELLED)]
    rows[3] |= {"amount (€)": None, "visits": None}
    rows[4] |= {"amount (€)": 0.1 + 0.2}
    expected = [hand_answer(r) for r in rows]
    table = pa.Table.from_pylist(rows)
    files = {
        name: tmp_path / f"a.{name}" for name in ("csv", "jsonl", "parquet", "arrow", "arrows", "feather")
    }
    pyarrow.csv.write_csv(table, files["csv"])
    files["jsonl"].write_text("\n".join(json.dumps(r) for r in rows), encoding="utf-8")
    pyarrow.parquet.write_table(table, files["parquet"], row_group_size=3)
    pyarrow.feather.write_feather(table, files["feather"], compression="zstd")
    for name, writer in (("arrow", pyarrow.ipc.new_file), ("arrows", pyarrow.ipc.new_stream)):
        with writer(files[name], table.schema) as sink:
            sink.write_table(table, max_chunksize=4)
    files["gz"] = tmp_path / "a.csv.gz"
    files["gz"].write_bytes(gzip.compress(files["csv"].read_bytes()))
    files["tsv"] = tmp_path / "a.tsv"
    pyarrow.csv.write_csv(table, files["tsv"], pyarrow.csv.WriteOptions(delimiter="\t"))
    for name, path in files.items():
        for batch_rows in (1, 4, 1000):
            assert yes(score_file(model, path, batch_rows=batch_rows)) == expected, name


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks(tmp_path: Path, model: Model, hand_answer, break_: str, bom: bytes):
    path = tmp_path / "a.csv"
    path.write_bytes(bom + break_.join([HEADER, "1,001,true,0,7", "", "2,1,0,,8"]).encode())
    expected = [
        hand_answer(row("001", member=True)),
        hand_answer(row("1", visits=None, account=8) | {"amount (€)": 2}),
    ]
    assert yes(score_file(model, path)) == expected


def test_quotes_around_everything_change_no_number(tmp_path: Path, model: Model, hand_answer):
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([NAMES, ["", "001", "true", "", "7"]])
    assert yes(score_file(model, path)) == [
        hand_answer(row("001", member=True, visits=None) | {"amount (€)": None})
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(st.none(), st.text(st.characters(codec="utf-8"))),
        min_size=1,
        max_size=8,
    )
)
def test_any_text_survives_csv_in_and_out(tmp_path: Path, model: Model, texts: list[str | None]):
    """Law: writing rows as CSV and reading them back gives the same cells; missing is not ""."""
    table = pa.table(
        {
            **{name: [row("")[name]] * len(texts) for name in NAMES if name != "code"},
            "code": pa.array(texts, pa.string()),
        }
    )
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(table, path)
    first = copy(model, path, tmp_path / "b.csv")
    second = copy(model, first, tmp_path / "c.csv", only=False, prefix="again_")
    back = open_source(second, find_format("c.csv"), model.schema)
    found = pa.concat_tables(batch.table() for batch in back)
    back.close()
    assert found.column("code").to_pylist() == texts
    assert found.column("again_prediction") == found.column("prediction")


def copy(
    model: Model, path: Path, target: Path, *, only: bool = False, prefix: str = "", **options: Any
) -> Path:
    source = open_source(path, find_format(str(path)), model.schema, **options)
    answers = Answers(model.schema, prefix)
    with target.open("wb") as file:
        sink = open_sink(file, find_format(str(target)), None if only else source.schema, answers.schema)
        try:
            for batch in score(model, source, answers, sift=False):
                assert not batch.rejected
                sink.write(batch.batch, batch.rows, batch.answers)
            sink.finish()
        finally:
            sink.close()
    source.close()
    return target


FORMATS = ["csv", "tsv", "csv.gz", "jsonl", "ndjson.gz", "parquet", "arrow", "arrows"]


@pytest.mark.parametrize("into", FORMATS)
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_becomes_every_other(tmp_path: Path, model: Model, hand_answer, form: str, into: str):
    rows = [row(value, account=2**53 + i, note=f"n{i}") for i, (_, value) in enumerate(SPELLED)]
    rows[2] |= {"amount (€)": None, "visits": None, "note": None}
    start = tmp_path / "start.parquet"
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), start)
    first = copy(model, start, tmp_path / f"first.{form}", batch_rows=4)
    second = copy(model, first, tmp_path / f"second.{into}", prefix="p_", batch_rows=3)
    source = open_source(second, find_format(str(second)), model.schema)
    found = pa.concat_tables(batch.table() for batch in source).to_pylist()
    source.close()
    assert [{name: r[name] for name in [*NAMES, "note"]} for r in found] == rows
    # In CSV only the model's columns have types.
    for name in ("probability_yes", "p_probability_yes"):
        assert [float(r[name]) for r in found] == [hand_answer(r) for r in rows]
    assert [r["p_prediction"] for r in found] == [r["prediction"] for r in found]


def test_answers_without_the_columns_of_the_input(tmp_path: Path, model: Model):
    path = copy(
        model, write_csv(tmp_path / "a.csv", "1,001,true,0,7\n"), tmp_path / "b.csv", only=True, prefix="m_"
    )
    assert path.read_text().splitlines()[0] == "m_prediction,m_probability_no,m_probability_yes"


@pytest.mark.parametrize("form", FORMATS)
def test_no_rows_give_a_file_of_no_rows(tmp_path: Path, model: Model, form: str):
    empty = copy(model, write_csv(tmp_path / "a.csv", ""), tmp_path / f"b.{form}")
    again = copy(model, empty, tmp_path / "c.csv", prefix="p_")
    assert len(again.read_text().splitlines()) == 1


BAD = (
    "1,001,true,0,7\n"
    "x,001,yes,0,7\n"
    '2,"two\nlines",false,1.5,7\n'
    "3,001,,0,7\n"
    "\n"
    "4,001\n"
    "5,001,false,0,7,8\n"
    '6,"one\r\nmore",true,0,7\n'
    "1e39,001,true,0,9223372036854775808\n"
    "8,001,true,0,7\n"
)
BAD_PLACES = [
    (2, 3, "amount (€)"),
    (2, 3, "member"),
    (3, 4, "visits"),
    (4, 6, "member"),
    (5, 8, None),
    (6, 9, None),
    (8, 12, "account"),
    (8, 12, "amount (€)"),
]


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 1000])
def test_every_mistake_of_a_csv_file_is_found_where_it_stands(
    tmp_path: Path, model: Model, hand_answer, batch_rows: int
):
    batches = score_file(model, write_csv(tmp_path / "a.csv", BAD), sift=True, batch_rows=batch_rows)
    assert sorted(mistakes(batches), key=str) == sorted(BAD_PLACES, key=str)
    good = [
        row("001", member=True),
        row("one\r\nmore", member=True) | {"amount (€)": 6.0},
        row("001", member=True) | {"amount (€)": 8.0},
    ]
    assert yes(batches) == [hand_answer(r) for r in good]


def test_a_batch_with_a_bad_row_is_not_scored_unless_rows_are_sifted(tmp_path: Path, model: Model):
    batches = score_file(model, write_csv(tmp_path / "a.csv", BAD), batch_rows=2)
    assert [batch.scored for batch in batches][:2] == [0, 0]
    assert batches[0].rejected[0].values == dict(zip(NAMES, ["x", "001", "yes", "0", "7"], strict=True))
    assert batches[0].rejected[0].errors[0].row == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(BAD.replace('"two\nlines"', "two").replace('"one\r\nmore"', "x").split("\n")),
        max_size=12,
    ),
    st.integers(1, 5),
)
def test_sifted_rows_get_the_answers_they_get_alone(
    tmp_path: Path, model: Model, lines: list[str], batch_rows: int
):
    """Law: an answer depends on its row alone; each row is either scored or rejected."""
    lines = [line for line in lines if line]
    together = score_file(
        model, write_csv(tmp_path / "a.csv", "\n".join(lines)), sift=True, batch_rows=batch_rows
    )
    alone = [score_file(model, write_csv(tmp_path / "b.csv", line), sift=True) for line in lines]
    assert yes(together) == [p for batches in alone for p in yes(batches)]
    expected = [i for i, batches in enumerate(alone, 1) if any(batch.rejected for batch in batches)]
    assert [bad.number for batch in together for bad in batch.rejected] == expected


def test_more_mistakes_than_one_error_lists(tmp_path: Path, model: Model, hand_answer):
    lines = ["x,001,maybe,0,7"] * 1500 + ["1,001,true,0,7"] + ["1e39,001,true,1e300,7"] * 1500
    path = write_csv(tmp_path / "a.csv", "\n".join(lines))
    batches = score_file(model, path, sift=True)
    found = mistakes(batches)
    assert len(found) == 6000
    assert len(set(found)) == 6000
    assert yes(batches) == [hand_answer(row("001", member=True))]
    typed = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(
        pa.table(
            {name: [row("1")[name]] * 3000 for name in NAMES if name != "member"}
            | {"member": [5, None] * 1500}
        ),
        typed,
    )
    assert [bad.number for batch in score_file(model, typed, sift=True) for bad in batch.rejected] == list(
        range(1, 3001)
    )


def test_bytes_that_are_not_utf8(tmp_path: Path, model: Model, hand_answer):
    path = write_csv(tmp_path / "a.csv", b"1,001,true,0,7\n1,caf\xe9,true,0,7\n1,001,true,0,7\n")
    batches = score_file(model, path, sift=True)
    assert mistakes(batches) == [(2, 3, "code")]
    assert batches[0].rejected[0].values["code"] == "caf\\xe9"
    assert yes(batches) == [hand_answer(row("001", member=True))] * 2


def test_a_ragged_row_that_is_not_utf8_leaves_no_traceback(tmp_path: Path, model: Model, capsys):
    path = write_csv(tmp_path / "a.csv", b"1,001,true,0,7\n\xe9\n")
    with pytest.raises(ArgumentError, match="Row #3"):
        score_file(model, path, sift=True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", ArgumentError, "is empty"),
        (b"\n\n", ArgumentError, "is empty"),
        ("a,b".encode("utf-16"), ArgumentError, "UTF-16"),
        (b"\xff\xfb,b\n1,2\n", ArgumentError, "UTF-8"),
        (b"a,a\n1,2\n", ArgumentError, "more than one column called 'a'"),
        (HEADER.replace(",", ";").encode() + b"\n1;2;3;4;5\n", ArgumentError, "--delimiter"),
        (HEADER.replace("code", "cod").encode() + b"\n1,2,3,4,5\n", SchemaError, "rename the column 'cod'"),
    ],
)
def test_files_that_cannot_be_csv(
    tmp_path: Path, model: Model, content: bytes, error: type[Exception], message: str
):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(error, match=message):
        score_file(model, path)


def test_a_quote_that_is_never_closed(tmp_path: Path, model: Model):
    short = write_csv(tmp_path / "a.csv", '1,"001,true,0,7\n1,001,true,0,7\n')
    assert mistakes(score_file(model, short, sift=True)) == [(1, 2, None)]
    long = write_csv(tmp_path / "b.csv", "1,001,true,0,7\n" + '1,"' + "x" * (9 << 20))
    with pytest.raises(ArgumentError, match="quote never closed"):
        score_file(model, long, sift=True)


def test_compressed_data_cut_short(tmp_path: Path, model: Model):
    path = tmp_path / "a.csv.gz"
    whole = gzip.compress((HEADER + "\n" + "".join(f"1,{i},true,0,{i}\n" for i in range(5000))).encode())
    for content in (whole[:-20], b"not gzip at all", whole[:200] + b"\0" * 100 + whole[300:]):
        path.write_bytes(content)
        with pytest.raises(ArgumentError, match="damaged or cut short"):
            score_file(model, path)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.arrows", "a.feather"])
@pytest.mark.parametrize("content", [b"", b"nonsense that is no table", b"PAR1PAR1", b"ARROW1\0\0ARROW1"])
def test_files_that_are_no_tables(tmp_path: Path, model: Model, name: str, content: bytes):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ArgumentError, match=r"cannot be read as (Parquet|Arrow)"):
        score_file(model, path)


def test_a_name_that_says_no_format():
    for name in ("answers", "answers.xlsx", "answers.parquet.gz", "answers.gz", "answers.json"):
        with pytest.raises(ArgumentError, match="does not say which format"):
            find_format(name)
    assert find_format("A.CSV.GZ").gzip


def test_json_lines_are_read_by_the_rules_of_the_server(tmp_path: Path, model: Model, hand_answer):
    good = row("001", member=True)
    lines = [
        json.dumps({**good, "extra": {"deep": [1, 2]}}),
        "",
        json.dumps(
            {**good, "amount (€)": "NaN", "visits": 1.0}, ensure_ascii=False, separators=(" , ", " : ")
        ),
        json.dumps({**good, "member": 1}),
        json.dumps({**good, "code": 1}),
        "[1, 2]",
        json.dumps(good)[:-1] + ', "visits": 2}',
        json.dumps({name: value for name, value in good.items() if name != "member"}),
        json.dumps(good)[:-1] + ', "x": NaN}',
        json.dumps({**good, "code": 'colon ": here'}),
        "{" + "}" * 5,
    ]
    path = tmp_path / "a.jsonl"
    strange = [
        b'{"code": "caf\xe9"}',
        b'{"x": ' + b"[" * 100_000 + b"}",
        b'{"x": ' + b"9" * 5000 + b', "x": ":"}',
    ]
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([*(line.encode() for line in lines), *strange]))
    for batch_rows in (1, 3, 100):
        batches = score_file(model, path, sift=True, batch_rows=batch_rows)
        assert yes(batches) == [
            hand_answer(good),
            hand_answer({**good, "amount (€)": None, "visits": 1}),
            hand_answer({**good, "code": 'colon ": here'}),
        ]
        places = [
            (3, 4, "member"),
            (4, 5, "code"),
            (5, 6, None),
            (6, 7, None),
            (7, 8, "member"),
            (8, 9, None),
            *((number, number + 1, None) for number in (10, 11, 12, 13)),
        ]
        assert mistakes(batches) == places


def test_a_line_without_end_is_refused(tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("afterfit.runtime._files._jsonl._LONGEST", 1 << 20)
    path = tmp_path / "a.jsonl"
    path.write_text("[" + "1," * (5 << 20))
    with pytest.raises(ArgumentError, match=r"line 1 of .* is longer than 1 MiB"):
        score_file(model, path)


def test_columns_that_change_their_type_are_refused_except_in_json_lines(tmp_path: Path, model: Model):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({**row("1"), "extra": extra}) for extra in (1, 2, "three")))
    assert copy(model, path, tmp_path / "b.jsonl", batch_rows=2).read_text().count("extra") == 3
    with pytest.raises(ArgumentError, match="'extra' is int64 in the first rows"):
        copy(model, path, tmp_path / "b.csv", batch_rows=2)
    path.write_text("\n".join(json.dumps({**row("1"), **extra}) for extra in ({}, {}, {"new": 1})))
    with pytest.raises(ArgumentError, match="row 3 has 'new'"):
        copy(model, path, tmp_path / "b.parquet", batch_rows=2)
    assert copy(model, path, tmp_path / "b.parquet", only=True, batch_rows=2).exists()


def test_typed_columns_keep_their_values(tmp_path: Path, model: Model):
    table = pa.table(
        {
            **{name: [row("001")[name]] * 2 for name in NAMES if name != "code"},
            "code": pa.array(["001", None]).dictionary_encode(),
            "day": pa.array([0, None], pa.timestamp("ns")),
            "single": pa.array([0.1, float("inf")], pa.float32()),
            "raw": pa.array([b"\xff", None]),
            "list": pa.array([[1, 2], None]),
        }
    )
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(table, path)
    kept = pyarrow.parquet.read_table(copy(model, path, tmp_path / "b.parquet"))
    assert kept.select(table.column_names).to_pylist() == table.to_pylist()
    plain = pyarrow.feather.read_table(copy(model, path, tmp_path / "b.arrow", batch_rows=1))
    assert plain.select(table.column_names).to_pylist() == table.to_pylist()
    [first, second] = csv.DictReader(io.StringIO(copy(model, path, tmp_path / "b.csv").read_text()))
    assert first["single"] == repr(float(np.float32(0.1)))
    assert (first["day"], second["day"]) == ("1970-01-01 00:00:00.000000000", "")
    assert (first["list"], second["list"]) == ("[1,2]", "")
    [_, last] = map(json.loads, copy(model, path, tmp_path / "b.jsonl").read_text().splitlines())
    assert (last["single"], last["raw"]) == ("Infinity", None)


def test_a_dictionary_may_change_between_batches(tmp_path: Path, model: Model):
    path = tmp_path / "a.arrows"

    def part(code):
        return pa.record_batch(
            {**{n: [row("")[n]] for n in NAMES if n != "code"}, "code": pa.array([code]).dictionary_encode()}
        )

    with pyarrow.ipc.new_stream(path, part("001").schema) as sink:
        for code in ("001", "1"):
            sink.write_batch(part(code))
    for name in ("b.arrow", "b.parquet", "b.csv"):
        copy(model, path, tmp_path / name)
    assert pyarrow.feather.read_table(tmp_path / "b.arrow").column("code").to_pylist() == ["001", "1"]


def test_names_that_are_taken(model: Model):
    answers = Answers(model.schema)
    assert answers.schema.names == ["prediction", "probability_no", "probability_yes"]
    with pytest.raises(ArgumentError, match=r"'prediction' already; .* --prefix"):
        answers.check_free(pa.schema([("prediction", pa.string())]))
    Answers(model.schema, "new_").check_free(pa.schema([("prediction", pa.string())]))


def test_compressed_output_is_the_same_every_time(tmp_path: Path, model: Model):
    path = write_csv(tmp_path / "a.csv", "1,001,true,0,7\n")
    first, second = (copy(model, path, tmp_path / name).read_bytes() for name in ("b.csv.gz", "c.csv.gz"))
    assert first == second


def test_memory_is_bounded_by_the_batch(tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch):
    """What Arrow holds at its peak does not grow with the file, beyond what is read ahead."""
    monkeypatch.setattr("afterfit.runtime._files._csv._BLOCK", 1 << 16)
    peaks = []
    for megabytes in (5, 50):
        path = write_csv(tmp_path / "a.csv", f"1,{'x' * 200},true,0,7\n" * (megabytes * 4500))
        source = open_source(path, find_format("a.csv"), model.schema, batch_rows=5000)
        peak = before = pa.total_allocated_bytes()
        for batch in score(model, source, Answers(model.schema), sift=True):
            assert batch.scored <= 5000
            peak = max(peak, pa.total_allocated_bytes())
        source.close()
        peaks.append(peak - before)
    assert peaks[1] < 2 * peaks[0] < path.stat().st_size / 4, peaks


def test_a_large_file_can_be_given_up_at_once(tmp_path: Path, model: Model):
    """The threads that read ahead do not hold up whoever stops at the first batch."""
    path = write_csv(tmp_path / "a.csv", "x,001,true,0,7\n" * 2_000_000)
    source = open_source(path, find_format("a.csv"), model.schema)
    batches = score(model, source, Answers(model.schema), sift=False)
    assert next(batches).rejected
    batches.close()
    source.close()


class TestAtomicFile:
    def test_nothing_is_there_before_commit(self, tmp_path: Path):
        target = tmp_path / "a.txt"
        target.write_text("old")
        file = AtomicFile(target)
        file.file.write(b"new")
        assert target.read_text() == "old"
        file.commit()
        file.discard()
        assert target.read_text() == "new"
        assert list(tmp_path.iterdir()) == [target]

    def test_discard_leaves_nothing(self, tmp_path: Path):
        file = AtomicFile(tmp_path / "a.txt")
        file.file.write(b"new")
        file.discard()
        file.discard()
        AtomicFile(tmp_path / "never opened").commit()
        assert list(tmp_path.iterdir()) == []

    def test_a_link_stays_a_link(self, tmp_path: Path):
        (tmp_path / "real").write_text("old")
        (tmp_path / "link").symlink_to("real")
        file = AtomicFile(tmp_path / "link")
        file.file.write(b"new")
        file.commit()
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        ([("prediction", "float", (-1,))], ["prediction"]),
        ([("prediction", "float", (-1, 2))], ["prediction_0", "prediction_1"]),
        ([("prediction", "boolean", (-1,)), ("scores", "float", (-1,))], ["prediction", "score"]),
        (
            [("prediction", "boolean", (-1,)), ("scores", "float", (-1, 2))],
            ["prediction", "score_False", "score_True"],
        ),
        ([("transformed", "float", (-1, 2))], ["transformed_0", "transformed_1"]),
    ],
)
def test_names_and_values_of_every_kind_of_answer(
    outputs: list[tuple[str, str, tuple[int, ...]]], names: list[str]
):
    schema = Schema(
        columns=(),
        outputs=tuple(
            Output(name=name, type=kind, shape=shape, classes=(False, True) if kind == "boolean" else None)
            for name, kind, shape in outputs
        ),
    )
    answers = Answers(schema)
    assert answers.schema.names == names
    dtypes = {"float": np.float64, "boolean": np.bool_}
    found = {
        name: np.arange(3 * (shape[-1] if len(shape) > 1 else 1)).reshape(3, *shape[1:]).astype(dtypes[kind])
        for name, kind, shape in outputs
    }
    table = answers.table(found)
    expected = np.column_stack([found[name] for name, _, _ in outputs])
    assert np.array_equal(np.column_stack([column.to_numpy() for column in table.columns]), expected)


@pytest.mark.parametrize("form", ["parquet", "arrow", "arrows"])
def test_typed_files_whose_text_is_not_utf8(tmp_path: Path, model: Model, form: str):
    table = pa.table({name: [row("001")[name]] for name in NAMES if name != "code"})
    binary = pa.array([b"caf\xe9"], pa.binary())
    table = table.append_column("code", pa.Array.from_buffers(pa.string(), 1, binary.buffers()))
    path = tmp_path / f"a.{form}"
    if form == "parquet":
        pyarrow.parquet.write_table(table, path)
    else:
        opener = pyarrow.ipc.new_file if form == "arrow" else pyarrow.ipc.new_stream
        with opener(path, table.schema) as sink:
            sink.write_table(table)
    with pytest.raises(ArgumentError, match=r"cannot be read as .*: .*UTF8"):
        score_file(model, path)


def test_blank_lines_are_rows_where_there_is_one_column(tmp_path: Path):
    column = Column(name="x", type="float", nullable=True, input="number", position=0)
    path = tmp_path / "a.csv"
    path.write_bytes(b"x\n1\n\ny\n3\n")
    source = open_source(path, find_format("a.csv"), Schema(columns=(column,), outputs=()))
    [batch] = source
    assert batch.table().column("x").to_pylist() == [1.0, None, None, 3.0]
    assert list(batch.cell_errors) == [2]
    assert source.line(3) == 4
    source.close()
