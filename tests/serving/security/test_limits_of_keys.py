"""Rates, requests under way and quotas of a key: in each contract's words, and over all workers."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import time

import pytest

from afterfit.errors import LimitExceededError
from afterfit.serving._security import KeyLimits
from afterfit.serving._security._ledger import CAPACITY, Ledger

INFER = json.dumps(
    {
        "inputs": [
            {"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]},
            {"name": "y", "datatype": "FP64", "shape": [1], "data": [3]},
            {"name": "kind", "datatype": "BYTES", "shape": [1], "data": ["a"]},
        ]
    }
).encode()
INSTANCES = json.dumps({"instances": [{"x": 1, "y": 2, "kind": "a"}]}).encode()

CONTRACTS = [
    ("/predict", b'{"rows":[{"x":1,"y":2,"kind":"a"}]}', "detail"),
    ("/v2/models/spy/infer", INFER, "error"),
    ("/invocations", INSTANCES, "message"),
    ("/v1/models/spy:predict", INSTANCES, "error"),
    ("/vertex/predict", INSTANCES, "error"),
]


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""

    class Clock:
        now = 1_000_000.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    monkeypatch.setattr(time, "time", lambda: Clock.now)
    return Clock


@pytest.mark.parametrize(("path", "body", "form"), CONTRACTS)
@pytest.mark.parametrize(
    ("limits", "allowed", "said"),
    [
        ({"requests_per_second": 0.5, "burst": 2}, 2, "may send 0.5 requests a second"),
        ({"requests_per_day": 3}, 3, "may send 3 requests a day"),
        ({"rows_per_day": 4}, 4, "may send 4 rows a day"),
    ],
)
def test_who_asks_too_much_is_told_when_to_come_again(
    guard, keyring, limited_key, clock, path, body, form, limits, allowed, said
):
    key = limited_key(**limits)
    guarded = guard(keys=str(keyring.path))
    answered = [guarded.send("POST", path, body, key) for _ in range(allowed)]
    assert [reply.status for reply in answered] == [200] * allowed, answered[-1].body
    reply = guarded.send("POST", path, body, key)
    assert reply.status == 429
    assert said in reply.json[form]
    wait = int(reply.headers[b"retry-after"])
    assert wait >= 1
    (limit,) = [name for name in limits if name != "burst"]
    assert guarded.count("afterfit_key_limited_total", key="limited", limit=limit) == 1
    assert guarded.send("POST", path, body, keyring.predict).status == 200, "others are not held back"
    clock.now += wait
    assert guarded.send("POST", path, body, key).status == 200


def test_rows_of_one_request_that_pass_the_quota_are_refused_whole_before_they_are_run(
    guard, keyring, limited_key, tools
):
    key = limited_key(rows_per_day=10)
    spy = tools.SpyModel()
    guarded = guard(keys=str(keyring.path), models=[spy])
    many = tools.rows(*[tools.row()] * 8)
    assert guarded.send("POST", "/predict", many, key).status == 200
    reply = guarded.send("POST", "/predict", many, key)
    assert reply.status == 429
    assert "2 of the key's 10 rows" in reply.json["detail"]
    assert sum(spy.runs) == 8
    assert guarded.send("POST", "/predict", tools.rows(tools.row(), tools.row()), key).status == 200


def test_requests_under_way_are_bounded_and_given_back_whatever_becomes_of_them(
    guard, keyring, limited_key, tools
):
    key = limited_key(concurrent=2)
    guarded = guard(keys=str(keyring.path), models=[tools.SpyModel(seconds=0.05)])
    headers = [(b"x-api-key", key.encode())]

    async def together(*bodies):
        return await asyncio.gather(
            *[tools.call(guarded.app, "POST", "/predict", body, headers) for body in bodies]
        )

    good = tools.rows(tools.row())
    for _ in range(3):
        replies = asyncio.run(together(good, good, good))
        assert [reply.status for reply in replies] == [200, 200, 429]
        assert replies[2].headers[b"retry-after"] == b"1"
        # A client that leaves, rows that do not fit, and a run that fails.
        assert asyncio.run(together(None, b"{}"))[0] is None
        assert asyncio.run(together(tools.rows(tools.row(x=-666))))[0].status == 500


def test_a_request_that_is_cancelled_is_not_under_way(guard, keyring, limited_key, tools):
    key = limited_key(concurrent=1)
    guarded = guard(keys=str(keyring.path))

    async def main():
        async def receive():
            return await asyncio.Event().wait()

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/predict",
            "headers": [(b"x-api-key", key.encode())],
        }
        task = asyncio.create_task(guarded.app(scope, receive, None))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert guarded.send("GET", "/models", key=key).status == 200


def test_a_bucket_refills_at_its_rate(tmp_path, clock):
    account = Ledger(tmp_path, 1).account(b"k" * 32, KeyLimits(requests_per_second=10, burst=5))
    assert [account.enter() is None for _ in range(7)] == [True] * 5 + [False] * 2
    clock.now += 0.2001
    assert [account.enter() is None for _ in range(3)] == [True, True, False]
    assert account.enter().seconds == pytest.approx(0.1, abs=0.001)
    clock.now += 1000
    assert [account.enter() is None for _ in range(6)] == [True] * 5 + [False]


def test_a_day_ends_at_midnight_in_utc(tmp_path, clock):
    clock.now = 20_000 * 86_400.0 + 86_390
    account = Ledger(tmp_path, 1).account(b"k" * 32, KeyLimits(requests_per_day=1, rows_per_day=5))
    assert account.enter() is None
    account.take(5)
    assert account.enter() == ("requests_per_day", 10)
    with pytest.raises(LimitExceededError) as caught:
        account.take(1)
    assert (caught.value.limit, caught.value.seconds) == ("rows_per_day", 10)
    clock.now += 10
    assert account.enter() is None
    account.take(5)


def _enter_many(folder, barrier, results):
    account = Ledger(folder, 3).account(
        b"k" * 32, KeyLimits(requests_per_day=1000, requests_per_second=1e-6, burst=700)
    )
    barrier.wait()
    results.put(sum(account.enter() is None for _ in range(500)))


def test_workers_count_together(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    workers = [context.Process(target=_enter_many, args=(tmp_path, barrier, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    counts = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sum(counts) == 700, counts


def _hold(folder, ready):
    account = Ledger(folder, 2).account(b"k" * 32, KeyLimits(concurrent=2))
    account.enter()
    account.enter()
    ready.set()
    time.sleep(600)


def test_what_a_killed_worker_had_under_way_is_forgotten(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    worker = context.Process(target=_hold, args=(tmp_path, ready))
    worker.start()
    assert ready.wait(60)
    account = Ledger(tmp_path, 2).account(b"k" * 32, KeyLimits(concurrent=2))
    assert account.enter() == ("concurrent", 1.0)
    worker.kill()
    worker.join()
    assert account.enter() is None
    account.leave()


def test_a_key_whose_limits_change_keeps_what_it_used(tmp_path):
    ledger = Ledger(tmp_path, 1)
    first = ledger.account(b"k" * 32, KeyLimits(concurrent=2, requests_per_day=3))
    assert first.enter() is None
    second = ledger.account(b"k" * 32, KeyLimits(concurrent=1, requests_per_day=5))
    assert second.enter() == ("concurrent", 1.0)
    first.leave()
    assert second.enter() is None
    second.leave()
    assert [second.enter() for _ in range(1)] == [None]
    other = ledger.account(b"o" * 32, KeyLimits(concurrent=1))
    assert other.enter() is None


def test_more_keys_than_there_is_room_for_are_refused(tmp_path):
    ledger = Ledger(tmp_path, 1)
    for number in range(CAPACITY):
        ledger.account(number.to_bytes(4, "little") + os.urandom(28), KeyLimits(concurrent=1))
    with pytest.raises(ValueError, match="start it anew"):
        ledger.account(b"k" * 32, KeyLimits(concurrent=1))
    ledger.close()
