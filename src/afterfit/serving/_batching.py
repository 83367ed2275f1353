"""Requests that arrive together share one run of the model.

Every request that is submitted during one turn of the event loop waits until the turn ends; then their rows
are joined, run once, and handed back to who asked. Where more requests have begun and their rows are not here
yet, the run is put off by a turn or two, so that they share it. Nobody waits for a clock, so a lone request pays
nothing but the end of its own turn. While a slow model runs in its thread, the requests that come in meanwhile
gather and share the next run.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from functools import partial
from time import perf_counter
from types import coroutine
from typing import TYPE_CHECKING, Any

from afterfit.errors import OverloadedError
from afterfit.schema import UnpackedRows, join_rows
from afterfit.serving._cost import RunCost

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator
    from concurrent.futures import Executor

    import numpy as np

    from afterfit.schema import Packed
    from afterfit.serving._meters import ModelMeter

    Arrays = dict[str, np.ndarray[Any, Any]]
    Run = Callable[[Packed], Arrays]
    Inspect = Callable[[Packed], bool]

GATHERING_TURNS = 2
"""Turns of the event loop by which a run is put off while more requests bring it more rows."""


def _let_others_run() -> None:
    """Give the core to the thread that reads requests, where both have only one."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0)


class Batch:
    """What one run of the model answered: `arrays`, output name to array, first axis the rows.

    `unusual`: whether a row that shares the run holds a value the model has not seen. `shaped` is where a
    contract keeps what it made of all rows, once for everyone who shares the run.
    """

    __slots__ = ("arrays", "shaped", "unusual")

    def __init__(self, arrays: Arrays, *, unusual: bool) -> None:
        self.arrays = arrays
        self.unusual = unusual
        self.shaped: dict[object, Any] = {}


class Ticket:
    """One request's place in the queue, and then its answer: rows `start` to `stop` of `batch`.

    `deadline`: the time on `perf_counter`'s clock by which its run must have begun. `decoding`: the seconds that
    its rows took to decode.
    """

    __slots__ = (
        "_batcher", "batch", "deadline", "decoding", "error", "given", "rows", "start", "stop", "submitted", "waiter",
    )  # fmt: skip

    def __init__(
        self, batcher: Batcher, given: Packed | UnpackedRows, rows: int, deadline: float, decoding: float
    ) -> None:
        self._batcher = batcher
        self.given = given
        self.rows = rows
        self.deadline = deadline
        self.decoding = decoding
        self.submitted = perf_counter()
        self.batch: Batch | None = None
        self.error: Exception | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.start = self.stop = 0

    @property
    def packed(self) -> Packed:
        """The rows that were asked about, packed."""
        return self.given.pack() if isinstance(self.given, UnpackedRows) else self.given

    def settle(self, error: Exception | None = None) -> None:
        """Wake who waits; `error` where there is no answer."""
        self.error = error
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def answered(self) -> Batch:
        """Wait for the run that answers this request. Raises what the run raised for it."""
        # The run stands in the loop's queue before the rest of this coroutine does, so for a run on the
        # loop one turn is enough, or one more for each by which it is put off, and no future has to be made.
        await _end_of_turn()
        while self._batcher.is_put_off and self.batch is None and self.error is None:
            await _end_of_turn()
        if self.batch is None and self.error is None:
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter
        if self.batch is None:
            raise self.error or RuntimeError("a request was woken without an answer")
        return self.batch


@coroutine
def _end_of_turn() -> Generator[None, None, None]:
    """What `asyncio.sleep(0)` does, without its checks."""
    yield


class Batcher:
    """Joins the rows of requests into runs of one model.

    `run` maps packed rows to arrays and must treat rows independently; `inspect` tells whether any of the packed
    rows is unusual. `max_rows`: a run takes requests, in the order of arrival, until one more would pass this
    many rows; a single request may be larger. `max_waiting_rows`: where more rows would wait, `OverloadedError`
    is raised, so memory is bounded. `executor`: where runs go that would hold up the event loop: those of more
    than `inline_rows` rows, and those that past runs say will take longer than `slow_seconds`. One run is under
    way at a time.

    `latency_target`, in seconds: a request that would wait longer than that for its answer is refused at once with
    `OverloadedError`, and runs are kept so short that they take half of it at most. A request whose `deadline`
    has passed when its turn comes is refused without being run. `meter` counts runs and refusals. `arriving`: the
    requests that have begun and whose rows are not here yet, kept by who receives them. While there are some, a run is
    put off by a turn of the event loop, at most `GATHERING_TURNS` times and only as long as each turn brings it rows.
    `cost`: what is known of the time that runs take, by default nothing.

    Laws: a request is answered with its own rows, whatever the order of arrival and of answering. If a joint
    run raises, each of its requests is run alone, so that only those at fault see an error.
    """

    def __init__(
        self,
        run: Run,
        *,
        executor: Executor,
        inspect: Inspect | None = None,
        max_rows: int = 1024,
        max_waiting_rows: int = 100_000,
        inline_rows: int = 256,
        slow_seconds: float = 0.02,
        latency_target: float | None = None,
        meter: ModelMeter | None = None,
        arriving: Collection[object] = (),
        cost: RunCost | None = None,
    ) -> None:
        self._run = run
        self._executor = executor
        self._inspect = inspect
        self._max_rows = max_rows
        self._max_waiting_rows = max_waiting_rows
        self._inline_rows = inline_rows
        self._slow_seconds = slow_seconds
        self._latency_target = latency_target
        self._meter = meter
        self._waiting: list[Ticket] = []
        self._waiting_rows = 0
        self._earliest_deadline = math.inf
        self._is_busy = False
        self._arriving = arriving
        self._gathered = self._turns = 0
        self.is_put_off = False
        self.cost = cost or RunCost()

    @property
    def waiting_rows(self) -> int:
        """Rows that wait for a run."""
        return self._waiting_rows

    def submit(
        self,
        given: Packed | UnpackedRows,
        rows: int,
        deadline: float = math.inf,
        *,
        decoding: float = 0.0,
    ) -> Ticket:
        """Line `rows` rows up for the next run; `await ticket.answered()` gives what it answers.

        `decoding` seconds went into them.

        Raises OverloadedError where too many rows wait already, or where they would take too long.
        """
        waiting = self._waiting_rows + rows
        if self._waiting:
            if waiting > self._max_waiting_rows:
                raise self._shed(f"{self._waiting_rows} rows wait for the model already")
            if self._latency_target is not None and self.cost.estimate(waiting) > self._latency_target:
                raise self._shed(
                    f"{self._waiting_rows} rows wait already, and an answer would take more than "
                    f"{self._latency_target:g} seconds"
                )
        self._waiting_rows = waiting
        ticket = Ticket(self, given, rows, deadline, decoding)
        self._earliest_deadline = min(self._earliest_deadline, deadline)
        self._waiting.append(ticket)
        if not self._is_busy:
            self._is_busy = True
            asyncio.get_running_loop().call_soon(self._flush)
        return ticket

    def _shed(self, reason: str) -> OverloadedError:
        if self._meter is not None:
            self._meter.shed()
        return OverloadedError(reason)

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        self.is_put_off = self._has_more_to_come()
        if self.is_put_off:
            loop.call_soon(self._flush)
            return
        if self._earliest_deadline < math.inf:
            self._drop_late(perf_counter())
        tickets, rows = self._take()
        if not tickets:
            self._continue(loop)
            return
        if rows > self._inline_rows or self.cost.estimate(rows) > self._slow_seconds:
            run = loop.run_in_executor(self._executor, self._answer, tickets)
            run.add_done_callback(partial(self._finish, loop, tickets))
            return
        errors = self._answer(tickets)
        for ticket in tickets:
            if ticket.waiter is not None or errors:
                ticket.settle(errors.get(ticket))
        self._continue(loop)

    def _has_more_to_come(self) -> bool:
        """Whether rows are about to join those that wait, for which the run is put off by a turn."""
        if (
            self._arriving
            and self._turns < GATHERING_TURNS
            and self._gathered < self._waiting_rows < self._max_rows
        ):
            self._gathered = self._waiting_rows
            self._turns += 1
            _let_others_run()
            return True
        self._gathered = self._turns = 0
        return False

    def _drop_late(self, now: float) -> None:
        """Refuse the waiting requests whose time has run out."""
        late = [ticket for ticket in self._waiting if ticket.deadline < now]
        if late:
            self._waiting = [ticket for ticket in self._waiting if ticket.deadline >= now]
            self._waiting_rows -= sum(ticket.rows for ticket in late)
            for ticket in late:
                ticket.settle(self._shed("the time that the request allowed ran out before its turn came"))
        self._earliest_deadline = min((ticket.deadline for ticket in self._waiting), default=math.inf)

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        tickets: list[Ticket],
        run: asyncio.Future[dict[Ticket, Exception]],
    ) -> None:
        if run.cancelled():
            errors: dict[Ticket, Exception] = dict.fromkeys(
                tickets, OverloadedError("the server is stopping")
            )
        else:
            errors = run.result()
        for ticket in tickets:
            ticket.settle(errors.get(ticket))
        self._continue(loop)

    def _continue(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_busy = bool(self._waiting)
        if self._is_busy:
            loop.call_soon(self._flush)

    def _take(self) -> tuple[list[Ticket], int]:
        """The first requests in line that make one run, and their rows."""
        most = self._max_rows
        if self._latency_target is not None and self._waiting_rows > self._inline_rows:
            most = self.cost.rows_within(self._latency_target / 2, most)
        if self._waiting_rows <= most:
            tickets, rows = self._waiting, self._waiting_rows
            self._waiting, self._waiting_rows = [], 0
            return tickets, rows
        count = rows = 0
        for ticket in self._waiting:
            if count and rows + ticket.rows > most:
                break
            rows += ticket.rows
            count += 1
        tickets, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_rows -= rows
        return tickets, rows

    def _answer(self, tickets: list[Ticket]) -> dict[Ticket, Exception]:
        """Give each ticket its rows of a run; the errors of those that have none."""
        started = perf_counter()
        try:
            self._answer_joined(tickets)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised again to who asked
            if len(tickets) == 1:
                return {tickets[0]: error}
            errors: dict[Ticket, Exception] = {}
            for ticket in tickets:
                errors |= self._answer([ticket])
            return errors
        seconds = perf_counter() - started
        rows = sum([ticket.rows for ticket in tickets])
        self.cost.record(rows, seconds)
        if self._meter is not None:
            self._meter.ran(tickets, rows, started, seconds)
        return {}

    def _answer_joined(self, tickets: list[Ticket]) -> None:
        packed = join_rows([ticket.given for ticket in tickets])
        rows = sum([ticket.rows for ticket in tickets])
        unusual = self._inspect is not None and self._inspect(packed)
        batch = Batch(self._run(packed), unusual=unusual)
        for name, array in batch.arrays.items():
            if len(array) != rows:
                raise RuntimeError(f"the model answered {len(array)} rows of {name!r} for {rows} rows")
        start = 0
        for ticket in tickets:
            ticket.start = start
            ticket.stop = start = start + ticket.rows
            ticket.batch = batch
