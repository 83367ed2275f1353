"""A load test finds wrong answers, and nothing else, whatever the server does."""

from __future__ import annotations

import asyncio
import json
import math
import random
import socket
import threading
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

import afterfit
from afterfit.errors import ArgumentError
from afterfit.loadtest import Deck, Pace, Shares, Tally, Target, ask_once, deck_of_models, deck_of_server, run
from afterfit.loadtest import _engine as engine
from afterfit.loadtest._client import MalformedReplyError, Reply, _parse
from afterfit.loadtest._deck import Exchange
from afterfit.loadtest._reference import Answers, Expected

ANSWER = b'{"version":"v","predictions":[1.5]}'


def http(body: bytes, status: int = 200, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d Said" % status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", b""]) + body


@contextmanager
def scripted(answer):
    """A server that answers the n-th request with `answer(n, request)`; None cuts the connection, b"" is silence."""
    loop = asyncio.new_event_loop()
    seen: list[bytes] = []

    async def serve(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(x[15:]) for x in head.split(b"\r\n") if x.startswith(b"content-length:")), 0
                )
                seen.append(head + await reader.readexactly(length))
                said = answer(len(seen), seen[-1])
                if said is None:
                    writer.transport.abort()
                    return
                writer.write(said)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield Target("127.0.0.1", port), seen
    finally:

        async def end():
            server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


def deck(target, answers=None, **options):
    expected = Expected({"v": answers or Answers({"predictions": [1.5]}, {"predictions": 1.5}, 1e-12)})
    return Deck([Exchange("golden", target.request("POST", "/predict", b"{}"), 1, expected, **options)])


def test_right_answers_are_counted_and_no_more_are_asked_for_than_wanted():
    with scripted(lambda n, request: http(ANSWER)) as (target, seen):
        tally = run(target, deck(target), Pace(connections=5, seconds=60, requests=203))
    assert (tally.total, tally.wrong, len(seen), tally.rows) == (203, 0, 203, 203)
    assert tally.versions == {"v": 203}
    assert 0 < tally.percentile(50) <= tally.percentile(99.9) <= tally.slowest


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (http(b'{"version":"v","predictions":[1.6]}'), "row 0: predictions is 1.6, not 1.5"),
        (http(b'{"version":"v","predictions":[1.5,1.5]}'), "predictions has 2, not 1 rows"),
        (http(b'{"version":"w","predictions":[1.5]}'), "version 'w' answered; known are v"),
        (http(b'{"version":"v"}'), "predictions has no, not 1 rows"),
        (http(b"{"), "the answer is no JSON"),
        (http(b"[]"), "the answer is no object"),
        (http(b"oh", 500), "status 500, not 200"),
        (http(b"{}", 422), "status 422, not 200"),
        (b"SSH-2.0-x\r\n\r\n", "which is no HTTP/1.1"),
    ],
)
def test_every_other_answer_is_wrong(said, why):
    with scripted(lambda n, request: said if n == 3 else http(ANSWER)) as (target, _):
        tally = run(target, deck(target), Pace(connections=1, seconds=60, requests=9))
    assert tally.wrong == 1
    assert why in tally.wrong_answers[0].why
    assert tally.report()["wrong_answers"][0]["why"] == tally.wrong_answers[0].why


def test_shedding_and_cut_connections_are_told_apart_from_wrong_answers():
    def answer(n, request):
        return None if n % 5 == 0 else http(b"{}", 503) if n % 5 == 1 else http(ANSWER)

    with scripted(answer) as (target, _):
        tally = run(target, deck(target), Pace(connections=1, seconds=60, requests=20))
    assert (tally.wrong, tally.cut, tally.shed, tally.statuses[200]) == (0, 4, 4, 12)


def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(engine, "PATIENCE", 0.2)
    with scripted(lambda n, request: b"") as (target, _):
        tally = run(target, deck(target), Pace(connections=3, seconds=60, requests=3))
    assert (tally.late, tally.total, tally.cut) == (3, 0, 0)
    assert tally.report()["milliseconds"]["p50"] is None


def test_a_server_that_is_not_there_ends_the_test_in_its_time():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        target = Target("127.0.0.1", held.getsockname()[1])
        tally = run(target, deck(target), Pace(connections=2, seconds=0.3))
        assert tally.total == 0
        assert tally.refused > 0
        with pytest.raises(ArgumentError, match="does not answer"):
            ask_once(target, b"x")


def test_abandoned_requests_are_sent_in_part_and_their_connections_closed():
    with scripted(lambda n, request: http(ANSWER)) as (target, seen):
        whole = deck(target).exchanges[0]
        part = Exchange("abandoned", whole.message[:20], is_abandoned=True)
        tally = run(target, Deck([whole, part]), Pace(connections=2, seconds=60, requests=40))
    assert (tally.total, tally.left, len(seen), tally.wrong) == (20, 20, 20, 0)


def test_a_rate_is_kept_and_times_count_from_when_a_request_was_due():
    gate = threading.Event()

    def answer(n, request):
        if n == 1:
            gate.wait(0.3)
        return http(ANSWER)

    with scripted(answer) as (target, _):
        pace = Pace(connections=1, seconds=60, requests=20, rate=100)
        tally = run(target, deck(target), pace)
    assert tally.total == 20
    assert tally.seconds >= 0.19
    # The second request was due 10 ms after the first, which held it up for 300.
    assert tally.percentile(90) > 0.1


def test_progress_is_told(monkeypatch):
    monkeypatch.setattr(engine, "LOOK_SECONDS", 0.01)
    told: list[int] = []
    with scripted(lambda n, request: http(ANSWER)) as (target, _):
        run(
            target,
            deck(target),
            Pace(connections=1, seconds=60, requests=30, rate=200),
            lambda t: told.append(t.total),
        )
    assert told
    assert told == sorted(told)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_an_answer_is_read_alike_however_it_is_cut(body, cut):
    whole = http(body, 200, b"x: y")
    assert _parse(whole, ended=False) == (Reply(200, body), True)
    cut = min(cut, len(whole) - 1)
    assert _parse(whole[:cut], ended=False) is None


def test_chunked_and_unmeasured_answers_are_read():
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert _parse(chunked, ended=False) == (Reply(200, b"abcde"), True)
    assert all(_parse(chunked[:end], ended=False) is None for end in range(len(chunked)))
    unmeasured = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"
    assert _parse(unmeasured, ended=False) is None
    assert _parse(unmeasured, ended=True) == (Reply(200, b"abc"), False)
    with pytest.raises(MalformedReplyError):
        _parse(b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n", ended=False)


@given(st.lists(st.floats(2e-6, 50), min_size=1, max_size=50))
def test_percentiles_are_right_within_two_percent(times):
    tally = Tally()
    for seconds in times:
        tally.observe(seconds)
    for percent in (50, 99.9):
        exact = sorted(times)[max(1, math.ceil(len(times) * percent / 100)) - 1]
        assert exact * 0.98 <= tally.percentile(percent) <= exact * 1.02


def test_numbers_differ_within_their_tolerance_and_labels_only_in_a_tie():
    answers = Answers(
        {"predictions": ["a"], "probabilities": [[0.5, 0.5 - 1e-13]]}, {"probabilities": 1.0}, 1e-12
    )
    near = {"predictions": ["b"], "classes": ["a", "b"], "probabilities": [[0.5, 0.5]]}
    assert answers.difference(near) is None
    assert answers.difference({**near, "probabilities": [[0.5, 0.5 + 1e-11]]}) is not None
    sure = Answers({"predictions": ["a"], "probabilities": [[0.7, 0.3]]}, {"probabilities": 1.0}, 1e-12)
    assert "predictions" in sure.difference({**near, "probabilities": [[0.7, 0.3]]})
    spelled = Answers({"predictions": [math.nan, math.inf]}, {"predictions": 1.0}, 1e-12)
    assert spelled.difference({"predictions": ["NaN", "Infinity"]}) is None
    assert spelled.difference({"predictions": ["NaN", "-Infinity"]}) is not None


def test_shares_are_kept(toy_model):
    target = Target("127.0.0.1", 1)
    dealt = deck_of_models(target, [toy_model], shares=Shares(0.05, 0.01, 0.01), max_body=2000).exchanges
    kinds = [one.kind.partition(":")[0] for one in dealt]
    for kind, share in (("malformed", 0.05), ("oversized", 0.01), ("abandoned", 0.01)):
        assert kinds.count(kind) / len(dealt) == pytest.approx(share, abs=0.002)
    assert {"golden", "mutated"} <= set(kinds)
    again = deck_of_models(target, [toy_model], shares=Shares(0.05, 0.01, 0.01), max_body=2000).exchanges
    assert [one.message for one in dealt] == [one.message for one in again]
    with pytest.raises(ArgumentError):
        Shares(0.6, 0.6)


def test_mutations_are_new_rows_that_the_model_takes(toy_model):
    from afterfit.loadtest._rows import RowMaker

    golden = [row.input for row in toy_model.bundle.golden]
    maker = RowMaker(toy_model.schema.columns, golden, random.Random(3))
    rows = [maker.mutate() for _ in range(300)]
    assert len(toy_model.predict(rows)) == 300
    assert sum(row not in golden for row in rows) > 250


@pytest.fixture(scope="module")
def toy_model(toy_bundle):
    return afterfit.load(toy_bundle)


@pytest.fixture(scope="module")
def server(toy_bundle):
    from afterfit.loadtest import started_server

    with started_server([toy_bundle], ["--max-body", "10000"]) as (url, _):
        yield Target.parse(url)


def test_a_real_server_answers_everything_right(server, toy_model):
    def ask(message):
        return ask_once(server, message)

    shares = Shares(malformed=0.3, oversized=0.02, abandoned=0.02)
    for made in (
        deck_of_models(server, [toy_model], shares=shares, rows=3, max_body=10_000, ask=ask),
        deck_of_server(server, ask, shares=shares, max_body=10_000),
    ):
        tally = run(server, made, Pace(connections=8, seconds=60, requests=len(made.exchanges)))
        assert tally.wrong_answers == []
        assert tally.statuses.keys() >= {200, 400, 404, 405, 413, 415, 422}
        assert (tally.cut, tally.refused, tally.late) == (0, 0, 0)


def test_a_real_server_of_another_model_is_found_out(server, toy_model):
    made = deck_of_models(server, [toy_model])
    for one in made.exchanges:
        known = one.expected.versions[toy_model.version]
        known.values["probabilities"][0][0] += 1e-9
    tally = run(server, made, Pace(connections=2, seconds=60, requests=50))
    assert tally.wrong == 50


def test_urls_that_lead_nowhere_are_refused():
    for url in ("ftp://x", "http://", "http://x:y", "http://x:99999"):
        with pytest.raises(ArgumentError):
            Target.parse(url)
    target = Target.parse("http://[::1]:80/base/", "secret")
    assert target.url == "http://[::1]:80/base"
    message = target.request("POST", "/predict", b"{}")
    assert message.startswith(
        b"POST /base/predict HTTP/1.1\r\nhost: [::1]:80\r\nauthorization: Bearer secret\r\n"
    )
    assert json.loads(message.partition(b"\r\n\r\n")[2]) == {}
