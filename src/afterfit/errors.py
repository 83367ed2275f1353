"""Every error afterfit raises.

The tree::

    AfterfitError
    ├── ArgumentError                   a call that cannot be carried out as asked
    ├── SchemaError                     rows or tables that do not fit the schema; lists every mistake
    │   └── TooManyRowsError            more rows at once than are taken
    ├── CaptureError                    a model that was not saved; nothing is left on disk
    │   ├── UnsupportedModelError       no exact lowering; names the estimator, its place, the way out
    │   ├── ParityError                 the graph and the model in memory part; names the first step
    │   └── ForgottenPreprocessingError a step between the raw rows and the model is missing
    ├── BundleError                     a file that is not a bundle we can trust
    │   ├── BundleFormatError           not a bundle, or a format version this release cannot read
    │   └── AuditError                  a bundle that breaks a rule of the format; `rule` names which
    ├── StoreError                      a store that is not there, cannot be used, or holds what is damaged
    │   ├── UnknownReferenceError       a name, version or alias that the store does not have
    │   └── AliasMovedError             an alias that somebody else moved meanwhile; nothing was changed
    ├── LimitExceededError              a caller that has used up what it may ask for now
    ├── SignatureError                  a file that nobody who is trusted signed
    └── OverloadedError                 a server that has too much waiting to take more now

Errors know nothing of HTTP or of exit codes; the layers that speak those translate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AfterfitError",
    "AliasMovedError",
    "ArgumentError",
    "AuditError",
    "BundleError",
    "BundleFormatError",
    "CaptureError",
    "CellError",
    "ForgottenPreprocessingError",
    "LimitExceededError",
    "OverloadedError",
    "ParityError",
    "SchemaError",
    "SignatureError",
    "StoreError",
    "TooManyRowsError",
    "UnknownReferenceError",
    "UnsupportedModelError",
]


class AfterfitError(Exception):
    """The root: `except afterfit.AfterfitError` catches whatever afterfit raises on purpose."""


class ArgumentError(AfterfitError, ValueError):
    """An argument that cannot be used as given."""


@dataclass(frozen=True, slots=True)
class CellError:
    """One mistake in the data.

    `row` counts from 0 within what was given; None where the mistake is not in one row. `column` is None
    where the mistake is not in one column. `expected`, `got` and `fix` are short phrases for a person.
    """

    row: int | None
    column: str | None
    expected: str
    got: str
    fix: str

    def __str__(self) -> str:
        place = ", ".join(
            part
            for part in (
                f"row {self.row}" if self.row is not None else "",
                f"column {self.column!r}" if self.column is not None else "",
            )
            if part
        )
        return f"{place + ': ' if place else ''}expected {self.expected}, got {self.got}; {self.fix}"


class SchemaError(AfterfitError, ValueError):
    """Data that does not fit a schema. `errors` holds every mistake found, in order of row and column.

    `truncated` is True where reading stopped after a stated number of mistakes.
    """

    SHOWN = 20

    def __init__(self, errors: Sequence[CellError], *, truncated: bool = False) -> None:
        self.errors = tuple(errors)
        self.truncated = truncated
        count = f"{len(self.errors)}{'+' if truncated else ''} mistake{'s' if len(self.errors) != 1 else ''}"
        lines = [f"the data does not fit the schema ({count}):"]
        lines += [f"  {error}" for error in self.errors[: self.SHOWN]]
        if len(self.errors) > self.SHOWN:
            lines.append(f"  ... and {len(self.errors) - self.SHOWN} more in .errors")
        super().__init__("\n".join(lines))


class TooManyRowsError(SchemaError):
    """More rows at once than are taken; the rows themselves were not looked at."""


class CaptureError(AfterfitError):
    """A model that was not saved. Nothing is left on disk."""


class UnsupportedModelError(CaptureError):
    """The model, or a part or setting of it, has no exact lowering.

    `estimator` is its class name, `where` its place in the pipeline (such as `prep -> num -> scale`), and
    `way_out` what the person can do instead.
    """

    def __init__(self, estimator: str, where: str, reason: str, way_out: str) -> None:
        self.estimator = estimator
        self.where = where
        self.reason = reason
        self.way_out = way_out
        place = f" at {where}" if where else ""
        super().__init__(f"{estimator}{place} cannot be captured exactly: {reason}. {way_out}")


class ParityError(CaptureError):
    """The graph does not answer as the model in memory does.

    `step` is the first step of the pipeline whose output parts; `row` the row of `X` (or `golden row N`)
    where it does; `expected` what the model in memory answers there; `got` what the graph answers.
    """

    def __init__(self, step: str, row: str, expected: str, got: str, *, detail: str = "") -> None:
        self.step = step
        self.row = row
        self.expected = expected
        self.got = got
        super().__init__(
            f"the saved graph would not answer as the model in memory: the first difference is in {step}, "
            f"{row}: the model gives {expected}, the graph {got}. Nothing was written."
            + (f" {detail}" if detail else "")
        )


class ForgottenPreprocessingError(CaptureError):
    """A step of preprocessing between the raw rows and the model's inputs is missing from what is being saved.

    `evidence` is one sentence a finding; `call` the call to make instead. `silenced_by`: the argument of `save`
    that says that there was no such step, where all the evidence is a likelihood; None for contradictions.
    """

    def __init__(self, evidence: Sequence[str], call: str, silenced_by: str | None = None) -> None:
        self.evidence = tuple(evidence)
        self.call = call
        self.silenced_by = silenced_by
        super().__init__(
            "a step of preprocessing is missing: "
            + "; ".join(self.evidence)
            + f". Make the call {call}"
            + (
                f". If X is raw and the model was fitted on rows like it, say {silenced_by}"
                if silenced_by
                else ""
            )
        )


class BundleError(AfterfitError):
    """A file that cannot be opened as a bundle."""


class BundleFormatError(BundleError):
    """Not a bundle, or a bundle of a format version that this release cannot read."""


class AuditError(BundleError):
    """A bundle that breaks a rule of the format.

    `rule` is the rule's short name, listed in FORMAT.md, such as `digest-mismatch`; `entry` the entry at
    fault, where there is one.
    """

    def __init__(self, rule: str, message: str, *, entry: str | None = None) -> None:
        self.rule = rule
        self.entry = entry
        super().__init__(f"{entry + ': ' if entry else ''}{message} [{rule}]")


class LimitExceededError(AfterfitError):
    """A caller that has used up what it may ask for now. `limit` names which limit; it may ask again in `seconds`."""

    def __init__(self, limit: str, message: str, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        super().__init__(message)


class OverloadedError(AfterfitError):
    """Too much work waits already; nothing was done for this request, which may be sent again later."""


class StartError(AfterfitError):
    """A server whose workers found, when they loaded a bundle, that it is not to be served; nothing was started."""


class StoreError(AfterfitError):
    """A store that is not there or cannot be used, or a bundle in it that is not the one that was pushed."""


class UnknownReferenceError(StoreError):
    """A name, version or alias that the store does not have."""


class AliasMovedError(StoreError):
    """An alias that somebody else moved after it was looked at; nothing was changed."""


class SignatureError(AfterfitError):
    """A file that is not signed by anybody the caller trusts, or a signature that is false or malformed."""
