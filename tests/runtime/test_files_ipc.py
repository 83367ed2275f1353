"""What the messages of an Arrow stream say of themselves, and streams as they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pa = pytest.importorskip("pyarrow", reason="streams of Arrow")

from afterfit.runtime._files._body import write_body  # noqa: E402
from afterfit.runtime._files._ipc import stated_rows  # noqa: E402

MOST = 8


def stream(*parts, options=None):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, parts[0].schema, options=options) as writer:
        for part in parts:
            writer.write_table(part)
    return sink.getvalue().to_pybytes()


def columns(rows):
    """Of a table of so many rows: numbers, texts, and nulls and booleans, which take few bytes or none."""
    return pa.table(
        {
            "a": pa.array(range(rows), pa.int64()),
            "b": pa.array(["x"] * rows, pa.large_string()),
            "c": pa.nulls(rows),
            "d": pa.array([True] * rows, pa.bool_()),
        }
    )


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=MOST))
def test_the_rows_of_all_batches_are_counted(sizes):
    assert stated_rows(stream(*map(columns, sizes)), MOST) == sum(sizes)


def test_the_values_of_dictionaries_are_counted_too():
    table = pa.table({"a": pa.array(["x", "y", "z", "x"]).dictionary_encode()})
    assert stated_rows(stream(table), MOST) == 4 + 3


def test_a_stream_of_many_messages_is_not_counted():
    assert stated_rows(stream(*[columns(1)] * MOST), MOST) == MOST
    assert stated_rows(stream(*[columns(1)] * (MOST + 1)), MOST) is None


def test_the_end_may_be_absent_and_what_follows_it_counts_for_nothing():
    body = stream(columns(3))
    assert stated_rows(body[:-8], MOST) == 3
    assert stated_rows(body + b"more", MOST) == 3


def test_the_framing_of_old_versions_is_not_read():
    assert (
        stated_rows(stream(columns(3), options=pa.ipc.IpcWriteOptions(use_legacy_format=True)), MOST) is None
    )


BODY = stream(columns(3))


@given(
    st.binary(max_size=64)
    | st.integers(0, len(BODY)).map(lambda end: BODY[:end])
    | st.tuples(st.integers(0, len(BODY) - 1), st.binary(min_size=1, max_size=8)).map(
        lambda cut: BODY[: cut[0]] + cut[1] + BODY[cut[0] + len(cut[1]) :]
    )
)
def test_damage_is_no_error_and_no_negative_number(body):
    rows = stated_rows(body, MOST)
    assert rows is None or rows >= 0


@given(st.integers(0, 5), st.booleans())
def test_a_table_is_written_as_pyarrow_writes_it(rows, split):
    table = columns(rows)
    table = pa.concat_tables([table, table]) if split else table
    assert write_body(table, "arrow stream") == stream(table)


def test_negative_numbers_of_rows_are_not_believed():
    body = stream(pa.table({"a": pa.nulls(777)}))
    assert stated_rows(body, MOST) == 777
    lying = body.replace((777).to_bytes(8, "little"), (-777).to_bytes(8, "little", signed=True))
    assert stated_rows(lying, MOST) is None
