"""Requests that arrive together share one run of the model.

Every request that is submitted during one turn of the event loop waits until the turn ends; then their rows
are joined, run once, and handed back to who asked. Nobody waits for a clock, so a lone request pays nothing
but the end of its own turn. While a slow model runs in its thread, the requests that come in meanwhile gather
and share the next run.
"""

from __future__ import annotations

import asyncio
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import OverloadedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from afterfit.schema import Packed

    Arrays = dict[str, np.ndarray[Any, Any]]
    Run = Callable[[Packed], Arrays]


class Batch:
    """What one run of the model answered: `arrays`, output name to array, first axis the rows."""

    __slots__ = ("_is_finite", "_lists", "arrays")

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self._lists: dict[str, list[Any]] | None = None
        self._is_finite: bool | None = None

    @property
    def lists(self) -> dict[str, list[Any]]:
        """The same as plain Python values, converted once for all who share the run."""
        if self._lists is None:
            self._lists = {name: array.tolist() for name, array in self.arrays.items()}
        return self._lists

    @property
    def is_finite(self) -> bool:
        """True if no number in it is NaN or infinite."""
        if self._is_finite is None:
            self._is_finite = all(
                bool(np.isfinite(array).all()) for array in self.arrays.values() if array.dtype.kind == "f"
            )
        return self._is_finite


class Answer:
    """The rows of a run that belong to one request: rows `start` to `stop` of `batch`."""

    __slots__ = ("batch", "start", "stop")

    def __init__(self, batch: Batch, start: int, stop: int) -> None:
        self.batch = batch
        self.start = start
        self.stop = stop

    @property
    def rows(self) -> int:
        return self.stop - self.start

    def array(self, output: str) -> np.ndarray[Any, Any]:
        """The rows of one output; KeyError if the model has no such output."""
        return self.batch.arrays[output][self.start : self.stop]

    def values(self, output: str) -> list[Any]:
        """The rows of one output as plain Python values; KeyError if the model has no such output."""
        return self.batch.lists[output][self.start : self.stop]


class _Ticket:
    """One request's place in the queue; `outcome` is its answer, or the error to raise for it."""

    __slots__ = ("outcome", "packed", "rows", "waiter")

    def __init__(self, packed: Packed, rows: int) -> None:
        self.packed = packed
        self.rows = rows
        self.outcome: Answer | Exception | None = None
        self.waiter: asyncio.Future[None] | None = None

    def settle(self, outcome: Answer | Exception) -> None:
        self.outcome = outcome
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class Batcher:
    """Joins the rows of requests into runs of one model.

    `run` maps packed rows to arrays and must treat rows independently. `max_rows`: a run takes requests, in
    the order of arrival, until one more would pass this many rows; a single request may be larger.
    `max_waiting_rows`: where more rows would wait, `OverloadedError` is raised, so memory is bounded.
    `executor`: where runs go that would hold up the event loop: those of more than `inline_rows` rows, and
    those of a model whose last run took longer than `slow_seconds`. One run is under way at a time.

    Laws: a request is answered with its own rows, whatever the order of arrival and of answering. If a joint
    run raises, each of its requests is run alone, so that only those at fault see an error.
    """

    def __init__(
        self,
        run: Run,
        *,
        executor: Executor,
        max_rows: int = 1024,
        max_waiting_rows: int = 100_000,
        inline_rows: int = 256,
        slow_seconds: float = 0.02,
    ) -> None:
        self._run = run
        self._executor = executor
        self._max_rows = max_rows
        self._max_waiting_rows = max_waiting_rows
        self._inline_rows = inline_rows
        self._slow_seconds = slow_seconds
        self._waiting: list[_Ticket] = []
        self._waiting_rows = 0
        self._is_busy = False
        self._is_slow = False

    @property
    def waiting_rows(self) -> int:
        """Rows that wait for a run."""
        return self._waiting_rows

    async def answer(self, packed: Packed, rows: int) -> Answer:
        """Answer `rows` packed rows, in a run shared with whoever else asks now.

        Raises OverloadedError where too many rows wait already, and whatever `run` raises for these rows.
        """
        if self._waiting_rows + rows > self._max_waiting_rows and self._waiting:
            raise OverloadedError(f"{self._waiting_rows} rows wait for the model already")
        ticket = _Ticket(packed, rows)
        self._waiting.append(ticket)
        self._waiting_rows += rows
        if not self._is_busy:
            self._is_busy = True
            asyncio.get_running_loop().call_soon(self._flush)
        # The flush stands in the loop's queue before the rest of this coroutine does, so for a run on the
        # loop one turn is enough, and no future has to be made and waited for.
        await asyncio.sleep(0)
        outcome = ticket.outcome
        if outcome is None:
            ticket.waiter = asyncio.get_running_loop().create_future()
            await ticket.waiter
            outcome = ticket.outcome
        if isinstance(outcome, Answer):
            return outcome
        raise outcome or RuntimeError("a request was woken without an answer")

    def _flush(self) -> None:
        tickets, rows = self._take()
        loop = asyncio.get_running_loop()
        if self._is_slow or rows > self._inline_rows:
            run = loop.run_in_executor(self._executor, self._outcomes, tickets)
            run.add_done_callback(partial(self._finish, loop, tickets))
            return
        for ticket, outcome in zip(tickets, self._outcomes(tickets), strict=True):
            ticket.outcome = outcome
            if ticket.waiter is not None:
                ticket.settle(outcome)
        self._continue(loop)

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        tickets: list[_Ticket],
        run: asyncio.Future[list[Answer | Exception]],
    ) -> None:
        if run.cancelled():
            outcomes: list[Answer | Exception] = [OverloadedError("the server is stopping")] * len(tickets)
        else:
            outcomes = run.result()
        for ticket, outcome in zip(tickets, outcomes, strict=True):
            ticket.settle(outcome)
        self._continue(loop)

    def _continue(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_busy = bool(self._waiting)
        if self._is_busy:
            loop.call_soon(self._flush)

    def _take(self) -> tuple[list[_Ticket], int]:
        """The first requests in line that make one run, and their rows."""
        if self._waiting_rows <= self._max_rows:
            tickets, rows = self._waiting, self._waiting_rows
            self._waiting, self._waiting_rows = [], 0
            return tickets, rows
        count = rows = 0
        for ticket in self._waiting:
            if count and rows + ticket.rows > self._max_rows:
                break
            rows += ticket.rows
            count += 1
        tickets, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_rows -= rows
        return tickets, rows

    def _outcomes(self, tickets: list[_Ticket]) -> list[Answer | Exception]:
        """The answer or the error of each ticket, in their order."""
        started = perf_counter()
        try:
            return self._answers(tickets)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised again to who asked
            if len(tickets) == 1:
                return [error]
            return [outcome for ticket in tickets for outcome in self._outcomes([ticket])]
        finally:
            self._is_slow = perf_counter() - started > self._slow_seconds

    def _answers(self, tickets: list[_Ticket]) -> list[Answer | Exception]:
        first = tickets[0].packed
        if len(tickets) == 1:
            packed = first
        else:
            packed = {name: np.concatenate([ticket.packed[name] for ticket in tickets]) for name in first}
        batch = Batch(self._run(packed))
        answers: list[Answer | Exception] = []
        start = 0
        for ticket in tickets:
            answers.append(Answer(batch, start, start + ticket.rows))
            start += ticket.rows
        for name, array in batch.arrays.items():
            if len(array) != start:
                raise RuntimeError(f"the model answered {len(array)} rows of {name!r} for {start} rows")
        return answers
