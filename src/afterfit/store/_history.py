"""What the moves of an alias add up to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Move:
    """One move of an alias: `sequence` counts the moves of an alias from 1.

    `from_number` is None for the first. `moved_at` is UTC, as ISO 8601. `evidence` is what was found before.
    """

    name: str
    alias: str
    sequence: int
    kind: Literal["promote", "rollback"]
    from_number: int | None
    to_number: int
    moved_at: str
    moved_by: str
    because: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


def undo_target(moves: Iterable[Move]) -> int | None:
    """The version an alias had before its last promotion that was not rolled back; None where there is none.

    Each rollback undoes one promotion: after promotions to 1, 2 and 3, rollbacks give 2, then 1. `moves` are in
    their order.
    """
    stack: list[int] = []
    for move in moves:
        if move.kind == "promote":
            stack.append(move.to_number)
        else:
            stack.pop()
    return stack[-2] if len(stack) > 1 else None
