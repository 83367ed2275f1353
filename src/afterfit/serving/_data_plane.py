"""What every contract does with rows, without a word of HTTP: validate, join, run, shape the answer."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, TypeVar, TypeVarTuple

from afterfit.errors import ArgumentError, CellError, OverloadedError, SchemaError, TooManyRowsError
from afterfit.schema import UnpackedRows, UnusualValues
from afterfit.serving._batching import Batcher
from afterfit.serving._callers import CALLER
from afterfit.serving._cost import RunCost
from afterfit.serving._trace import current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np

    from afterfit.runtime import Model
    from afterfit.schema import Packed
    from afterfit.serving._batching import Batch, Ticket
    from afterfit.serving._meters import ModelMeter, ServerMeter

_T = TypeVar("_T")
_Given = TypeVarTuple("_Given")

INLINE_BODY = 32 * 1024
"""Bytes: a longer body is decoded in a thread, so that other requests do not wait for it."""

INLINE_ROWS = 256
"""Rows: a longer answer is shaped in a thread."""

INLINE_RUN = 1024
"""Rows: a longer run of a model goes to a thread; requests that share a run have no more."""

SLOW_RUN = 0.005
"""Seconds: a run that past ones say takes longer goes to a thread, however few its rows are."""

MAX_NOTICES = 100
"""Warnings of one answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server takes on.

    `max_body`: bytes of one request, also once it is unpacked. `max_rows`: rows of one request. `max_text`:
    characters of one value. `max_waiting_rows`: rows that wait for a model. `max_held_bytes`: bytes of all long
    bodies that are arriving or wait to be decoded. `client_seconds`: how long a client may take to send the head of
    a request, or its body, or to keep a connection without a request.
    """

    max_body: int = 16 * 1024 * 1024
    max_rows: int = 10_000
    max_text: int = 1_000_000
    max_waiting_rows: int = 100_000
    max_held_bytes: int = 128 * 1024 * 1024
    client_seconds: float = 65.0


@dataclass(frozen=True, slots=True)
class Policy:
    """How one server treats the rows it is sent.

    `unusual`: what becomes of values outside what the training rows had: the answer says so in its warnings, or
    they are errors, or nobody looks. `redact`: no answer repeats a value, or an unknown name, that was sent.
    `latency_target`: seconds; who would wait longer is refused at once.
    """

    unusual: Literal["warn", "error", "ignore"] = "warn"
    redact: bool = False
    latency_target: float | None = None


class ServedModel:
    """One version of a model, the queue before it, and what its rows are held to."""

    def __init__(
        self,
        model: Model,
        batcher: Batcher,
        unusual: UnusualValues,
        policy: Policy,
        limits: Limits,
        meter: ModelMeter | None,
    ) -> None:
        self.model = model
        self.batcher = batcher
        self.policy = policy
        self.meter = meter
        self.title = f"{model.name}@{model.version}"
        self._max_rows = limits.max_rows
        self._max_text = limits.max_text
        self._decoder = model.decoder
        self._unusual = unusual

    def decode_json(self, body: bytes) -> Packed:
        """The packed rows of a JSON body. Raises SchemaError for rows that do not fit."""
        packed = self._decoder.decode_json(body, max_rows=self._max_rows)
        # No text is longer than what it is written in.
        if len(body) > self._max_text and "text" in packed:
            self._check_texts(packed["text"])
        return self._check_unusual(packed) if self.policy.unusual == "error" else packed

    def read_json(self, body: bytes) -> Packed | UnpackedRows:
        """As `decode_json`, and packed with the rows of other requests, where that can wait."""
        if self.policy.unusual == "error" or len(body) > min(self._max_text, INLINE_BODY):
            return self.decode_json(body)
        return self._decoder.read_json(body, max_rows=self._max_rows)

    def admit(self, packed: Packed, longest: float = math.inf) -> Packed:
        """Packed rows, unless unusual values are errors here and there are some: SchemaError then.

        Raises SchemaError for texts that are too long, too, and TooManyRowsError where a body that is no JSON held
        more rows than are taken. `longest`: characters that no text has more of.
        """
        rows = row_count(packed)
        if rows > self._max_rows:
            expected, got = f"at most {self._max_rows:,} rows", f"{rows:,} rows"
            raise TooManyRowsError([CellError(None, None, expected, got, "send them in several requests")])
        if longest > self._max_text and "text" in packed:
            self._check_texts(packed["text"])
        return self._check_unusual(packed) if self.policy.unusual == "error" else packed

    def _check_unusual(self, packed: Packed) -> Packed:
        if self._unusual.is_any(packed):
            found = self._unusual.find(packed, MAX_NOTICES + 1)
            raise SchemaError(found[:MAX_NOTICES], truncated=len(found) > MAX_NOTICES)
        return packed

    def _check_texts(self, texts: np.ndarray[Any, Any]) -> None:
        most = self._max_text
        if max(map(len, texts.ravel().tolist()), default=0) <= most:
            return
        names = [column.name for column in self.model.schema.packed("text")]
        errors = [
            CellError(
                row,
                names[place],
                f"a text of at most {most:,} characters",
                f"one of {len(text):,}",
                "send less of it",
            )
            for row, values in enumerate(texts.tolist())
            for place, text in enumerate(values)
            if len(text) > most
        ]
        if errors:
            raise SchemaError(errors[:MAX_NOTICES], truncated=len(errors) > MAX_NOTICES)

    def charge(self, given: Packed | UnpackedRows) -> Packed | UnpackedRows:
        """Tell who asks, where callers are told apart; the rows again, packed where that was needed.

        Raises LimitExceededError for more rows than the caller may send.
        """
        caller = CALLER.get()
        if caller is None:
            return given
        packed = given.pack() if isinstance(given, UnpackedRows) else given
        caller.take(self.title, packed, row_count(packed))
        return packed

    def submit(
        self, given: Packed | UnpackedRows, deadline: float = math.inf, *, decoding: float = 0.0
    ) -> Ticket:
        """Line rows up for the next run; `decoding` seconds went into them.

        Must be called on the event loop. Raises OverloadedError where too much waits.
        """
        return self.batcher.submit(given, row_count(given), deadline, decoding=decoding)

    def find_unusual(self, packed: Packed) -> list[CellError]:
        """What of the rows is unusual, as warnings: by row and column, the first `MAX_NOTICES`."""
        if self.policy.unusual == "ignore":
            return []
        found = self._unusual.find(packed, MAX_NOTICES)
        if self.meter is not None:
            self.meter.unusual(error.column for error in found)
        return self.explain(found)

    def count_unusual(self, packed: Packed) -> int:
        """How many warnings `find_unusual` has, in less time."""
        if self.policy.unusual == "ignore":
            return 0
        found = self._unusual.columns(packed, MAX_NOTICES)
        if self.meter is not None:
            self.meter.unusual(found)
        return len(found)

    def explain_invalid(self, error: SchemaError) -> list[CellError]:
        """The mistakes of rows that do not fit, counted, in the words that this server may answer with."""
        caller = CALLER.get()
        if caller is not None:
            caller.invalid(len({one.row for one in error.errors}))
        if self.meter is not None:
            self.meter.invalid(error.errors)
        return self.explain(error.errors)

    def explain(self, errors: Iterable[CellError]) -> list[CellError]:
        """Mistakes in the words that this server may answer with: without any value, where it redacts."""
        if not self.policy.redact:
            return list(errors)
        known = {column.name for column in self.model.schema.columns}
        return [
            CellError(
                error.row,
                error.column if error.column in known else None,
                error.expected,
                "a value that is not shown",
                "compare it with what is expected",
            )
            for error in errors
        ]


def _timed(work: Callable[[*_Given], _T], *given: *_Given) -> tuple[_T, float]:
    """What `work` returns for what it is given, and the seconds it took."""
    started = perf_counter()
    result = work(*given)
    return result, perf_counter() - started


def row_count(given: Packed | UnpackedRows) -> int:
    """How many rows there are."""
    return len(given) if isinstance(given, UnpackedRows) else len(next(iter(given.values())))


class DataPlane:
    """Models by name and version, answering rows.

    Must be used from one event loop. A request that fails (SchemaError, OverloadedError) changes nothing for
    the others; nothing is remembered between requests. Of several versions of one name the last is the one that
    answers where no version is named. `arriving`: the tasks of requests whose body is awaited, and since when; kept by
    who receives them.
    """

    def __init__(
        self,
        models: Iterable[Model],
        limits: Limits | None = None,
        policy: Policy | None = None,
        meter: ServerMeter | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.policy = policy or Policy()
        self.meter = meter
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="afterfit")
        self._held_bytes = 0
        self.arriving: dict[asyncio.Task[Any], float] = {}
        self.versions: Mapping[str, Mapping[str, ServedModel]] = {}
        self.models: Mapping[str, ServedModel] = {}
        self.replace(models)

    def replace(self, models: Iterable[Model]) -> None:
        """Serve these models from now on.

        Requests under way are answered by the model they came for. A version that was served before keeps its
        queue. Raises ArgumentError where one version is given twice; nothing is changed then.
        """
        versions: dict[str, dict[str, ServedModel]] = {}
        for model in models:
            of_name = versions.setdefault(model.name, {})
            if model.version in of_name:
                raise ArgumentError(f"version {model.version} of {model.name!r} is given twice; give it once")
            served = self.versions.get(model.name, {}).get(model.version)
            of_name[model.version] = served or self._serve(model)
        for one in self._all():
            if one.meter is not None and one.model.version not in versions.get(one.model.name, {}):
                one.meter.served.set(0)
        self.versions = versions
        self.models = {name: list(of_name.values())[-1] for name, of_name in versions.items()}
        self.refresh_gauges()

    def refresh_gauges(self) -> None:
        """Bring what is shown of the present, rather than counted, up to date."""
        if self.meter is None:
            return
        self.meter.refresh()
        for served in self._all():
            if served.meter is not None:
                served.meter.served.set(1)
                served.meter.waiting.set(served.batcher.waiting_rows)

    def _serve(self, model: Model) -> ServedModel:
        unusual = UnusualValues(model.schema)
        meter = None
        if self.meter is not None:
            names = [column.name for column in model.schema.columns]
            meter = self.meter.model(model.name, model.version, names)
        is_patient = self.policy.latency_target is None
        batcher = Batcher(
            model.run,
            executor=self._executor,
            inspect=unusual.is_any if self.policy.unusual == "warn" else None,
            max_waiting_rows=self.limits.max_waiting_rows,
            # Where answers have to come in time, long runs are cut.
            inline_rows=INLINE_RUN if is_patient else INLINE_ROWS,
            slow_seconds=SLOW_RUN,
            # Of a model that has not run yet, few rows are taken to be fast.
            cost=RunCost(SLOW_RUN / INLINE_ROWS) if is_patient else None,
            latency_target=self.policy.latency_target,
            meter=meter,
            arriving=self.arriving,
        )
        return ServedModel(model, batcher, unusual, self.policy, self.limits, meter)

    def _all(self) -> list[ServedModel]:
        return [served for of_name in self.versions.values() for served in of_name.values()]

    async def answer(
        self,
        served: ServedModel,
        decode: Callable[[], Packed | UnpackedRows],
        shape: Callable[[Batch, Ticket], _T],
        *,
        beside: bool,
        deadline: float = math.inf,
        inline_rows: int = INLINE_ROWS,
    ) -> _T:
        """Answer the rows that `decode` makes of a body, put into a contract's words by `shape`.

        Both must be pure. Whatever would take long is done in a thread, beside the event loop: decoding where `beside`
        says so (more than `INLINE_BODY` bytes of JSON), and shaping more than `inline_rows` rows. Raises SchemaError
        for rows that do not fit, LimitExceededError where the caller may send no more, and OverloadedError where too
        much waits, or where the model's turn comes after `deadline`.
        """
        trace = current.get()
        if trace is not None:
            trace.model = served.title
        if beside:
            given, decoding = await self.in_thread(partial(_timed, decode))
        else:
            started = perf_counter()
            given = decode()
            decoding = perf_counter() - started
        ticket = served.submit(served.charge(given), deadline, decoding=decoding)
        batch = await ticket.answered()
        answered = perf_counter()
        if ticket.rows <= inline_rows:
            answer = shape(batch, ticket)
            writing = perf_counter() - answered
        else:
            answer, writing = await self.in_thread(partial(_timed, shape, batch, ticket))
        if served.meter is not None:
            served.meter.write.observe(writing)
        if trace is not None:
            trace.rows, trace.decoding, trace.writing = ticket.rows, decoding, writing
            trace.model_time = answered - ticket.submitted
        return answer

    async def in_thread(self, work: Callable[[], _T]) -> _T:
        """Do what takes long beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def reserve(self, size: int) -> None:
        """Count `size` bytes of a long body as held. Raises OverloadedError where that is too much.

        A contract calls it while it receives a body, before it keeps the bytes.
        """
        if self._held_bytes and self._held_bytes + size > self.limits.max_held_bytes:
            if self.meter is not None:
                self.meter.full.add()
            raise OverloadedError(f"{self._held_bytes} bytes of long requests are in memory already")
        self._held_bytes += size

    def release(self, size: int) -> None:
        """Take back what `reserve` counted."""
        self._held_bytes -= size

    def close(self) -> None:
        """Stop the thread; requests that wait for it end with OverloadedError."""
        self._executor.shutdown(wait=True, cancel_futures=True)
