"""Gates on metrics: `auc >= 0.8`, `validation.loss < current`, `auc >= current - 0.01`."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_GATE = re.compile(
    rf"\s*(?P<metric>[^\s<>=]+)\s*(?P<operator>>=|<=|==|>|<)\s*"
    rf"(?:(?P<number>{_NUMBER})|(?P<current>current)(?:\s*(?P<sign>[+-])\s*(?P<margin>{_NUMBER}))?)\s*"
)


@dataclass(frozen=True, slots=True)
class MetricGate:
    """A metric of `training/metrics.json` must compare so with a bound.

    `metric` is a key, or keys joined by dots. The bound is `offset`, or with `relative` the same metric of the
    version that is replaced plus `offset`.
    """

    metric: str
    comparison: str
    offset: float
    relative: bool = False

    def __str__(self) -> str:
        if not self.relative:
            return f"{self.metric} {self.comparison} {self.offset:g}"
        margin = f" {'-' if self.offset < 0 else '+'} {abs(self.offset):g}" if self.offset else ""
        return f"{self.metric} {self.comparison} current{margin}"

    def judge(self, metrics: Mapping[str, Any], current: Mapping[str, Any] | None) -> tuple[bool, str]:
        """Whether the gate holds, and why, in words. A metric that is not there, or NaN, fails it."""
        value = find_metric(metrics, self.metric)
        if value is None:
            known = ", ".join(sorted(metrics)[:10]) or "none"
            return False, f"the bundle has no metric {self.metric!r}; it has {known}"
        bound = self.offset
        if self.relative:
            if current is None:
                return True, f"{self.metric} is {value:g}; there is no version to compare with"
            before = find_metric(current, self.metric)
            if before is None:
                return False, f"the version that is replaced has no metric {self.metric!r}"
            bound += before
        return _OPERATORS[self.comparison](
            value, bound
        ), f"{self.metric} is {value:g}, {self.comparison} {bound:g} is asked"


def parse_gate(text: str) -> MetricGate:
    """The gate that `text` spells. Raises `ArgumentError` where it spells none."""
    found = _GATE.fullmatch(text)
    if found is None:
        raise ArgumentError(
            f"{text[:200]!a} is no gate; write one like 'auc >= 0.8' or 'loss <= current + 0.01' "
            f"(with {', '.join(_OPERATORS)})"
        )
    if found["current"] is None:
        return MetricGate(found["metric"], found["operator"], float(found["number"]))
    margin = float(found["margin"] or 0.0)
    return MetricGate(
        found["metric"], found["operator"], -margin if found["sign"] == "-" else margin, relative=True
    )


def find_metric(metrics: Mapping[str, Any], path: str) -> float | None:
    """The number at a key, or at keys joined by dots; None where there is no number."""
    found: Any = metrics.get(path)
    if found is None:
        found = metrics
        for key in path.split("."):
            found = found.get(key) if isinstance(found, dict) else None
    if found in ("NaN", "Infinity", "-Infinity"):
        return float(found)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found)
