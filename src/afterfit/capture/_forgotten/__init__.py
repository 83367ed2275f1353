"""Was a step of preprocessing left out of what is being saved?

Evidence comes in kinds, one file each: the columns of `X`, what the model learned of their values, how `X` itself
looks, and how the model scores on it. A finding is a contradiction (the model has no answer for such rows, or cannot
have been fitted on rows like them) or a likelihood, which `raw_inputs=True` silences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.capture._forgotten._columns import (
    answer_findings,
    category_findings,
    column_findings,
    first_estimator,
    missing_finding,
)
from afterfit.capture._forgotten._findings import Finding, refuse
from afterfit.capture._forgotten._learned import learned_findings
from afterfit.capture._forgotten._looks import look_findings
from afterfit.capture._forgotten._missing import missing_findings
from afterfit.capture._forgotten._rows import read_rows
from afterfit.capture._forgotten._saturation import saturation_findings
from afterfit.capture._forgotten._score import Answers, score_findings
from afterfit.capture._forgotten._tree_counts import tree_count_findings
from afterfit.capture._frames import row_count, take
from afterfit.capture._probes import missing_probes, refused
from afterfit.lowering import Classification, Regression

if TYPE_CHECKING:
    from collections.abc import Mapping

    from afterfit.capture._graph import LoweredModel
    from afterfit.capture._reference import Reference
    from afterfit.lowering import Learned
    from afterfit.schema import InferredTable, Packed

__all__ = [
    "check_categories",
    "check_columns",
    "check_error",
    "check_missing",
    "check_values",
    "value_findings",
]

ANSWERED_ROWS = 5000


def check_columns(reference: Reference, table: InferredTable) -> None:
    """Raise `ForgottenPreprocessingError` where the columns of `X` are not those the model was fitted on."""
    refuse(column_findings(reference, table), raw_inputs=False)


def check_error(error: Exception, reference: Reference, table: InferredTable) -> None:
    """Raise `ForgottenPreprocessingError` where the model's own `error` on rows of `X` tells of a step left out."""
    refuse(answer_findings(error, reference, table), raw_inputs=False)


def check_categories(learned: Mapping[int, Learned], table: InferredTable) -> None:
    """Raise `ForgottenPreprocessingError` where encoders learned text and `X` has numbers, or the reverse."""
    refuse(category_findings(learned, table), raw_inputs=False)


def check_missing(reference: Reference, lowered: LoweredModel, table: InferredTable, frame: Any) -> None:
    """Raise `ForgottenPreprocessingError` where `X` has missing values that the model in memory has no answer for."""
    probes = [
        probe
        for probe in missing_probes(frame, lowered.columns)
        if table.columns[probe.cells[0][0]].has_missing
    ]
    raising = refused(reference, frame, probes, _outputs(lowered)[0])
    if raising:
        names = [lowered.columns[probe.cells[0][0]].name for probe in raising]
        refuse([missing_finding(first_estimator(reference), names)], raw_inputs=False)


def check_values(
    reference: Reference,
    lowered: LoweredModel,
    packed: Packed,
    frame: Any,
    y: Any = None,
    *,
    raw_inputs: bool = False,
) -> None:
    """Raise `ForgottenPreprocessingError` for what the values of `X`, and `y` where given, say of steps left out."""
    refuse(value_findings(reference, lowered, packed, frame, y), raw_inputs=raw_inputs)


def value_findings(
    reference: Reference, lowered: LoweredModel, packed: Packed, frame: Any, y: Any = None
) -> list[Finding]:
    """All findings about values: learned ones, missing ones, the looks of `X`, the score."""
    rows = read_rows(lowered, packed)
    found = learned_findings(lowered.context, rows) + look_findings(rows)
    found += missing_findings(lowered.context, rows) or tree_count_findings(lowered.context, rows)
    found += saturation_findings(reference, lowered, packed, y)
    answers = _answers(reference, lowered, frame, y)
    return found if answers is None else found + score_findings(reference, answers, rows)


def _outputs(lowered: LoweredModel) -> list[str]:
    return [output.name for output in lowered.outputs]


def _answers(reference: Reference, lowered: LoweredModel, frame: Any, y: Any) -> Answers | None:
    if not isinstance(lowered.lowered, Classification | Regression):
        return None
    rows = row_count(frame)
    positions = np.unique(np.linspace(0, rows - 1, min(rows, ANSWERED_ROWS)).astype(np.int64))
    asked = [name for name in _outputs(lowered) if name in {"prediction", "probabilities"}]
    answered = reference.answer(take(frame, positions), asked)
    classes = lowered.outputs[0].classes
    return Answers(
        prediction=answered["prediction"],
        probabilities=answered.get("probabilities"),
        classes=tuple(classes) if classes is not None else None,
        y=None if y is None else np.asarray(y)[positions],
        positions=positions,
    )
