"""Where the graph and the model in memory first part."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.capture._parity import scaled_errors
from afterfit.capture._reference import dense
from afterfit.lowering import Classification, Labels, Regression, Step, Table
from afterfit.runtime import GraphSession
from afterfit.schema import decode_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spox import Var

    from afterfit.capture._graph import LoweredModel
    from afterfit.capture._reference import Reference
    from afterfit.schema import Packed


@dataclass(frozen=True, slots=True)
class Parting:
    """The first step whose output differs: its path, what it gives in memory and what in the graph."""

    step: str
    expected: str
    got: str


def locate(
    lowered: LoweredModel, reference: Reference, frame: Any, packed: Packed, output: str, tolerance: float
) -> Parting | None:
    """Run one row through the model in memory and through the graph, and compare step by step.

    What each estimator returns in memory is recorded while the whole model answers, so any nesting of
    estimators is followed. None if every step that can be compared agrees.
    """
    with _recording(lowered.context.steps) as recorded:
        reference.answer(frame, [output])
    extra = {
        f"step{number}.{part}": var
        for number, step in enumerate(lowered.context.steps)
        for part, var in enumerate(_values(step))
    }
    if not extra:
        return None
    found = GraphSession(lowered.graph(extra), threads=1).run(packed, list(extra))
    for number, step in enumerate(lowered.context.steps):
        known = recorded.get(id(step.estimator))
        if known is None:
            continue
        got = _join([found[f"step{number}.{part}"] for part in range(len(_values(step)))])
        difference = _first_difference(dense(known), got, tolerance)
        if difference is not None:
            return Parting(_describe(step), *difference)
    return None


@contextmanager
def _recording(steps: list[Step]) -> Iterator[dict[int, Any]]:
    recorded: dict[int, Any] = {}
    patched: list[tuple[Any, str]] = []
    for step in steps:
        method = _method(step)
        if not hasattr(step.estimator, method) or method in vars(step.estimator):
            continue
        setattr(step.estimator, method, _recorder(step.estimator, method, recorded))
        patched.append((step.estimator, method))
    try:
        yield recorded
    finally:
        for estimator, method in patched:
            delattr(estimator, method)


def _method(step: Step) -> str:
    """The method whose answer the lowering of `step` returned."""
    if isinstance(step.returned, Table):
        return "transform"
    return "predict" if isinstance(step.returned, Regression | Labels) else "predict_proba"


def _recorder(estimator: Any, method: str, recorded: dict[int, Any]) -> Any:
    original = getattr(estimator, method)

    def record(*args: Any, **kwargs: Any) -> Any:
        returned = original(*args, **kwargs)
        recorded[id(estimator)] = returned
        return returned

    return record


def _values(step: Step) -> list[Var]:
    returned = step.returned
    if isinstance(returned, Table):
        return [op.identity(block.var) for block in returned.blocks if block.refusal is None]
    if isinstance(returned, Regression | Labels):
        return [op.identity(returned.values)]
    if isinstance(returned, Classification) and returned.probabilities is not None:
        return [op.identity(returned.probabilities)]
    return []


def _join(parts: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    columns = [part.reshape(part.shape[0], -1).astype(object) for part in parts]
    return np.concatenate(columns, axis=1) if columns else np.empty((1, 0), dtype=object)


def _first_difference(known: Any, got: Any, tolerance: float) -> tuple[str, str] | None:
    rows = np.asarray(known).reshape(len(known), -1).astype(object)
    if rows.shape != got.shape:
        return None
    for column in range(rows.shape[1]):
        expected, answered = rows[0, column], got[0, column]
        if isinstance(answered, str):
            answered = decode_text(answered)
            same = expected == answered or (answered is None and (expected is None or expected != expected))  # noqa: PLR0124
        else:
            value = np.nan if expected is None or isinstance(expected, str) else float(expected)
            same = bool(scaled_errors([value], [answered])[0] <= tolerance)
        if not same:
            return f"{expected!r} in column {column} of its output", repr(answered)
    return None


def _describe(step: Step) -> str:
    name = type(step.estimator).__name__
    return f"{' -> '.join(step.path)} ({name})" if step.path else name
