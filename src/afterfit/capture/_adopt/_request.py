"""What the parent asks of the child, and what the child tells it."""

from __future__ import annotations

from typing import Any

import msgspec

from afterfit import errors
from afterfit.errors import AfterfitError, CaptureError


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model to adopt: paths of files, the answer's place, and what the caller allows."""

    model: str
    rows: str
    output: str
    name: str
    weights: str | None = None
    before: tuple[str, ...] = ()
    after: str | None = None
    target: str | None = None
    description: str | None = None
    trust: tuple[str, ...] = ()
    allow_version_change: bool = False
    raw_inputs: bool = False
    memory: int
    seconds: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How it went: `notes` for the person; or the class, text and fields of an error."""

    notes: tuple[str, ...] = ()
    error: str | None = None
    message: str = ""
    fields: dict[str, Any] = {}


def told(error: AfterfitError) -> Outcome:
    """An error as the child tells it."""
    plain = {name: value for name, value in vars(error).items() if isinstance(value, str) or _texts(value)}
    return Outcome(error=type(error).__name__, message=str(error), fields=plain)


def raised(outcome: Outcome) -> AfterfitError:
    """The error that the child told, to be raised by the parent; its fields are text and lists of text."""
    kind: Any = getattr(errors, str(outcome.error), None) if outcome.error in errors.__all__ else None
    if not (isinstance(kind, type) and issubclass(kind, AfterfitError)):
        kind = CaptureError
    error: AfterfitError = kind.__new__(kind, outcome.message)
    for name, value in outcome.fields.items():
        if isinstance(value, str) or _texts(value):
            setattr(error, name, tuple(value) if isinstance(value, list) else value)
    return error


def _texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
