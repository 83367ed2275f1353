"""What every contract does with rows, without a word of HTTP: validate, join, run, shape the answer."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from afterfit.errors import ArgumentError, OverloadedError
from afterfit.serving._batching import Batcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from afterfit.runtime import Model
    from afterfit.serving._batching import Batch, Ticket

_T = TypeVar("_T")

INLINE_BODY = 32 * 1024
"""Bytes: a longer body is decoded in a thread, so that other requests do not wait for it."""

INLINE_ROWS = 256
"""Rows: a longer answer is shaped in a thread."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server takes on.

    `max_body`: bytes of one request. `max_rows`: rows of one request. `max_waiting_rows`: rows that wait
    for a model. `max_held_bytes`: bytes of all long bodies that are arriving or wait to be decoded.
    """

    max_body: int = 16 * 1024 * 1024
    max_rows: int = 10_000
    max_waiting_rows: int = 100_000
    max_held_bytes: int = 128 * 1024 * 1024


class ServedModel:
    """A model and the queue before it."""

    def __init__(self, model: Model, batcher: Batcher) -> None:
        self.model = model
        self.batcher = batcher
        self.decode_json = model.decoder.decode_json


class DataPlane:
    """Models by name, answering rows.

    Must be used from one event loop. A request that fails (SchemaError, OverloadedError) changes nothing for
    the others; nothing is remembered between requests.
    """

    def __init__(self, models: Iterable[Model], limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="afterfit")
        self._held_bytes = 0
        served: dict[str, ServedModel] = {}
        for model in models:
            if model.name in served:
                other = served[model.name].model
                raise ArgumentError(
                    f"two bundles are called {model.name!r} (versions {other.version} and {model.version}); "
                    "serve one of them, or save one under another name"
                )
            served[model.name] = ServedModel(model, self._batcher(model))
        self.models: Mapping[str, ServedModel] = served

    def _batcher(self, model: Model) -> Batcher:
        return Batcher(
            model.run,
            executor=self._executor,
            max_waiting_rows=self.limits.max_waiting_rows,
            inline_rows=INLINE_ROWS,
        )

    def submit_json(self, served: ServedModel, body: bytes) -> Ticket:
        """Validate the rows of a short JSON body and line them up for the next run.

        Raises SchemaError for rows that do not fit and OverloadedError where too much waits.
        """
        packed = served.decode_json(body, max_rows=self.limits.max_rows)
        return served.batcher.submit(packed, len(next(iter(packed.values()))))

    async def answer_json(
        self, served: ServedModel, body: bytes, shape: Callable[[Batch, int, int], _T]
    ) -> _T:
        """Answer the rows of a JSON body of any length, put into a contract's words by `shape`.

        `shape` must be pure; it is given rows `start` to `stop` of a batch. Whatever would take long is done
        in a thread. Raises SchemaError for rows that do not fit and OverloadedError where too much waits.
        """
        loop = asyncio.get_running_loop()
        decode = partial(served.decode_json, body, max_rows=self.limits.max_rows)
        packed = decode() if len(body) <= INLINE_BODY else await loop.run_in_executor(self._executor, decode)
        rows = len(next(iter(packed.values())))
        ticket = served.batcher.submit(packed, rows)
        batch = await ticket.answered()
        if rows <= INLINE_ROWS:
            return shape(batch, ticket.start, ticket.stop)
        return await loop.run_in_executor(self._executor, shape, batch, ticket.start, ticket.stop)

    def reserve(self, size: int) -> None:
        """Count `size` bytes of a long body as held. Raises OverloadedError where that is too much.

        A contract calls it while it receives a body, before it keeps the bytes.
        """
        if self._held_bytes and self._held_bytes + size > self.limits.max_held_bytes:
            raise OverloadedError(f"{self._held_bytes} bytes of long requests are in memory already")
        self._held_bytes += size

    def release(self, size: int) -> None:
        """Take back what `reserve` counted."""
        self._held_bytes -= size

    def close(self) -> None:
        """Stop the thread; requests that wait for it end with OverloadedError."""
        self._executor.shutdown(wait=True, cancel_futures=True)
