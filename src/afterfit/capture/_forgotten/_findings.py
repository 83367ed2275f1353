"""What a rule found, what would mend it, and the error that says both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from afterfit.errors import ForgottenPreprocessingError

if TYPE_CHECKING:
    from collections.abc import Sequence

Remedy = Literal["imputer", "encoder", "scaler", "preprocessor", "target_scaler"]

_BEFORE: tuple[Remedy, ...] = ("imputer", "encoder", "scaler")
RAW_INPUTS = "raw_inputs=True"


@dataclass(frozen=True, slots=True)
class Finding:
    """One piece of evidence, a sentence with its figures.

    `contradiction`: the model cannot answer these rows, or cannot have been fitted on rows like them, so that
    `raw_inputs=True` does not silence it. `call`: the call to make, where it is not about a fitted transformer.
    """

    evidence: str
    remedy: Remedy
    contradiction: bool = False
    call: str | None = None


def refuse(findings: Sequence[Finding], *, raw_inputs: bool) -> None:
    """Raise `ForgottenPreprocessingError` with all `findings`, if there are any.

    With `raw_inputs` only contradictions count.
    """
    held = [finding for finding in findings if finding.contradiction or not raw_inputs]
    if held:
        silenced_by = None if any(finding.contradiction for finding in held) else RAW_INPUTS
        raise ForgottenPreprocessingError([finding.evidence for finding in held], _call(held), silenced_by)


def _call(findings: Sequence[Finding]) -> str:
    for finding in findings:
        if finding.call is not None:
            return finding.call
    remedies = {finding.remedy for finding in findings}
    before = [remedy for remedy in _BEFORE if remedy in remedies]
    if not before and "preprocessor" in remedies:
        before = ["preprocessor"]
    arguments = ""
    if before:
        arguments += f", preprocess={before[0] if len(before) == 1 else '[' + ', '.join(before) + ']'}"
    if "target_scaler" in remedies:
        arguments += ", postprocess=target_scaler"
    fitted = " and ".join([f"the fitted {remedy}" for remedy in (*before, *_after(remedies))])
    also = "; or save a Pipeline that holds it" if before else ""
    return f"afterfit.save(model, path, X=X_raw{arguments}), with {fitted}{also}"


def _after(remedies: set[Remedy]) -> tuple[str, ...]:
    return ("target scaler",) if "target_scaler" in remedies else ()
