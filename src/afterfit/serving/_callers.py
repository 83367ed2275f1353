"""Who is asking, as far as the data plane has to know: someone whose rows are counted."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from afterfit.schema import Packed


class Caller(Protocol):
    """Is told of the rows that one caller sends."""

    def take(self, rows: int) -> None:
        """Rows that fit the schema, before the model is run. Raises LimitExceededError where they are too many."""
        ...

    def look(self, model: str, packed: Packed) -> None:
        """The same rows, packed; `model` is the name and version that answers them."""
        ...

    def invalid(self, rows: int) -> None:
        """Rows that did not fit the schema."""
        ...


CALLER: ContextVar[Caller | None] = ContextVar("afterfit_caller", default=None)
"""Who sent the request that this task answers; None where nobody is told apart."""
