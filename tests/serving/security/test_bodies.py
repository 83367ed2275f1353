"""What a body may be at most, in every contract: bytes, unpacked bytes, rows, columns, texts, nesting, keys once."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib

import pytest

from afterfit.serving import Limits
from afterfit.serving.contracts._rows import parse_object


def infer(rows, kind="a", **more):
    return {
        "inputs": [
            {"name": "x", "datatype": "FP64", "shape": [rows], "data": [1.5] * rows},
            {"name": "y", "datatype": "FP64", "shape": [rows], "data": [3] * rows},
            {"name": "kind", "datatype": "BYTES", "shape": [rows], "data": [kind] * rows},
            *[{"name": name, "datatype": "FP64", "shape": [rows], "data": [0] * rows} for name in more],
        ]
    }


def records(rows, kind="a", **more):
    return [{"x": 1, "y": 2, "kind": kind, **more}] * rows


def split(rows, kind="a", **more):
    return {"columns": ["x", "y", "kind", *more], "data": [[1, 2, kind, *more.values()]] * rows}


FORMS = {
    "native": ("/predict", lambda *a, **b: {"rows": records(*a, **b)}, "detail"),
    "oip": ("/v2/models/spy/infer", infer, "error"),
    "mlflow records": ("/invocations", lambda *a, **b: {"dataframe_records": records(*a, **b)}, "message"),
    "mlflow split": ("/invocations", lambda *a, **b: {"dataframe_split": split(*a, **b)}, "message"),
    "kserve": ("/v1/models/spy:predict", lambda *a, **b: {"instances": records(*a, **b)}, "error"),
    "vertex": ("/vertex/predict", lambda *a, **b: {"instances": records(*a, **b)}, "error"),
}
EVERY = pytest.mark.parametrize(("path", "form", "said"), FORMS.values(), ids=FORMS)


@pytest.fixture(scope="module")
def app(tools):
    # The categories of the spy's text are closed: an open one lets long texts through to the check.
    app = tools.make_app(tools.SpyModel(), limits=Limits(max_body=20_000, max_rows=20, max_text=1000))
    yield app
    app.stop()


@pytest.fixture
def post(tools, app):
    def post(path, body, *headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = [(b"content-type", b"application/json"), *headers]
        return asyncio.run(tools.call(app, "POST", path, content, sent))

    return post


@EVERY
def test_rows(post, path, form, said):
    assert post(path, form(20)).status == 200
    reply = post(path, form(21))
    assert reply.status == 413
    assert "at most 20 rows" in reply.json[said]


@EVERY
def test_bytes_and_unpacked_bytes(post, path, form, said):
    body = json.dumps(form(2)).encode()
    fitting, large = body.ljust(20_000), body.ljust(20_001)
    for pack, name in ((gzip.compress, b"gzip"), (zlib.compress, b"deflate"), (bytes, b"identity")):
        encoding = (b"content-encoding", name)
        assert post(path, pack(fitting), encoding).status == 200
        reply = post(path, pack(large), encoding)
        assert (reply.status, "20000 bytes" in reply.json[said]) == (413, True)
    bomb = gzip.compress(b" " * 10_000_000)
    assert len(bomb) < 20_000
    assert post(path, bomb, (b"content-encoding", b"gzip")).status == 413


@EVERY
def test_columns(tools, path, form, said):
    """A table may have a thousand columns beside the model's; objects and tensors must be those of the model."""
    more = {f"c{number}": 0 for number in range(3000)}
    app = tools.make_app(tools.SpyModel(), limits=Limits(max_rows=20))
    body = json.dumps(form(1, **more)).encode()
    reply = asyncio.run(tools.call(app, "POST", path, body, [(b"content-type", b"application/json")]))
    app.stop()
    assert reply.status in {400, 422}
    assert len(reply.json.get("errors", [])) <= 1000
    assert len(reply.body) < 500_000


@EVERY
@pytest.mark.parametrize("depth", [100, 9_000])
def test_nesting(post, path, form, said, depth):
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        whole = opening * (depth // 5) + b"0" + closing * (depth // 5)
        for body in (
            opening * depth,
            whole,
            b'{"rows":%b,"inputs":%b,"instances":%b}' % (whole, whole, whole),
        ):
            reply = post(path, body[:20_000])
            assert reply.status in {400, 422}, reply
            assert isinstance(reply.json[said], str)


@EVERY
def test_a_key_twice_is_refused(post, path, form, said):
    body = json.dumps(form(2)).encode()
    assert post(path, body).status == 200
    found = 0
    for old, new in (
        (b'"x"', b'"x": 1, "x"'),
        (b'"name": "y"', b'"name": "x", "name": "y"'),
        (b'"columns"', b'"columns": [], "columns"'),
        (b'"data"', b'"d\\u0061ta": [], "data"'),
        (body[:2], b'{"instances": [], ' + body[1:2]),
    ):
        changed = body.replace(old, new, 1)
        if repeats(changed):
            found += 1
            reply = post(path, changed)
            assert reply.status in {400, 422}, changed
            assert "once" in json.dumps(reply.json), reply
    assert found


def repeats(body):
    """Whether an object of the body, if that is JSON, has a key twice."""
    found = []

    def build(pairs):
        found.append(len(dict(pairs)) < len(pairs))
        return dict(pairs)

    try:
        json.loads(body, object_pairs_hook=build)
    except json.JSONDecodeError:
        return False
    return any(found)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": [[[{"b": "x:y", "b": "z"}]]]}',
        b'{"a": "::::", "a": 1}',
        b'{"a:b": 1, "a:b": ":"}',
        b'{"a": 1, "\\u0061": "\\u003a"}',
        b'{"a": NaN, "a": 1}',
        b'{"": 1, "": 2}',
    ],
)
def test_json_with_a_key_twice(body):
    from afterfit.serving._exchange import HttpError

    with pytest.raises(HttpError, match="twice"):
        parse_object(body)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"a": 1, "A": 1}',
        b'{"a": {"a": {"a": [{"a": 1}, {"a": 2}]}}}',
        b'{"a:": "12:30:00", "b": ["::", {"c:d": ":"}]}',
        b'{"a": "\\u003a:\\\\", "b": "\\":\\""}',
        b'{"a": NaN, "b": -Infinity}',
        b'{"a": []}',
    ],
)
def test_json_without(body):
    assert json.dumps(parse_object(body)) == json.dumps(json.loads(body))


@pytest.fixture(scope="module")
def texts_app(tools, toy_bundle):
    import afterfit

    app = tools.make_app(afterfit.load(toy_bundle, threads=1), limits=Limits(max_text=100))
    yield app
    app.stop()


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/predict", lambda rows: {"rows": rows}),
        ("/invocations", lambda rows: {"dataframe_records": rows}),
        (
            "/invocations",
            lambda rows: {
                "dataframe_split": {"columns": list(rows[0]), "data": [[*row.values()] for row in rows]}
            },
        ),
        ("/v1/models/toy:predict", lambda rows: {"instances": rows}),
        ("/vertex/predict", lambda rows: {"instances": rows}),
        (
            "/v2/models/toy/infer",
            lambda rows: {
                "inputs": [
                    {
                        "name": name,
                        "datatype": kind,
                        "shape": [len(rows)],
                        "data": [row[name] for row in rows],
                    }
                    for name, kind in (("delay", "FP64"), ("distance (miles)", "INT64"), ("carrier", "BYTES"))
                ]
            },
        ),
    ],
)
def test_texts(tools, texts_app, path, form):
    def post(text):
        rows = [{"delay": 1.5, "distance (miles)": 100, "carrier": one} for one in ("UA", text)]
        body = json.dumps(form(rows)).encode()
        return asyncio.run(
            tools.call(texts_app, "POST", path, body, [(b"content-type", b"application/json")])
        )

    assert post("é" * 100).status == 200
    reply = post("é" * 101)
    assert reply.status == (400 if path == "/invocations" else 422)
    told = json.dumps(reply.json)
    assert "at most 100 characters" in told
    assert "one of 101" in told


def test_texts_of_a_file(tools, texts_app):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")

    def post(text):
        body = f"delay,distance (miles),carrier\n1.5,100,{text}\n".encode()
        return asyncio.run(tools.call(texts_app, "POST", "/predict", body, [(b"content-type", b"text/csv")]))

    assert post("x" * 100).status == 200
    assert post("x" * 101).status == 422
