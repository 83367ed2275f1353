"""What a run of a model costs, learned from the runs there were."""

from __future__ import annotations

_DECAY = 0.95
"""Weight of a run relative to the one after it: some 20 runs decide."""


class RunCost:
    """Seconds of a run as a line in its rows: a fixed part, and a part for each row.

    The line is the least-squares fit over the past runs, each weighing 0.95 of the one after it. Where the runs
    all had about as many rows, which says nothing of the slope, larger runs are taken to cost in proportion. `guess`:
    the seconds that a row is taken to cost before the first run.
    """

    __slots__ = ("_guess", "_rows", "_rows_squared", "_seconds", "_seconds_rows", "_weight")

    def __init__(self, guess: float = 0.0) -> None:
        self._guess = guess
        self._weight = self._rows = self._rows_squared = self._seconds = self._seconds_rows = 0.0

    def record(self, rows: int, seconds: float) -> None:
        """Learn from a run of `rows` rows that took `seconds`."""
        self._weight = self._weight * _DECAY + 1.0
        self._rows = self._rows * _DECAY + rows
        self._rows_squared = self._rows_squared * _DECAY + rows * rows
        self._seconds = self._seconds * _DECAY + seconds
        self._seconds_rows = self._seconds_rows * _DECAY + seconds * rows

    def estimate(self, rows: int) -> float:
        """Seconds that a run of `rows` rows takes."""
        if not self._weight:
            return self._guess * rows
        mean_rows = self._rows / self._weight
        mean_seconds = self._seconds / self._weight
        slope = self._slope(mean_rows, mean_seconds)
        if slope is None:
            return mean_seconds * max(1.0, rows / mean_rows)
        return max(mean_seconds + slope * (rows - mean_rows), 0.0)

    def rows_within(self, seconds: float, most: int) -> int:
        """The rows, 1 to `most`, of the largest run that takes no more than `seconds`."""
        low, high = 1, most
        while low < high:
            middle = (low + high + 1) // 2
            if self.estimate(middle) <= seconds:
                low = middle
            else:
                high = middle - 1
        return low

    def _slope(self, mean_rows: float, mean_seconds: float) -> float | None:
        """Seconds for one row more, never negative; None where the runs were too much alike to tell."""
        spread = self._rows_squared / self._weight - mean_rows * mean_rows
        if spread <= 0.01 * mean_rows * mean_rows:
            return None
        return max((self._seconds_rows / self._weight - mean_rows * mean_seconds) / spread, 0.0)
