"""A small harness: a raw frame into a graph input, the graph through ONNX Runtime, against the estimator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
import pandas as pd
import pytest
import spox

from afterfit.lowering import (
    TEXT,
    Block,
    Classification,
    Context,
    Origin,
    RawColumn,
    Regression,
    Table,
    concatenate,
)
from afterfit.schema._types import encode_text


def is_text(column: pd.Series) -> bool:
    values = column.astype(object)
    return any(isinstance(value, str) for value in values)


def missing_of(column: pd.Series) -> Any:
    held = [value for value in column.astype(object) if pd.isna(value)]
    return held[0] if held and not isinstance(held[0], float) else math.nan


@dataclass
class Raw:
    """A frame, or a 2-D array, as graph inputs."""

    frame: pd.DataFrame
    texts: list[int]
    numbers: list[int]
    columns: list[RawColumn]

    @staticmethod
    def of(X: Any) -> Raw:
        frame = (
            X
            if isinstance(X, pd.DataFrame)
            else pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
        )
        series = [frame.iloc[:, i] for i in range(frame.shape[1])]
        texts = [i for i, column in enumerate(series) if is_text(column)]
        numbers = [i for i in range(len(series)) if i not in texts]
        columns = []
        for i, column in enumerate(series):
            dtype = TEXT if i in texts else X.dtype if isinstance(X, np.ndarray) else column.dtype
            if np.dtype(object) == dtype and i not in texts:
                dtype = np.float64
            if isinstance(column.dtype, pd.CategoricalDtype) and i not in texts:
                dtype = column.cat.categories.dtype
            if pd.api.types.is_extension_array_dtype(dtype):
                dtype = np.float64
            categorical = isinstance(column.dtype, pd.CategoricalDtype)
            columns.append(RawColumn(str(frame.columns[i]), np.dtype(dtype), categorical, missing_of(column)))
        return Raw(frame, texts, numbers, columns)

    def pack(self, X: Any) -> dict[str, Any]:
        frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(X)
        packed: dict[str, Any] = {}
        if self.texts:
            packed["text"] = np.array(
                [
                    [encode_text(None if pd.isna(v) else v) for v in row]
                    for row in frame.iloc[:, self.texts].astype(object).to_numpy()
                ],
                dtype=object,
            ).reshape(len(frame), len(self.texts))
        if self.numbers:
            packed["number"] = np.column_stack(
                [
                    pd.to_numeric(
                        frame.iloc[:, i].astype(object).where(frame.iloc[:, i].notna(), np.nan)
                    ).to_numpy(dtype=np.float64)
                    for i in self.numbers
                ]
            ).reshape(len(frame), len(self.numbers))
        return packed


class Graph:
    """A lowered estimator in a session."""

    def __init__(self, estimator: Any, X: Any) -> None:
        self.raw = Raw.of(X)
        self.context = Context(self.raw.columns)
        inputs = {}
        if self.raw.texts:
            inputs["text"] = spox.argument(spox.Tensor(np.str_, ("N", len(self.raw.texts))))
        if self.raw.numbers:
            inputs["number"] = spox.argument(spox.Tensor(np.float64, ("N", len(self.raw.numbers))))
        blocks = []
        for i, column in enumerate(self.raw.columns):
            kind, places = ("text", self.raw.texts) if i in self.raw.texts else ("number", self.raw.numbers)
            whole = Block.of(inputs[kind], len(places), column.dtype, [None] * len(places))
            block = whole.select([places.index(i)])
            blocks.append(
                Block(block.source, block.source_width, block.picks, block.dtype, (Origin(i, True),))
            )
        self.lowered = self.context.lower(estimator, concatenate(Table((block,)) for block in blocks))
        outputs = {}
        if isinstance(self.lowered, Table):
            for block in self.lowered.blocks:
                name = f"block{len(outputs)}"
                outputs[name] = self.context.read_block(estimator, block)
        elif isinstance(self.lowered, Classification):
            outputs["index"] = self.lowered.index
            if self.lowered.probabilities is not None:
                outputs["probabilities"] = self.lowered.probabilities
            if self.lowered.scores is not None:
                outputs["scores"] = self.lowered.scores
        else:
            outputs["values"] = self.lowered.values
        self.model = spox.build(inputs, outputs)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.log_severity_level = 3
        self.session = ort.InferenceSession(
            self.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, X: Any) -> dict[str, Any]:
        needed = {item.name for item in self.session.get_inputs()}
        packed = {name: value for name, value in self.raw.pack(X).items() if name in needed}
        names = [item.name for item in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, packed), strict=True))


def dense(values: Any) -> Any:
    if hasattr(values, "toarray"):
        values = values.toarray()
    return values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)


def expected_cell(value: Any) -> Any:
    if isinstance(value, str):
        return encode_text(value)
    return encode_text(None) if pd.isna(value) else value


def check_table(estimator: Any, graph: Graph, rows: Any, *, exact: bool) -> None:
    expected = estimator.transform(rows)
    names = list(expected.columns) if hasattr(expected, "columns") else None
    expected = dense(expected)
    got = graph.run(rows)
    lowered = graph.lowered
    assert lowered.width == expected.shape[1], (lowered.width, expected.shape, names)
    start = 0
    for i, block in enumerate(lowered.blocks):
        part = expected[:, start : start + block.width]
        start += block.width
        value = got[f"block{i}"]
        if block.is_text:
            want = np.array([[expected_cell(cell) for cell in row] for row in part], dtype=object).reshape(
                part.shape
            )
            np.testing.assert_array_equal(value, want)
        else:
            want = pd.DataFrame(part).astype(object).astype(np.float64).to_numpy()
            if exact:
                np.testing.assert_array_equal(value, want)
            else:
                np.testing.assert_allclose(value, want, rtol=1e-12, atol=1e-12)


def check_predictions(estimator: Any, graph: Graph, rows: Any, *, tolerance: float) -> None:
    got = graph.run(rows)
    if isinstance(graph.lowered, Regression):
        expected = np.asarray(estimator.predict(rows))
        assert got["values"].shape == expected.shape
        assert graph.lowered.targets == (None if expected.ndim == 1 else expected.shape[1])
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(got["values"], expected, rtol=0, atol=tolerance * scale)
        return
    np.testing.assert_array_equal(graph.lowered.classes[got["index"]], estimator.predict(rows))
    assert ("probabilities" in got) == hasattr(estimator, "predict_proba")
    if "probabilities" in got:
        np.testing.assert_allclose(
            got["probabilities"], estimator.predict_proba(rows), rtol=0, atol=tolerance
        )
    else:
        expected = estimator.decision_function(rows)
        scale = max(1.0, float(np.abs(expected).max()))
        assert got["scores"].shape == expected.shape
        np.testing.assert_allclose(got["scores"], expected, rtol=0, atol=tolerance * scale)


@pytest.fixture
def lower():
    """`lower(estimator, X)`: the lowered estimator in a session."""
    return Graph


@pytest.fixture
def agree():
    """`agree(estimator, X, rows)`: fail unless the graph answers as the fitted estimator for every row."""

    def check(
        estimator: Any, X: Any, rows: Any = None, *, exact: bool = True, tolerance: float = 1e-12
    ) -> Graph:
        graph = Graph(estimator, X)
        for given in (X, rows) if rows is not None else (X,):
            if isinstance(graph.lowered, Table):
                check_table(estimator, graph, given, exact=exact)
            else:
                check_predictions(estimator, graph, given, tolerance=tolerance)
        return graph

    return check
