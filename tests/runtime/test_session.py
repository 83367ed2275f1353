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


@pytest.mark.parametrize("operator", [op.mul, op.div])
def test_a_factor_close_to_one_is_not_dropped(operator):
    factor = 1 - 3e-11
    number = spox.argument(spox.Tensor(np.float64, ("N", 1)))
    scaled = operator(op.abs(number), op.constant(value=np.array(factor)))
    graph = spox.build({"number": number}, {"scaled": op.neg(scaled)}).SerializeToString()
    answer = GraphSession(graph).run({"number": np.array([[7.0]])}, ["scaled"])["scaled"]
    assert answer == [[-7.0 * factor if operator is op.mul else -7.0 / factor]]


def test_a_graph_that_onnx_runtime_refuses_is_a_bundle_error(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(BundleError, match=r"ONNX Runtime .* refuses the graph"):
        GraphSession(b"not a graph")
    assert capfd.readouterr() == ("", "")
