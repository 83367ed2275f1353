"""How much each limited key has used, in one file that all workers of a server map into memory.

Each key has a record of numbers. A worker changes a record under a lock on that record alone, which the kernel
takes back where the worker dies; what a dead worker had under way is not counted. The file lives as long as the server.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from afterfit.errors import ArgumentError, LimitExceededError
from afterfit.serving._board import is_alive

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from pathlib import Path

    from afterfit.serving._security._keys import KeyLimits

CAPACITY: Final = 4096
"""Limited keys that one server can know from its start to its end, revoked ones included."""

_ID = 16
_FREE_AT, _DAY, _REQUESTS, _ROWS, _PLACES = range(5)
"""The numbers of a record: when the bucket would be empty again, the day, what was used of it; then the workers."""

_SECONDS_OF_DAY = 86_400


class Refusal(NamedTuple):
    """Which limit holds a request back, and the seconds after which it may be sent again."""

    limit: str
    seconds: float


class Ledger:
    """The file in a folder that the workers share. `workers`: how many there are at most at one time.

    Methods must be called on the event loop: locks are of the process, not of the thread.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        self._is_shared = workers > 1
        # A worker that is being replaced may still be there.
        self._places = 2 * workers + 2
        self._width = _PLACES + 2 * self._places
        size = CAPACITY * (_ID + 8 * self._width)
        self._file = os.open(folder / "ledger", os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(self._file).st_size < size:
            os.ftruncate(self._file, size)
        self._map = mmap.mmap(self._file, size)
        self._numbers = memoryview(self._map)[CAPACITY * _ID :].cast("d")

    def account(self, digest: bytes, limits: KeyLimits) -> Account:
        """The account of the key of this digest. Raises ArgumentError where there were too many."""
        return Account(self, self._numbers, self._find(digest[:_ID]), limits, self._places)

    def _find(self, name: bytes) -> int:
        """The position of the first number of a record, which is made where there is none."""
        self.lock(-1)
        try:
            place = self._map.find(name, 0, CAPACITY * _ID)
            while place % _ID and place != -1:
                place = self._map.find(name, place + 1, CAPACITY * _ID)
            if place == -1:
                place = next(
                    (at for at in range(0, CAPACITY * _ID, _ID) if self._map[at : at + _ID] == bytes(_ID)), -1
                )
                if place == -1:
                    raise ArgumentError(
                        f"more than {CAPACITY:,} limited keys since the server started; start it anew"
                    )
                self._map[place : place + _ID] = name
        finally:
            self.unlock(-1)
        return place // _ID * self._width

    def lock(self, record: int) -> None:
        """Keep other workers from a record until `unlock`."""
        if self._is_shared and sys.platform != "win32":
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, record + 1)

    def unlock(self, record: int) -> None:
        """Let other workers at a record."""
        if self._is_shared and sys.platform != "win32":
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, record + 1)

    def close(self) -> None:
        """Let go of the file, which stays."""
        self._numbers.release()
        self._map.close()
        os.close(self._file)


class Account:
    """What one key used, and may use."""

    def __init__(
        self, ledger: Ledger, numbers: memoryview[float], record: int, limits: KeyLimits, places: int
    ) -> None:
        self._ledger = ledger
        self._numbers = numbers
        self._record = record
        self._limits = limits
        self._process = float(os.getpid())
        self._first = record + _PLACES
        self._end = self._first + 2 * places
        self._own = -1
        rate = limits.requests_per_second
        self._interval = 0.0 if rate is None else 1 / rate
        burst = limits.burst or max(1, int(rate or 1))
        # A bucket of tokens, kept as the time at which it would be full again (the generic cell rate algorithm).
        self._slack = self._interval * (burst - 1)

    def enter(self) -> Refusal | None:
        """Count a request that begins, unless a limit holds it back."""
        self._ledger.lock(self._record)
        try:
            return self._enter(time.monotonic())
        finally:
            self._ledger.unlock(self._record)

    def _enter(self, now: float) -> Refusal | None:
        numbers, limits, at = self._numbers, self._limits, self._record
        if limits.requests_per_day is not None or limits.rows_per_day is not None:
            left = self._begin_day()
            if limits.requests_per_day is not None and numbers[at + _REQUESTS] >= limits.requests_per_day:
                return Refusal("requests_per_day", left)
            if limits.rows_per_day is not None and numbers[at + _ROWS] >= limits.rows_per_day:
                return Refusal("rows_per_day", left)
        if limits.concurrent is not None and self._under_way() >= limits.concurrent:
            return Refusal("concurrent", 1.0)
        if self._interval:
            free_at = max(numbers[at + _FREE_AT], now)
            if free_at - now > self._slack:
                return Refusal("requests_per_second", free_at - now - self._slack)
            numbers[at + _FREE_AT] = free_at + self._interval
        if limits.concurrent is not None:
            numbers[self._place() + 1] += 1
        if limits.requests_per_day is not None:
            numbers[at + _REQUESTS] += 1
        return None

    def leave(self) -> None:
        """Count that a request that entered has ended."""
        if self._own >= 0:
            self._numbers[self._own + 1] -= 1

    def take(self, rows: int) -> None:
        """Count rows that are to be answered. Raises LimitExceededError for more than are left of the day."""
        most = self._limits.rows_per_day
        if most is None:
            return
        self._ledger.lock(self._record)
        try:
            seconds = self._begin_day()
            used = int(self._numbers[self._record + _ROWS])
            if used + rows > most:
                raise LimitExceededError(
                    "rows_per_day", f"{most - used:,} of the key's {most:,} rows a day are left", seconds
                )
            self._numbers[self._record + _ROWS] = used + rows
        finally:
            self._ledger.unlock(self._record)

    def _begin_day(self) -> float:
        """Forget what was used of another day. Returns the seconds that are left of this one."""
        day, gone = divmod(time.time(), _SECONDS_OF_DAY)
        at = self._record
        if self._numbers[at + _DAY] != day:
            self._numbers[at + _DAY] = day
            self._numbers[at + _REQUESTS] = self._numbers[at + _ROWS] = 0
        return _SECONDS_OF_DAY - gone

    def _under_way(self) -> float:
        """The key's requests under way in all workers."""
        count = sum(self._numbers[self._first + 1 : self._end : 2])
        if self._limits.concurrent is not None and count >= self._limits.concurrent:
            self._forget_dead()
            count = sum(self._numbers[self._first + 1 : self._end : 2])
        return count

    def _place(self) -> int:
        """Where this worker counts what it has under way: its number, and then the count."""
        if self._own < 0:
            self._forget_dead()
            places = range(self._first, self._end, 2)
            # An account that was opened for the same key before counts there already.
            own = [at for at in places if self._numbers[at] == self._process]
            free = [at for at in places if not self._numbers[at]]
            self._own = (own or free)[0]
            self._numbers[self._own] = self._process
        return self._own

    def _forget_dead(self) -> None:
        for at in range(self._first, self._end, 2):
            process = int(self._numbers[at])
            if process and process != self._process and not is_alive(process):
                self._numbers[at] = self._numbers[at + 1] = 0
