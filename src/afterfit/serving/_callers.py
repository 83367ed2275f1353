"""Who is asking, as far as the data plane has to know: someone whose rows are counted."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from afterfit.schema import Packed


class Caller(Protocol):
    """Is told of the rows that one caller sends."""

    def take(self, model: str, packed: Packed, rows: int) -> None:
        """Rows that fit the schema, packed, before they are run; `model` is the name and version that answers them.

        Raises LimitExceededError where they are too many.
        """
        ...

    def invalid(self, rows: int) -> None:
        """Rows that did not fit the schema."""
        ...


CALLER: ContextVar[Caller | None] = ContextVar("afterfit_caller", default=None)
"""Who sent the request that this task answers; None where nobody is told apart."""
