"""Running graphs: chunks of rows, threads, and graphs that are refused."""

from __future__ import annotations

import numpy as np
import pytest
import spox
import spox.opset.ai.onnx.v21 as op

from afterfit.errors import BundleError
from afterfit.runtime import GraphSession
from afterfit.runtime._session import CHUNK_ROWS


@pytest.fixture(scope="module")
def graph() -> bytes:
    number = spox.argument(spox.Tensor(np.float64, ("N", 2)))
    text = spox.argument(spox.Tensor(np.str_, ("N", 1)))
    doubled = op.mul(number, op.constant(value=np.array(2.0)))
    built = spox.build({"number": number, "text": text}, {"doubled": doubled, "same": op.identity(text)})
    return built.SerializeToString()


@pytest.mark.parametrize("rows", [1, CHUNK_ROWS, CHUNK_ROWS + 1, 3 * CHUNK_ROWS + 7])
@pytest.mark.parametrize("threads", [1, 2])
def test_an_answer_does_not_depend_on_how_rows_are_cut(graph: bytes, rows: int, threads: int):
    number = np.random.default_rng(0).normal(size=(rows, 2))
    text = np.array([[f"r{i}"] for i in range(rows)], dtype=object)
    answers = GraphSession(graph, threads).run({"number": number, "text": text}, ["doubled", "same"])
    assert np.array_equal(answers["doubled"], number * 2)
    assert (answers["same"] == text).all()


def test_only_the_outputs_asked_for_are_computed(graph: bytes):
    packed = {"number": np.ones((1, 2)), "text": np.array([["a"]], dtype=object)}
    assert list(GraphSession(graph).run(packed, ["same"])) == ["same"]


@pytest.fixture(scope="module")
def several_outputs() -> bytes:
    number = spox.argument(spox.Tensor(np.float64, ("N", 2)))
    some = op.greater(op.reduce_sum(number, keepdims=False), op.constant(value=np.array(0.0)))
    doubled = op.mul(number, op.constant(value=np.array(2.0)))
    root = op.sqrt(number)
    # The graphs inside read values of the one around them.
    (chosen,) = op.if_(some, then_branch=lambda: [op.identity(root)], else_branch=lambda: [op.neg(doubled)])
    rows = op.shape(number, start=0, end=1)
    outputs = {
        "doubled": doubled,
        "chosen": chosen,
        "same": op.identity(op.identity(number)),
        "sevens": op.expand(op.constant(value=np.array([7.0])), rows),
    }
    return spox.build({"number": number}, outputs).SerializeToString()


@pytest.mark.parametrize("names", [["doubled"], ["chosen"], ["same"], ["sevens"], ["sevens", "chosen"]])
def test_a_part_of_the_outputs_is_answered_as_all_of_them_are(several_outputs: bytes, names: list[str]):
    session = GraphSession(several_outputs)
    for number in (np.array([[1.0, 4.0]]), -np.ones((3, 2)), np.ones((CHUNK_ROWS + 3, 2))):
        every = session.run({"number": number}, session.outputs)
        part = session.run({"number": number}, names)
        assert list(part) == names
        assert all(np.array_equal(part[name], every[name], equal_nan=True) for name in names)


def test_what_is_no_answer_of_the_graph_is_not_run(several_outputs: bytes):
    session = GraphSession(several_outputs)
    assert [name for name in session.outputs if session.answers_apart(name)] == list(session.outputs)
    number = np.ones((2, 2))
    assert session.run({"number": number}, ["same"])["same"] is number
    repeated = session.run({"number": number}, ["sevens"])["sevens"]
    repeated[0] = 5.0
    assert session.run({"number": number}, ["sevens"])["sevens"].tolist() == [7.0, 7.0]


def test_a_graph_that_onnx_runtime_refuses_is_a_bundle_error(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(BundleError, match=r"ONNX Runtime .* refuses the graph"):
        GraphSession(b"not a graph")
    assert capfd.readouterr() == ("", "")
