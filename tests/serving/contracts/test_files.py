"""CSV, Arrow and Parquet bodies of the native contract, in and out."""

from __future__ import annotations

import importlib.util
import io
import itertools

import numpy as np
import pytest

from afterfit.serving import Limits
from afterfit.serving._data_plane import DataPlane
from afterfit.serving._meters import ServerMeter
from afterfit.serving.contracts._operations import OperationsContract

pa = pytest.importorskip("pyarrow", reason="files are read with pyarrow")
pytest.importorskip("pyarrow.parquet", reason="files are read with pyarrow")

import pyarrow.csv  # noqa: E402
import pyarrow.ipc  # noqa: E402
import pyarrow.parquet  # noqa: E402

CSV = b"text/csv"
ARROW = b"application/vnd.apache.arrow.stream"
PARQUET = b"application/vnd.apache.parquet"
KINDS = {"csv": CSV, "arrow": ARROW, "parquet": PARQUET}


def write(table, kind, **options):
    file = io.BytesIO()
    if kind == "csv":
        pyarrow.csv.write_csv(table, file)
    elif kind == "parquet":
        pyarrow.parquet.write_table(table, file, **options)
    else:
        with pyarrow.ipc.new_stream(file, table.schema, **options) as writer:
            writer.write_table(table)
    return file.getvalue()


def read(body, kind):
    if kind == "csv":
        return pyarrow.csv.read_csv(io.BytesIO(body))
    if kind == "parquet":
        return pyarrow.parquet.read_table(io.BytesIO(body))
    return pyarrow.ipc.open_stream(body).read_all()


def send(ask, app, body, kind, path="/predict", accept=None):
    headers = [(b"content-type", KINDS[kind])]
    return ask(app, path, body, *headers, *([(b"accept", accept)] if accept else []))


@pytest.fixture(scope="module")
def table(toy):
    return pa.table(toy.columns)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_answered_as_its_rows_are(ask, toy_app, toy, table, kind):
    reply = send(ask, toy_app, write(table, kind), kind)
    assert reply.status == 200
    assert reply.json["predictions"] == toy.labels
    assert np.allclose(reply.json["probabilities"], toy.probabilities, rtol=0, atol=1e-12)
    checked = send(ask, toy_app, write(table, kind), kind, "/check").json
    assert checked["ok"] is True
    assert checked["rows"] == len(toy.rows)


@pytest.mark.parametrize(("sent", "wanted"), list(itertools.product(["json", *KINDS], KINDS)))
def test_answers_come_as_the_kind_of_file_that_is_accepted(ask, toy_app, toy, table, sent, wanted):
    accept = b"application/x-other, " + KINDS[wanted].upper() + b";q=0.9, */*;q=0.1"
    if sent == "json":
        reply = ask(
            toy_app,
            "/predict",
            {"rows": toy.rows},
            (b"content-type", b"application/json"),
            (b"accept", accept),
        )
    else:
        reply = send(ask, toy_app, write(table, sent), sent, accept=accept)
    assert reply.status == 200
    assert reply.headers[b"content-type"] == KINDS[wanted]
    found = read(reply.body, wanted)
    assert found.column("prediction").to_pylist() == toy.labels
    for place, name in enumerate(("probability_late", "probability_on time")):
        assert np.allclose(
            found.column(name).to_numpy(), np.array(toy.probabilities)[:, place], rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("accept", [b"*/*", b"text/csv;q=0", b"text/html"])
def test_answers_are_json_where_no_file_is_accepted(ask, toy_app, toy, table, accept):
    assert send(ask, toy_app, write(table, "csv"), "csv", accept=accept).json["predictions"] == toy.labels


def test_tables_as_libraries_write_them(ask, toy_app, toy, table):
    coded = table.set_column(2, "carrier", table.column("carrier").dictionary_encode())
    narrow = table.set_column(1, "distance (miles)", table.column(1).cast(pa.int16()))
    wide = table.append_column("extra", pa.array([{"a": 1}] * len(toy.rows)))
    for one in (coded, narrow, wide, table.select([2, 0, 1])):
        for kind in ("arrow", "parquet"):
            assert send(ask, toy_app, write(one, kind), kind).json["predictions"] == toy.labels
    parts = pa.concat_tables([table, table])
    assert send(ask, toy_app, write(parts, "arrow"), "arrow").json["predictions"] == toy.labels * 2


def test_every_mistake_in_a_file_is_told(ask, toy_app):
    bad = pa.table(
        {"delay": [1.0, None, 2.0], "distance (miles)": [1.0, 2.0, 3.5], "carrier": ["UA", "B6", None]}
    )
    for kind in KINDS:
        reply = send(ask, toy_app, write(bad, kind), kind)
        assert reply.status == 422
        assert [(one["row"], one["column"]) for one in reply.json["errors"]] == [
            (1, "delay"),
            (2, "distance (miles)"),
        ]
    renamed = bad.rename_columns(["delayed", "distance (miles)", "carrier"])
    for kind in KINDS:
        reply = send(ask, toy_app, write(renamed, kind), kind)
        assert reply.status == 422
        assert "delayed" in reply.json["errors"][0]["fix"]


def test_mistakes_in_a_long_file_are_told_as_in_a_short_one(ask, toy_app):
    body = b"delay,distance (miles),carrier\n" + b"1,500,UA\n" * 9_000 + b"late,500,UA\n"
    for path in ("/predict", "/check"):
        reply = send(ask, toy_app, body, "csv", path)
        assert reply.status == 422
        assert [(one["row"], one["column"]) for one in reply.json["errors"]] == [(9_000, "delay")]


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_are_no_file_are_400(ask, toy_app, table, kind):
    good = write(table, kind)
    for body in (b"", b"\0" * 100, good[: len(good) // 2], b"PAR1", good[:50] + b"\xff" * 20 + good[70:]):
        reply = send(ask, toy_app, body, kind)
        assert reply.status in {400, 422}
        assert reply.headers[b"content-type"] == b"application/problem+json"


def test_few_bytes_that_say_that_much_follows_are_refused(ask, tools, toy):
    app = tools.make_app(toy.model, limits=Limits(max_rows=1000, max_body=200_000))
    same = pa.array(["x" * 100_000])
    shared = {
        "delay": np.zeros(1000),
        "distance (miles)": np.zeros(1000),
        "carrier": pa.DictionaryArray.from_arrays(np.zeros(1000, np.int32), same),
    }
    many = pa.table({name: np.zeros(100_000) for name in toy.names})
    squeezed = pa.table({name: np.zeros(1000) for name in toy.names})
    statuses = {
        "rows": send(ask, app, write(many, "parquet"), "parquet"),
        "codec": send(ask, app, write(squeezed, "parquet", compression="gzip"), "parquet"),
        "buffers": send(
            ask,
            app,
            write(squeezed, "arrow", options=pyarrow.ipc.IpcWriteOptions(compression="zstd")),
            "arrow",
        ),
        "columns": send(ask, app, (",".join(f"c{i}" for i in range(5000)) + "\n").encode(), "csv"),
        "views": send(
            ask,
            app,
            write(
                squeezed.set_column(2, "carrier", pa.array(["a"] * 1000, pa.string_view())),
                "arrow",
            ),
            "arrow",
        ),
    }
    assert {name: reply.status for name, reply in statuses.items()} == {
        "rows": 413,
        "codec": 400,
        "buffers": 400,
        "columns": 400,
        "views": 400,
    }
    # A text that all rows share is held once, and answered.
    assert send(ask, app, write(pa.table(shared), "arrow"), "arrow").status == 200
    app.stop()


def test_without_pyarrow_json_goes_on_and_files_are_415_with_what_to_install(
    ask, tools, toy, table, monkeypatch
):
    app = tools.make_app(toy.model)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyarrow" else found(name))
    for path in ("/predict", "/check", "/invocations"):
        reply = send(ask, app, write(table, "csv"), "csv", path)
        assert reply.status == 415
        assert b'pip install \\"afterfit[files]\\"' in reply.body
    assert ask(app, "/predict", {"rows": toy.rows}).json["predictions"] == toy.labels
    app.stop()


def test_unusual_values_are_counted_in_a_header(ask, toy_app):
    body = b"delay,distance (miles),carrier\n1e9,100,UA\n1,100,ZZ\n"
    reply = send(ask, toy_app, body, "csv", accept=CSV)
    assert reply.status == 200
    assert reply.headers[b"afterfit-warnings"] == b"2"


def test_missing_texts_of_a_table_are_null_in_every_contract(ask, tools):
    from afterfit.schema import Output, encode_text

    spy = tools.SpyModel()
    spy.task, spy.classes = "transformation", None
    outputs = (Output(name="transformed", type="string", shape=(-1, 2), columns=("p", "q")),)
    spy.schema = type(spy.schema)(columns=spy.schema.columns, outputs=outputs)
    spy.run = lambda packed: {
        "transformed": np.array([["a", encode_text(None)]] * len(packed["text"]), dtype=object)
    }
    app = tools.make_app(spy)
    row = {"instances": [[1, 2, "a"]]}
    assert ask(app, "/predict", {"rows": [tools.row()]}).json["predictions"] == [["a", None]]
    for path in ("/invocations", "/v1/models/spy:predict", "/vertex/predict"):
        assert ask(app, path, row).json == {"predictions": [["a", None]]}
    reply = ask(
        app,
        "/predict",
        {"rows": [tools.row()]},
        (b"content-type", b"application/json"),
        (b"accept", ARROW),
    )
    assert read(reply.body, "arrow").to_pylist() == [{"p": "a", "q": None}]
    request = {
        "inputs": [
            {"name": "number", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]},
            {"name": "kind", "shape": [1], "datatype": "BYTES", "data": ["a"]},
        ]
    }
    path = "/v2/models/spy/infer"
    assert ask(app, path, request).json["outputs"][0]["data"] == ["a", None]
    reply = ask(app, path, request | {"parameters": {"binary_data_output": True}})
    assert reply.status == 400
    assert "JSON" in reply.json["error"]
    app.stop()


@pytest.fixture
def hops(monkeypatch):
    """What was done in a thread since the list was emptied."""
    taken = []
    in_thread = DataPlane.in_thread

    async def noted(plane, work):
        taken.append(work)
        return await in_thread(plane, work)

    monkeypatch.setattr(DataPlane, "in_thread", noted)
    return taken


def many(rows):
    return pa.table(
        {
            "delay": np.linspace(0.0, 9.0, rows),
            "distance (miles)": np.full(rows, 500),
            "carrier": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int8), pa.array(["UA"])),
        }
    )


@pytest.mark.parametrize(
    ("rows", "kind", "accept", "threads"),
    [
        (1_000, "arrow", ARROW, 0),
        (1_000, "arrow", None, 1),
        (1_000, "csv", ARROW, 1),
        (200, "parquet", PARQUET, 1),
        # More cells than are read at once, in few bytes; a run that goes to a thread of its own; and a long answer.
        (6_000, "arrow", ARROW, 2),
    ],
)
def test_only_short_bodies_and_answers_in_arrow_are_spared_the_thread(
    ask, toy_app, hops, rows, kind, accept, threads
):
    send(ask, toy_app, write(many(1), kind), kind, accept=ARROW)
    hops.clear()
    body = write(many(rows), kind)
    assert len(body) < 120_000
    reply = send(ask, toy_app, body, kind, accept=accept)
    assert reply.status == 200
    assert len(hops) == threads
    counted = (
        len(reply.json["predictions"])
        if accept is None
        else read(reply.body, "parquet" if accept == PARQUET else "arrow").num_rows
    )
    assert counted == rows


def test_cells_are_counted_where_bytes_say_little(ask, tools, hops):
    model = tools.SpyModel()
    app = tools.make_app(model)
    for rows in (1, 5_000, 6_000):
        table = pa.table(
            {
                "x": pa.nulls(rows),
                "y": pa.nulls(rows),
                "kind": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int8), pa.array(["a"])),
            }
        )
        hops.clear()
        body = write(table, "arrow")
        assert len(body) < 8_000
        assert send(ask, app, body, "arrow", accept=ARROW).status == 200
    # Decoding alone: a row of this answer has as many cells as one of the body.
    assert len(hops) == 2
    app.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_texts_that_are_too_long_are_found_in_every_kind(ask, tools, toy, kind):
    app = tools.make_app(toy.model, limits=Limits(max_text=20_000))
    for size, status in ((20_000, 200), (20_001, 422)):
        table = pa.table({"delay": [1.0], "distance (miles)": [500], "carrier": ["x" * size]})
        reply = send(ask, app, write(table, kind), kind)
        assert reply.status == status
    assert "one of 20,001" in reply.json["errors"][0]["got"]
    app.stop()


def test_unusual_values_of_a_file_are_counted_by_column_like_those_of_json(ask, tools, toy, tmp_path):
    counts = []
    rows = [{"delay": 1e9, "distance (miles)": 500, "carrier": one} for one in ("UA", "ZZ", "YY")]
    for number, form in enumerate(("json", "arrow")):
        folder = tmp_path / str(number)
        folder.mkdir()
        meter = ServerMeter(folder)
        app = tools.make_app(
            toy.model, meter=meter, more=lambda plane, meter=meter: [OperationsContract(plane, meter)]
        )
        if form == "json":
            assert len(ask(app, "/predict", {"rows": rows}).json["warnings"]) == 5
        else:
            reply = send(ask, app, write(pa.Table.from_pylist(rows), "arrow"), "arrow", accept=ARROW)
            assert reply.headers[b"afterfit-warnings"] == b"5"
        told = ask(app, "/metrics").body.decode()
        counts.append(
            [line for line in told.splitlines() if line.startswith("afterfit_unusual_values_total")]
        )
        app.stop()
        meter.board.close()
    assert len(counts[0]) == 2
    assert counts[0] == counts[1]
