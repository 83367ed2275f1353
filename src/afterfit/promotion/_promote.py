"""Promotion: look at the alias, run the gates, and move it if it is still where it was."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from afterfit.promotion._checks import Check, check_promotion
from afterfit.store import Reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterfit.promotion._gates import MetricGate
    from afterfit.signing import Trust
    from afterfit.store import Move, Store, Version


@dataclass(frozen=True, slots=True)
class Promotion:
    """What was found, and the move; None where a check failed or the alias names the version already."""

    challenger: Version
    current: Version | None
    checks: tuple[Check, ...]
    move: Move | None

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)


def promote(
    store: Store,
    reference: str | Reference,
    alias: str,
    *,
    because: str,
    gates: Sequence[MetricGate] = (),
    trust: Trust | None = None,
    by: str | None = None,
) -> Promotion:
    """Run the gates on a version, and move `alias` to it if all hold.

    With `trust`, one of the gates is that somebody trusted signed the version. The evidence of the move is every
    check and the metrics. Raises `AliasMovedError` where somebody else moved the alias since the gates began, and
    `UnknownReferenceError` where there is no such version.
    """
    challenger = store.resolve(reference)
    history = store.history(challenger.name, alias)
    current = store.resolve(Reference(challenger.name, number=history[-1].to_number)) if history else None
    checks = tuple(check_promotion(store, challenger, current, gates, trust))
    if not all(check.holds for check in checks) or current == challenger:
        return Promotion(challenger, current, checks, None)
    evidence: dict[str, Any] = {
        "checks": [asdict(check) for check in checks],
        "metrics": dict(challenger.metrics),
        "replaced_metrics": None if current is None else dict(current.metrics),
    }
    move = store.promote(
        challenger.name,
        alias,
        challenger.number,
        because=because,
        by=by,
        evidence=evidence,
        expected=len(history),
    )
    return Promotion(challenger, current, checks, move)
