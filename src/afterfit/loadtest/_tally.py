"""What came back: counts, and times in buckets so fine that percentiles are right within one percent."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

_SMALLEST = 1e-6
_STEP = math.log(1.01)
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
SHOWN = 20
"""Wrong answers that are kept whole, to be shown."""


@dataclass(frozen=True, slots=True)
class WrongAnswer:
    """A request that was not answered as it had to be."""

    kind: str
    sent: str
    status: int
    got: str
    why: str


@dataclass(slots=True)
class Tally:
    """Counts of one load test.

    `answered` counts whole answers by kind of request, `statuses` by status. `wrong` of them were not what they had to
    be; `shed` were refused with 429 or 503, as a server does that protects itself. `cut` connections ended
    under way, `refused` were not taken, `late` requests had no answer in time, `left` were abandoned on purpose.
    """

    answered: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    wrong_answers: list[WrongAnswer] = field(default_factory=list)
    shed: int = 0
    cut: int = 0
    refused: int = 0
    late: int = 0
    left: int = 0
    rows: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    _buckets: Counter[int] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Whole answers."""
        return sum(self.answered.values())

    @property
    def rate(self) -> float:
        """Whole answers a second."""
        return self.total / self.seconds if self.seconds else 0.0

    def observe(self, seconds: float) -> None:
        """Count the time of one answer."""
        self.slowest = max(self.slowest, seconds)
        self._buckets[int(math.log(max(seconds, _SMALLEST) / _SMALLEST) / _STEP)] += 1

    def percentile(self, percent: float) -> float:
        """Seconds within which `percent` of the answers came, at most one percent too many; NaN where none came."""
        count = self._buckets.total()
        if not count:
            return math.nan
        wanted = max(1, math.ceil(count * percent / 100))
        for bucket in sorted(self._buckets):
            wanted -= self._buckets[bucket]
            if wanted <= 0:
                return min(_SMALLEST * math.exp((bucket + 1) * _STEP), self.slowest)
        return self.slowest

    def blame(self, wrong: WrongAnswer) -> None:
        """Count a wrong answer, and keep the first ones."""
        self.wrong += 1
        if len(self.wrong_answers) < SHOWN:
            self.wrong_answers.append(wrong)

    def report(self) -> dict[str, object]:
        """Everything, for JSON; times in milliseconds."""
        times: dict[str, float | None] = {
            f"p{percent:g}": 1e3 * self.percentile(percent) for percent in PERCENTILES
        }
        times["max"] = 1e3 * self.slowest
        if not self.total:
            times = dict.fromkeys(times)
        return {
            "requests": self.total,
            "rows": self.rows,
            "seconds": self.seconds,
            "requests_per_second": self.rate,
            "milliseconds": times,
            "wrong": self.wrong,
            "wrong_answers": [
                {name: getattr(one, name) for name in WrongAnswer.__slots__} for one in self.wrong_answers
            ],
            "shed": self.shed,
            "cut": self.cut,
            "refused": self.refused,
            "late": self.late,
            "abandoned": self.left,
            "by_kind": dict(self.answered),
            "by_status": {str(status): count for status, count in sorted(self.statuses.items())},
            "by_version": dict(self.versions),
        }
