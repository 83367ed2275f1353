from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterfit.errors import OverloadedError
from afterfit.serving._batching import GATHERING_TURNS, Batcher
from afterfit.serving._cost import RunCost


class Echo:
    """Answers each number with itself; fails where one is negative."""

    def __init__(self) -> None:
        self.runs: list[list[float]] = []
        self.threads: set[int] = set()

    def __call__(self, packed):
        values = packed["number"][:, 0]
        self.runs.append(values.tolist())
        self.threads.add(threading.get_ident())
        if (values < 0).any():
            raise ValueError(f"negative among {values.tolist()}")
        return {"prediction": values.copy()}


def pack(values) -> dict[str, np.ndarray]:
    return {"number": np.array(values, dtype=np.float64).reshape(-1, 1)}


async def ask(batcher: Batcher, values) -> list[float]:
    ticket = batcher.submit(pack(values), len(values))
    batch = await ticket.answered()
    return batch.arrays["prediction"][ticket.start : ticket.stop].tolist()


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_requests_of_one_turn_share_a_run(executor):
    echo = Echo()

    async def main():
        batcher = Batcher(echo, executor=executor)
        return await asyncio.gather(*[ask(batcher, [i]) for i in range(20)])

    assert asyncio.run(main()) == [[i] for i in range(20)]
    assert echo.runs == [list(range(20))]


def test_a_lone_request_waits_for_nobody(executor):
    echo = Echo()

    async def main():
        batcher = Batcher(echo, executor=executor)
        for value in (1, 2, 3):
            assert await ask(batcher, [value]) == [value]

    asyncio.run(main())
    assert echo.runs == [[1], [2], [3]]


@pytest.mark.parametrize(("is_told", "runs"), [(True, [[0, 1]]), (False, [[0], [1]])])
def test_a_run_is_put_off_for_requests_that_have_begun(executor, is_told, runs):
    """`is_told`: whether the batcher is told of the second request when that begins, a turn before it asks."""
    echo = Echo()
    arriving = set()

    async def second(batcher):
        await asyncio.sleep(0)
        arriving.clear()
        return await ask(batcher, [1])

    async def main():
        batcher = Batcher(echo, executor=executor, arriving=arriving)
        if is_told:
            arriving.add("second")
        return await asyncio.gather(ask(batcher, [0]), second(batcher))

    assert asyncio.run(main()) == [[0], [1]]
    assert echo.runs == runs


@pytest.mark.parametrize(("others", "turns"), [(0, 1), (1, 2), (9, GATHERING_TURNS)])
def test_a_run_is_put_off_only_while_each_turn_brings_it_more(executor, others, turns):
    """One request never arrives; `others` ask in one turn each."""
    echo = Echo()

    async def main():
        batcher = Batcher(echo, executor=executor, arriving={"one that never comes"})
        tickets = [batcher.submit(pack([0]), 1)]
        waited = 0
        while tickets[0].batch is None:
            await asyncio.sleep(0)
            waited += 1
            if waited <= others:
                tickets.append(batcher.submit(pack([waited]), 1))
        return waited

    # The flush runs in the first turn, and once more for each turn by which it was put off.
    assert asyncio.run(main()) == 1 + turns
    assert echo.runs[0] == list(range(min(others, turns) + 1))


def test_a_full_run_is_not_put_off(executor):
    echo = Echo()

    async def main():
        batcher = Batcher(echo, executor=executor, max_rows=2, arriving={"another"})
        tickets = [batcher.submit(pack([i]), 1) for i in range(2)]
        await asyncio.sleep(0)
        assert [ticket.batch is not None for ticket in tickets] == [True, True]

    asyncio.run(main())


def test_one_bad_request_spoils_only_itself(executor):
    echo = Echo()

    async def main():
        batcher = Batcher(echo, executor=executor)
        return await asyncio.gather(*[ask(batcher, [v]) for v in (1, -2, 3)], return_exceptions=True)

    first, second, third = asyncio.run(main())
    assert (first, third) == ([1], [3])
    assert isinstance(second, ValueError)
    assert str(second) == "negative among [-2.0]"


def test_runs_stay_within_max_rows_unless_one_request_is_larger(executor):
    echo = Echo()

    async def main():
        batcher = Batcher(echo, executor=executor, max_rows=5)
        sizes = [2, 2, 2, 7, 5, 1]
        return await asyncio.gather(*[ask(batcher, [size] * size) for size in sizes])

    assert asyncio.run(main()) == [[2, 2], [2, 2], [2, 2], [7] * 7, [5] * 5, [1]]
    assert [len(run) for run in echo.runs] == [4, 2, 7, 5, 1]


def test_more_waiting_rows_than_allowed_are_refused_and_the_rest_is_answered(executor):
    async def main():
        batcher = Batcher(Echo(), executor=executor, max_waiting_rows=3)
        outcomes = await asyncio.gather(*[ask(batcher, [i]) for i in range(5)], return_exceptions=True)
        assert outcomes[:3] == [[0], [1], [2]]
        assert all(isinstance(outcome, OverloadedError) for outcome in outcomes[3:])
        assert batcher.waiting_rows == 0
        assert await ask(batcher, [9]) == [9]

    asyncio.run(main())


def test_long_runs_leave_the_loop_free_and_gather_what_comes_meanwhile(executor):
    started, gate = threading.Event(), threading.Event()
    echo = Echo()

    def run(packed):
        if len(packed["number"]) > 4:
            started.set()
            assert gate.wait(10)
        return echo(packed)

    async def main():
        batcher = Batcher(run, executor=executor, inline_rows=4)
        long = asyncio.create_task(ask(batcher, range(10)))
        assert await asyncio.to_thread(started.wait, 10)
        short = [asyncio.create_task(ask(batcher, [i])) for i in range(3)]
        await asyncio.sleep(0)
        assert not long.done()
        gate.set()
        assert await long == list(range(10))
        assert await asyncio.gather(*short) == [[0], [1], [2]]

    asyncio.run(main())
    assert echo.runs == [list(range(10)), [0, 1, 2]]
    assert len(echo.threads) == 2


def test_a_slow_model_moves_to_the_thread(executor):
    echo = Echo()

    async def main():
        batcher = Batcher(echo, executor=executor, slow_seconds=0.0)
        for value in (1, 2):
            assert await ask(batcher, [value]) == [value]

    asyncio.run(main())
    assert threading.get_ident() in echo.threads
    assert len(echo.threads) == 2


def test_a_model_that_loses_rows_is_found_out(executor):
    async def main():
        batcher = Batcher(lambda packed: {"prediction": packed["number"][:1, 0]}, executor=executor)
        return await asyncio.gather(ask(batcher, [1, 2]), ask(batcher, [3]), return_exceptions=True)

    lost, whole = asyncio.run(main())
    assert isinstance(lost, RuntimeError)
    assert whole == [3]


def test_a_request_whose_client_left_disturbs_nobody(executor):
    started, gate = threading.Event(), threading.Event()

    def run(packed):
        started.set()
        assert gate.wait(10)
        return {"prediction": packed["number"][:, 0]}

    async def main():
        batcher = Batcher(run, executor=executor, inline_rows=0)
        left = asyncio.create_task(ask(batcher, [1]))
        stayed = asyncio.create_task(ask(batcher, [2]))
        assert await asyncio.to_thread(started.wait, 10)
        left.cancel()
        await asyncio.sleep(0)
        gate.set()
        assert await stayed == [2]
        with pytest.raises(asyncio.CancelledError):
            await left

    asyncio.run(main())


@settings(max_examples=60, deadline=None)
@given(
    requests=st.lists(
        st.tuples(st.integers(0, 4), st.integers(1, 6), st.booleans()), min_size=1, max_size=40
    ),
    max_rows=st.integers(1, 20),
    inline_rows=st.integers(0, 20),
    are_told=st.booleans(),
)
def test_every_request_gets_its_own_rows_whatever_the_order(requests, max_rows, inline_rows, are_told):
    """`requests`: (turns to wait before asking, rows, whether one of them is bad).

    `are_told`: whether the batcher is told of those that have begun and not asked yet.
    """
    echo = Echo()
    arriving = set()

    async def one(batcher, number, turns, size, is_bad):
        if are_told:
            arriving.add(number)
        for _ in range(turns):
            await asyncio.sleep(0)
        arriving.discard(number)
        values = [number * 100 + i for i in range(size)]
        return await ask(batcher, [*values[:-1], -1 - number] if is_bad else values)

    async def main():
        with ThreadPoolExecutor(1) as pool:
            batcher = Batcher(
                echo, executor=pool, max_rows=max_rows, inline_rows=inline_rows, arriving=arriving
            )
            return await asyncio.gather(
                *[one(batcher, number, *request) for number, request in enumerate(requests)],
                return_exceptions=True,
            )

    for number, (outcome, (_, size, is_bad)) in enumerate(zip(asyncio.run(main()), requests, strict=True)):
        if is_bad:
            assert isinstance(outcome, ValueError)
            assert f"{-1.0 - number}]" in str(outcome)
        else:
            assert outcome == [number * 100 + i for i in range(size)]


def test_who_would_wait_longer_than_the_target_is_refused_at_once(executor):
    echo = Echo()

    async def main():
        batcher = Batcher(echo, executor=executor, latency_target=0.5)
        for rows, seconds in ((1, 0.1), (10, 1.0), (5, 0.5)):
            batcher.cost.record(rows, seconds)
        first = asyncio.ensure_future(ask(batcher, [1, 2]))
        await asyncio.sleep(0)
        assert batcher.waiting_rows == 2
        with pytest.raises(OverloadedError, match=r"more than 0\.5 seconds"):
            batcher.submit(pack([3, 4, 5, 6]), 4)
        second = batcher.submit(pack([7]), 1)
        return await first, (await second.answered()).arrays["prediction"][second.start]

    assert asyncio.run(main()) == ([1, 2], 7)


def test_runs_are_kept_short_enough_for_the_target(executor):
    echo = Echo()

    async def main():
        batcher = Batcher(echo, executor=executor, latency_target=102.0, inline_rows=4)
        for rows in (1, 10):
            batcher.cost.record(rows, rows * 10.0)
        return await asyncio.gather(*[ask(batcher, [i]) for i in range(9)])

    assert asyncio.run(main()) == [[i] for i in range(9)]
    assert len(echo.runs[0]) == 5


def test_the_cost_of_runs_is_learned():
    cost = RunCost()
    assert cost.estimate(100) == 0
    assert RunCost(0.001).estimate(100) == pytest.approx(0.1)
    cost.record(10, 0.2)
    assert cost.estimate(5) == pytest.approx(0.2)
    assert cost.estimate(20) == pytest.approx(0.4)
    for rows in (1, 50, 200, 3):
        cost.record(rows, 0.1 + 0.01 * rows)
    for rows in (1, 10, 1000):
        assert cost.estimate(rows) == pytest.approx(0.1 + 0.01 * rows)
    assert cost.rows_within(0.6, 1000) == 50
    assert cost.rows_within(0.0, 1000) == 1
