"""Deals a deck over many connections, and checks what comes back."""

from __future__ import annotations

import asyncio
import importlib.util
import math
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from afterfit.errors import ArgumentError
from afterfit.loadtest._client import Connection, CutError, MalformedReplyError, connect, tls_context
from afterfit.loadtest._tally import Tally, WrongAnswer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from afterfit.loadtest._client import Reply
    from afterfit.loadtest._deck import Deck, Exchange
    from afterfit.loadtest._target import Target

PATIENCE = 30.0
"""Seconds after which a request without an answer is given up."""

LOOK_SECONDS = 0.25
"""How often progress is told, and requests are looked for that are late."""

RETRY_SECONDS = 0.05
"""A connection that was not taken is tried again after this time."""

SHED = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Pace:
    """How a deck is dealt: to so many `connections`, until `seconds` are over or `requests` were dealt.

    `rate`: requests a second of all connections together; times then count from the moment a request was due,
    so that a slow server cannot hide behind requests that it kept from being sent. None: each connection
    sends as soon as it has its answer.
    """

    connections: int = 32
    seconds: float = 10.0
    requests: int | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.connections < 1 or not 0 < self.seconds < math.inf:
            raise ArgumentError("a load test needs at least one connection, and a time above 0")
        if (self.requests is not None and self.requests < 1) or (self.rate is not None and not self.rate > 0):
            raise ArgumentError("a load test needs at least one request, and a rate above 0")


def run(target: Target, deck: Deck, pace: Pace, on_progress: Callable[[Tally], None] | None = None) -> Tally:
    """Deal the deck; what came back. `on_progress` is shown the tally as it grows, four times a second.

    Ends by itself, within `PATIENCE` of the end of its time. Ctrl-C is raised through, as KeyboardInterrupt.
    """
    engine = _Engine(target, deck.exchanges, pace, on_progress)
    factory = None
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(engine.run())


def ask_once(target: Target, message: bytes) -> Reply:
    """Send one request over a connection of its own. Raises ArgumentError where there is no answer."""

    async def ask() -> Reply:
        async with asyncio.timeout(PATIENCE):
            connection = await connect(target, tls_context(target))
            try:
                return await connection.ask(message)
            finally:
                connection.abort()

    try:
        return asyncio.run(ask())
    except (OSError, CutError, MalformedReplyError) as error:
        reason = "the connection ends without an answer" if isinstance(error, CutError) else error
        if isinstance(error, TimeoutError):
            reason = f"not within {PATIENCE:g} seconds"
        raise ArgumentError(f"{target.url} does not answer: {reason}") from None


class _Engine:
    def __init__(
        self,
        target: Target,
        exchanges: Sequence[Exchange],
        pace: Pace,
        on_progress: Callable[[Tally], None] | None,
    ) -> None:
        self._target = target
        self._exchanges = exchanges
        self._pace = pace
        self._on_progress = on_progress
        self._tally = Tally()
        self._dealt = 0
        self._started = self._end = 0.0
        self._waiting: dict[Connection, float] = {}

    async def run(self) -> Tally:
        context = tls_context(self._target)
        self._started = perf_counter()
        self._end = self._started + self._pace.seconds
        watch = asyncio.create_task(self._watch())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._pace.connections):
                    group.create_task(self._use_connection(context))
        finally:
            watch.cancel()
        self._tally.seconds = perf_counter() - self._started
        return self._tally

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = perf_counter()
            for connection, since in list(self._waiting.items()):
                if now - since > PATIENCE:
                    self._tally.late += 1
                    del self._waiting[connection]
                    connection.abort()
            if self._on_progress is not None:
                self._tally.seconds = now - self._started
                self._on_progress(self._tally)

    async def _use_connection(self, context: ssl.SSLContext | None) -> None:
        connection: Connection | None = None
        try:
            while (dealt := await self._next()) is not None:
                number, due = dealt
                while connection is None or not connection.is_open:
                    connection = await self._connect(context)
                    if connection is None and perf_counter() >= self._end:
                        return
                exchange = self._exchanges[number % len(self._exchanges)]
                if exchange.is_abandoned:
                    connection.send_and_leave(exchange.message)
                    self._tally.left += 1
                    continue
                await self._ask(connection, exchange, due)
        finally:
            if connection is not None:
                connection.abort()

    async def _next(self) -> tuple[int, float] | None:
        """The next request's number, and when it is due (0: at once); None where there is none any more."""
        requests, rate = self._pace.requests, self._pace.rate
        if requests is not None and self._dealt >= requests:
            return None
        now = perf_counter()
        due = now if rate is None else self._started + self._dealt / rate
        if max(due, now) >= self._end:
            return None
        number, self._dealt = self._dealt, self._dealt + 1
        if due > now:
            await asyncio.sleep(due - now)
        return number, due if rate is not None else 0.0

    async def _connect(self, context: ssl.SSLContext | None) -> Connection | None:
        try:
            return await connect(self._target, context)
        except OSError:
            self._tally.refused += 1
            await asyncio.sleep(RETRY_SECONDS)
            return None

    async def _ask(self, connection: Connection, exchange: Exchange, due: float) -> None:
        started = perf_counter()
        self._waiting[connection] = started
        try:
            reply = await connection.ask(exchange.message)
        except CutError:
            if self._waiting.pop(connection, None) is not None:
                self._tally.cut += 1
            return
        except MalformedReplyError as error:
            self._waiting.pop(connection, None)
            self._blame(exchange, 0, b"", str(error))
            return
        del self._waiting[connection]
        self._tally.observe(perf_counter() - (due or started))
        self._check(exchange, reply)

    def _check(self, exchange: Exchange, reply: Reply) -> None:
        tally, status = self._tally, reply.status
        tally.answered[exchange.kind] += 1
        tally.statuses[status] += 1
        if status in SHED:
            tally.shed += 1
        elif status not in exchange.statuses:
            asked = " or ".join(map(str, sorted(exchange.statuses)))
            self._blame(exchange, status, reply.body, f"status {status}, not {asked}")
        elif exchange.expected is not None:
            tally.rows += exchange.rows
            version, why = exchange.expected.check(reply.body)
            if version is not None:
                tally.versions[version] += 1
            if why is not None:
                self._blame(exchange, status, reply.body, why)

    def _blame(self, exchange: Exchange, status: int, body: bytes, why: str) -> None:
        sent = exchange.message.partition(b"\r\n\r\n")[2]
        shown = (part[:500].decode("utf-8", "replace") for part in (sent, body))
        self._tally.blame(WrongAnswer(exchange.kind, next(shown), status, next(shown), why))
