"""A bare ONNX file as a model: what it takes, and what ONNX Runtime answers with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import UnsupportedModelError
from afterfit.lowering.onnx._read import Answer, Input, find_answer, find_inputs, read_graph
from afterfit.schema import open_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from afterfit.schema import ColumnData


@dataclass(frozen=True, slots=True)
class Binding:
    """The columns that one input is made of, by position."""

    taken: Input
    positions: tuple[int, ...]


class OnnxGraph:
    """A graph that others exported, answered by ONNX Runtime with its defaults.

    `content`: the bytes of the file. `answer`: what it answers with. The graph is read and refused before ONNX Runtime
    sees it: nothing outside the file, no operator of a library that is not ONNX Runtime's own.
    Raises `UnsupportedModelError` for a graph that cannot be captured.
    """

    def __init__(self, content: bytes, label: str) -> None:
        self.label = label
        self.graph = read_graph(content, label)
        self.inputs: tuple[Input, ...] = find_inputs(self.graph, label)
        self.answer: Answer = find_answer(self.graph, label)
        self._content = content
        self._session: Any = None

    def refuse(self, reason: str, way_out: str) -> UnsupportedModelError:
        """The error to raise where the graph cannot be captured."""
        return UnsupportedModelError(type(self).__name__, self.label, reason, way_out)

    def bind(self, names: Sequence[str]) -> list[Binding]:
        """Which columns each input is made of: all of them where there is one, otherwise one each, by name.

        Converters write names in letters, digits and underscores; columns are found by those as well.
        """
        if len(self.inputs) == 1 and self.inputs[0].width != 1:
            only = self.inputs[0]
            if only.width not in (None, len(names)):
                raise self.refuse(
                    f"its input {only.name!r} has {only.width} columns, and the rows have {len(names)}: "
                    + ", ".join(names[:20]),
                    "Give rows of the columns it was trained on, in their order, and the target by its name",
                )
            return [Binding(only, tuple(range(len(names))))]
        if len(self.inputs) == len(names) == 1:
            return [Binding(self.inputs[0], (0,))]
        plain = [re.sub(r"\W", "_", name) for name in names]
        places = [
            names.index(one.name)
            if one.name in names
            else plain.index(one.name)
            if plain.count(one.name) == 1
            else None
            for one in self.inputs
        ]
        absent = [one.name for one, place in zip(self.inputs, places, strict=True) if place is None]
        if absent:
            raise self.refuse(
                f"its inputs {', '.join(absent[:20])} are no columns of the rows, which are "
                + ", ".join(names[:20]),
                "Name the columns of the sample as the inputs of the graph",
            )
        return [
            Binding(one, (place,))
            for one, place in zip(self.inputs, places, strict=True)
            if place is not None
        ]

    def predict(self, frame: Any) -> NDArray[Any]:
        """The answers `[N]` or `[N, k]` to the rows of a table; `ValueError` where it has none."""
        answers: NDArray[Any] = self._run(frame, self.answer.prediction)
        return answers

    def _probabilities(self, frame: Any) -> NDArray[np.float64]:
        found = self._run(frame, str(self.answer.probabilities))
        if isinstance(found, list):
            classes = self.answer.classes
            return np.array([[row[label] for label in classes] for row in found], dtype=np.float64)
        return np.asarray(found, dtype=np.float64)

    def __getattr__(self, name: str) -> Any:
        # Only a graph with probabilities has the method, as a classifier of scikit-learn does.
        if name == "predict_proba" and self.__dict__.get("answer") is not None and self.answer.probabilities:
            return self._probabilities
        raise AttributeError(name)

    def _run(self, frame: Any, output: str) -> Any:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        if hasattr(frame, "toarray"):
            frame = frame.toarray()
        table = open_table(frame)
        columns = [table.read(position) for position in range(len(table.names))]
        given = {
            bound.taken.name: _values([columns[position] for position in bound.positions], bound.taken)
            for bound in self.bind(table.names)
        }
        refusals = (state.Fail, state.InvalidArgument, state.NotImplemented, state.RuntimeException)
        try:
            if self._session is None:
                options = onnxruntime.SessionOptions()
                options.log_severity_level = 4
                self._session = onnxruntime.InferenceSession(
                    self._content, options, providers=["CPUExecutionProvider"]
                )
            return self._session.run([output], given)[0]
        except refusals as error:
            raise ValueError(f"ONNX Runtime cannot run {self.label}: {error}") from error


def _values(columns: Sequence[ColumnData], taken: Input) -> NDArray[Any]:
    """The columns as the input takes them; `ValueError` for values that it has no room for."""
    parts = [_column(column, taken) for column in columns]
    if taken.rank == 1:
        return parts[0]
    return np.column_stack(parts) if taken.dtype != object else np.array(parts, dtype=object).T


def _column(column: ColumnData, taken: Input) -> NDArray[Any]:
    whole = taken.dtype.kind in "iub"
    if taken.dtype == object:
        if column.kind != "string":
            raise ValueError(
                f"input {taken.name!r} takes text, and column {column.name!r} holds other values"
            )
        texts = [column.value(row) for row in range(column.rows)]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"input {taken.name!r} takes text, and one is missing")
        return np.array(texts, dtype=object)
    if column.kind not in ("integer", "boolean", *(() if whole else ("float",))):
        held = "whole numbers" if whole else "numbers"
        raise ValueError(f"input {taken.name!r} takes {held}, and column {column.name!r} holds other values")
    if column.missing is None:
        return column.values.astype(taken.dtype)
    if whole:
        raise ValueError(f"input {taken.name!r} takes whole numbers, and one is missing")
    return np.where(column.missing, np.nan, column.values).astype(taken.dtype)
