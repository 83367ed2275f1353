"""ONNX Runtime drops a factor that float32 would round to 1; a graph of ours is written so that it cannot."""

from __future__ import annotations

import numpy as np
import pytest
import spox
import spox.opset.ai.onnx.v21 as op

from afterfit.capture._graph import build
from afterfit.runtime import GraphSession


@pytest.mark.parametrize("operator", [op.mul, op.div])
@pytest.mark.parametrize("factor", [1 - 3e-11, 1 + 5e-9, 1.0, 0.5])
def test_a_factor_close_to_one_is_not_dropped(operator, factor):
    number = spox.argument(spox.Tensor(np.float64, ("N", 1)))
    scaled = operator(op.abs(number), op.constant(value=np.array(factor)))
    graph = build({"number": number}, {"scaled": op.neg(scaled)})
    answer = GraphSession(graph).run({"number": np.array([[7.0]])}, ["scaled"])["scaled"]
    assert answer == [[-7.0 * factor if operator is op.mul else -7.0 / factor]]
