"""What a server counts."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from afterfit.serving._board import Board, add_up, exposition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from afterfit.errors import CellError
    from afterfit.serving._batching import Ticket
    from afterfit.serving._board import Counter, Histogram, Series
    from afterfit.serving._exchange import Route, Scope

SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0)

DESCRIPTIONS = {
    "afterfit_batch_requests": "Requests that shared one run of the model.",
    "afterfit_batch_rows": "Rows of one run of the model.",
    "afterfit_invalid_values_total": "Values that did not fit the schema, by column.",
    "afterfit_key_compared_rows_total": "Rows of the holder of a key that were compared with the row before.",
    "afterfit_key_invalid_rows_total": "Rows of the holder of a key that did not fit the schema.",
    "afterfit_key_limited_total": "Requests of the holder of a key that a limit held back.",
    "afterfit_key_requests_total": "Requests of the holder of a key.",
    "afterfit_key_rows_total": "Rows of the holder of a key that fitted the schema.",
    "afterfit_key_steps_total": "Compared rows that differed from the row before in one column alone.",
    "afterfit_memory_bytes": "Resident memory of the workers; at its peak, where the system tells no more.",
    "afterfit_model_info": "The versions that are served.",
    "afterfit_refused_total": "Requests that were not let in, by reason.",
    "afterfit_request_seconds": "Time from the head of a request to the end of its answer.",
    "afterfit_requests_total": "Requests by route and status; 499: the client left before it was answered.",
    "afterfit_rows_total": "Rows answered.",
    "afterfit_shed_total": "Requests refused unrun because too much waited or their time had run out.",
    "afterfit_shed_bodies_total": "Requests refused because the long bodies in memory were too many already.",
    "afterfit_stage_seconds": "Time a request spends being decoded, waiting, running and being written.",
    "afterfit_start_time_seconds": "When the workers started, in seconds since 1970, added up.",
    "afterfit_unusual_values_total": "Values that no training row had, by column.",
    "afterfit_waiting_rows": "Rows that wait for the model.",
    "afterfit_workers": "Workers that are running.",
}

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096

UNKNOWN = "(unknown)"
"""The label of a path that is no route, and of a mistake that is in no column of the schema."""


class ModelMeter:
    """What one version of a model counts, in one worker."""

    def __init__(self, board: Board, model: str, version: str, columns: Iterable[str]) -> None:
        self._board = board
        self._labels = {"model": model, "version": version}
        self._columns = frozenset(columns)
        self._lock = threading.Lock()
        self._rows = board.counter("afterfit_rows_total", **self._labels)
        self._shed = board.counter("afterfit_shed_total", **self._labels)
        self._batch_rows = board.histogram("afterfit_batch_rows", SIZES, **self._labels)
        self._batch_requests = board.histogram("afterfit_batch_requests", SIZES, **self._labels)
        self._run = board.histogram("afterfit_stage_seconds", SECONDS, stage="run", **self._labels)
        self._wait = board.histogram("afterfit_stage_seconds", SECONDS, stage="wait", **self._labels)
        self._decode = board.histogram("afterfit_stage_seconds", SECONDS, stage="decode", **self._labels)
        self.write = board.histogram("afterfit_stage_seconds", SECONDS, stage="write", **self._labels)
        self.waiting = board.gauge("afterfit_waiting_rows", **self._labels)
        self.served = board.gauge("afterfit_model_info", **self._labels)

    def ran(self, tickets: Sequence[Ticket], rows: int, started: float, seconds: float) -> None:
        """Count a run of the tickets' rows, which began at `started` on the clock of `perf_counter`."""
        self._rows.add(rows)
        self._batch_rows.observe(rows)
        self._batch_requests.observe(len(tickets))
        self._run.observe(seconds)
        self._wait.observe_all([started - ticket.submitted for ticket in tickets])
        self._decode.observe_all([ticket.decoding for ticket in tickets])

    def shed(self) -> None:
        """Count a request that was refused unrun."""
        self._shed.add()

    def invalid(self, errors: Iterable[CellError]) -> None:
        """Count mistakes by their columns."""
        self._count("afterfit_invalid_values_total", (error.column for error in errors))

    def unusual(self, columns: Iterable[str | None]) -> None:
        """Count unusual values, given the column of each."""
        self._count("afterfit_unusual_values_total", columns)

    def _count(self, name: str, columns: Iterable[str | None]) -> None:
        # Long requests are read and written beside the event loop, and may count here at the same moment.
        with self._lock:
            for found in columns:
                column = found if found in self._columns else UNKNOWN
                self._board.counter(name, column=column or UNKNOWN, **self._labels).add()


class ServerMeter:
    """What one worker counts of all its requests; an `Observer` of the HTTP layer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.board = Board(folder)
        self._answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.board.gauge("afterfit_workers").set(1)
        self.board.gauge("afterfit_start_time_seconds").set(time.time())
        self._memory = self.board.gauge("afterfit_memory_bytes")
        self.full = self.board.counter("afterfit_shed_bodies_total")

    def model(self, model: str, version: str, columns: Iterable[str]) -> ModelMeter:
        """The meter of one version of a model."""
        return ModelMeter(self.board, model, version, columns)

    def observe(self, scope: Scope, route: Route | None, status: int, seconds: float, sent: int) -> None:  # noqa: ARG002 - an observer is told
        """Count an answer."""
        key = (UNKNOWN, UNKNOWN, status) if route is None else (scope["method"], route.path, status)
        series = self._answered.get(key)
        if series is None:
            method, path, _ = key
            series = self._answered[key] = (
                self.board.counter("afterfit_requests_total", method=method, route=path, status=str(status)),
                self.board.histogram("afterfit_request_seconds", SECONDS, route=path),
            )
        series[0].add()
        series[1].observe(seconds)

    def refresh(self) -> None:
        """Bring the gauges of this worker up to date."""
        self._memory.set(_resident_bytes())

    def series(self) -> list[Series]:
        """What all workers counted."""
        return add_up(self._folder)

    def exposition(self) -> bytes:
        """What all workers counted, in the Prometheus text format."""
        return exposition(self.series(), DESCRIPTIONS)


def _resident_bytes() -> int:
    """Resident memory of this process; at its peak, where the system tells no more, and 0 where not even that."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_bytes().split()[1]) * PAGE_BYTES
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
