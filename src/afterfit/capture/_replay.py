"""Replaying rows through the graph and through the model in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.bundle import GoldenRow
from afterfit.capture._frames import take
from afterfit.capture._locate import locate
from afterfit.capture._parity import TOLERANCE, Answers, Comparison, compare
from afterfit.capture._probes import Probe, model_refusals, probe_frame
from afterfit.errors import ArgumentError, ParityError
from afterfit.runtime import GraphSession, decoded_texts
from afterfit.schema import decode_text, pack_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterfit.capture._graph import LoweredModel
    from afterfit.capture._reference import Reference
    from afterfit.schema import Column, Output, Packed, Schema

REPLAYED_ROWS = 100_000
"""Rows of `X` that are replayed; of a larger `X`, this many, evenly spread."""

REPLAYED_NUMBERS = 50_000_000
"""Numbers of an answer that are replayed: fewer rows, where a row is answered with very many."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """Rows answered by both: packed inputs, the answers of the model in memory, and how they compare."""

    packed: Packed
    expected: Answers
    comparison: Comparison


class Replay:
    """The graph and the model in memory, side by side."""

    def __init__(self, reference: Reference, lowered: LoweredModel, schema: Schema, graph: bytes) -> None:
        self.reference = reference
        self.lowered = lowered
        self.schema = schema
        self.precision = "float32" if lowered.context.float32_sums else "float64"
        self.tolerance = max([TOLERANCE[self.precision], *lowered.context.roundings])
        self._session = lowered.session(graph)
        self._ties = _ties_session(lowered)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The outputs compared."""
        return self.lowered.outputs

    def rows(self, frame: Any, indices: np.ndarray[Any, Any]) -> Replayed:
        """Replay the rows of `X` at `indices`; raises `ParityError` at the first that differs."""
        rows = take(frame, indices)
        return self._replay(rows, lambda row: f"row {int(indices[row])} of X")

    def probes(self, frame: Any, probes: Sequence[Probe]) -> Replayed:
        """Replay golden rows; raises `ParityError` at the first that differs."""
        rows = probe_frame(frame, probes)
        return self._replay(rows, lambda row: self._describe(probes[row]))

    def _replay(self, rows: Any, describe: Any) -> Replayed:
        packed = pack_table(self.schema, rows)
        names = [output.name for output in self.outputs]
        try:
            expected = self.reference.answer(rows, names)
        except model_refusals() as error:
            raise ArgumentError(f"the model in memory cannot answer on these rows: {error}") from error
        got = self._session.run(packed, names)
        # As `predict` asks for it, and as the server asks for all of them at once.
        apart = [output for output in self.outputs if self._session.answers_apart(output.name)]
        alone = {output.name: self._session.run(packed, [output.name])[output.name] for output in apart}
        for output in self.outputs:
            known = expected[output.name]
            if len(output.shape) == 1 and known.ndim == 2 and known.shape[1] == 1:
                # CatBoost gives the labels of three classes and more a second axis.
                expected[output.name] = known[:, 0]
            if output.name == "transformed" and output.type == "string":
                expected[output.name] = _known_text(expected[output.name])
                got[output.name] = _known_text(decoded_texts(got[output.name]))
                if output.name in alone:
                    alone[output.name] = _known_text(decoded_texts(alone[output.name]))
        for answers, outputs in ((alone, apart), (got, self.outputs)):
            comparison = self._compare(packed, expected, answers, outputs)
            if comparison.first is not None:
                raise self._parity_error(rows, packed, comparison, describe)
        return Replayed(packed, expected, comparison)

    def _compare(
        self, packed: Packed, expected: Answers, answers: Answers, outputs: Sequence[Output]
    ) -> Comparison:
        comparison = compare(expected, answers, outputs, self.tolerance)
        if comparison.first is None or self._ties is None:
            return comparison
        tied = self._ties.run(packed, ["tied"])["tied"]
        return compare(expected, answers, outputs, self.tolerance, tied)

    def _parity_error(self, rows: Any, packed: Packed, comparison: Comparison, describe: Any) -> ParityError:
        difference = comparison.first
        if difference is None:
            raise AssertionError("there is a difference to report")
        row = difference.row
        parting = locate(
            self.lowered,
            self.reference,
            take(rows, [row]),
            {name: array[row : row + 1] for name, array in packed.items()},
            difference.output,
            self.tolerance,
        )
        step = type(self.reference.model).__name__ if parting is None else parting.step
        expected = repr(difference.expected) if parting is None else parting.expected
        got = repr(difference.got) if parting is None else parting.got
        return ParityError(
            step,
            describe(row),
            expected,
            got,
            detail=f"(output {difference.output!r}: {difference.expected!r} against {difference.got!r}, "
            f"tolerance {self.tolerance:g} of its scale)",
        )

    def _describe(self, probe: Probe) -> str:
        changes = ", ".join(f"{self.schema.columns[i].name!r} {value!r}" for i, value in probe.cells[:5])
        more = f" and {len(probe.cells) - 5} more" if len(probe.cells) > 5 else ""
        return f"golden row made of row {probe.base} of X" + (f" with {changes}{more}" if changes else "")


def _ties_session(lowered: LoweredModel) -> GraphSession | None:
    """The graph with a further output: the rows in which a lowering says that the library decides by chance."""
    ties = lowered.context.ties
    if not ties:
        return None
    anywhere = ties[0]
    for tied in ties[1:]:
        anywhere = op.or_(anywhere, tied)
    return lowered.session(lowered.graph({"tied": anywhere}))


def golden_rows(schema: Schema, replayed: Replayed) -> list[GoldenRow]:
    """Golden rows as a bundle holds them; rows whose label is a tie are left out, since either is right."""
    skipped = set(replayed.comparison.tied_rows)
    answers = {name: array.tolist() for name, array in replayed.expected.items()}
    count = len(next(iter(answers.values())))
    read = [column for column in schema.columns if column.input is not None]
    return [
        GoldenRow(
            input={column.name: cell(column, replayed.packed, row) for column in read},
            output={name: values[row] for name, values in answers.items()},
        )
        for row in range(count)
        if row not in skipped
    ]


def cell(column: Column, packed: Packed, row: int) -> Any:
    """The value of a column in a packed row, as people would send it: nested lists for a tensor column."""
    if column.shape is not None:
        return _plain_elements(packed[str(column.input)][row].tolist(), column)
    value = packed[str(column.input)][row, column.position]
    if column.input == "text":
        return decode_text(str(value))
    if column.type == "integer":
        return None if np.isnan(value) else int(value)
    if np.isnan(value):
        return None
    return bool(value) if column.type == "boolean" else float(value)


def _plain_elements(value: Any, column: Column) -> Any:
    if isinstance(value, list):
        return [_plain_elements(item, column) for item in value]
    return decode_text(value) if column.type == "string" else value


def _known_text(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    plain = np.empty(array.shape, dtype=object)
    plain.ravel()[:] = [value if isinstance(value, str) else None for value in array.ravel().tolist()]
    return plain
