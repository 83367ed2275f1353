"""The one place where ONNX Runtime is called."""

from __future__ import annotations

import math
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.bundle import GraphOutline
from afterfit.errors import ArgumentError, BundleError, CellError, SchemaError
from afterfit.runtime._terms import TextInputs
from afterfit.schema import groups_by_size, is_ragged, take_group

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from afterfit.schema import Analyzer, Column, Packed

CHUNK_ROWS = 2048
"""Rows in one call of ONNX Runtime: enough to amortise the call, few enough that intermediates stay in cache."""

CHUNK_BYTES = 1 << 24
"""Bytes of the inputs of one call, where that is fewer rows: images and long sequences."""

SMALL_GRAPH = 1 << 20
"""Bytes of a graph of which a second session costs little, for calls that ask for a part of its outputs."""


CPU_QUOTA = "/sys/fs/cgroup/cpu.max"
"""Where Linux tells a container how much of the processors is its own."""


def available_cores() -> int:
    """The number of cores this process may use: those it may run on, or fewer where a container's quota is less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path(CPU_QUOTA).read_text(encoding="ascii").split()
        return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores


class GraphSession:
    """A graph ready to run, on at most `threads` threads.

    Rows are independent, so large inputs are cut into chunks of `CHUNK_ROWS` that run side by side, each on one
    thread: that scales better than threads inside operators, and leaves nothing spinning afterwards. `analyzed`:
    the columns of text that reach the graph as terms; chunks are then as small as their terms demand.

    ONNX Runtime computes every output whichever are asked for, so a part of the outputs of a small graph gets a session
    of its own, made at the first such call. What is an input unchanged, or the same for every row, is not run at all.

    Raises `BundleError` where this version of ONNX Runtime refuses the graph.
    """

    def __init__(
        self,
        graph: bytes,
        threads: int | None = None,
        *,
        analyzed: Sequence[tuple[Column, Analyzer]] = (),
    ) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        self._refusals = (
            state.Fail,
            state.InvalidArgument,
            state.InvalidGraph,
            state.InvalidProtobuf,
            state.NotImplemented,
            state.RuntimeException,
        )

        try:
            self._session = _open(graph)
        except self._refusals as error:
            raise BundleError(f"ONNX Runtime {onnxruntime.__version__} refuses the graph: {error}") from error
        self.outputs: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())
        shapes = [node.shape[1:] for node in self._session.get_inputs()]
        # Where every size is known, the rows of one call need not be asked for theirs; 0 where one is open.
        fixed = all(isinstance(size, int) for shape in shapes for size in shape)
        self._rows_of_a_call = _rows_of_a_call(8 * sum(map(math.prod, shapes))) if fixed else 0
        self.threads = threads or available_cores()
        self._pool: ThreadPoolExecutor | None = None
        self._texts = TextInputs(analyzed, CHUNK_ROWS) if analyzed else None
        outline = GraphOutline.of(graph)
        self._copies = outline.copies() if fixed else {}
        self._same = outline.same_for_every_row() if fixed else frozenset()
        self._first_rows: dict[str, np.ndarray[Any, Any]] = {}
        self._outline = outline if len(self.outputs) > 1 and len(graph) <= SMALL_GRAPH else None
        self._parts: dict[tuple[str, ...], Any] = {}

    def run(self, packed: Packed, outputs: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
        """Run the graph on packed inputs; the named outputs, rows in the order given.

        Rows whose open sizes differ cannot be in one run: those that agree run together.
        """
        if (self._copies or self._same) and len(outputs) == 1:
            known = self._without_running(packed, outputs[0])
            if known is not None:
                return {outputs[0]: known}
        names = list(outputs)
        session = self._session_of(names)
        if self._rows_of_a_call and len(next(iter(packed.values()))) <= self._rows_of_a_call:
            return dict(zip(names, session.run(names, packed), strict=True))
        if any(map(is_ragged, packed.values())):
            return self._run_groups(packed, names)
        order: list[np.ndarray[Any, np.dtype[np.intp]]] = []
        chunks = _cut(packed) if self._texts is None else self._texts.chunks(packed, order)
        parts = self._map(session, names, chunks)
        if order:
            back = np.argsort(np.concatenate(order))
            return {name: np.concatenate([part[i] for part in parts])[back] for i, name in enumerate(names)}
        if len(parts) == 1:
            return dict(zip(names, parts[0], strict=True))
        return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(names)}

    def _without_running(self, packed: Packed, name: str) -> np.ndarray[Any, Any] | None:
        """An output that is an input itself, or that one row has told for all; None where it has to be run."""
        copied = self._copies.get(name)
        if copied is not None:
            return packed[copied]
        if name not in self._same:
            return None
        rows = len(next(iter(packed.values())))
        first = self._first_rows.get(name)
        if first is None:
            if rows == 0:
                return None
            row = {put: values[:1] for put, values in packed.items()}
            first = self._first_rows[name] = self._session.run([name], row)[0]
        return first.repeat(rows, 0)

    def answers_apart(self, name: str) -> bool:
        """Whether an output asked for alone is computed otherwise than together with all others."""
        return name in self._copies or name in self._same or self._session_of([name]) is not self._session

    def _session_of(self, names: list[str]) -> Any:
        """The session that answers with these outputs, and with little else where the graph is small."""
        if self._outline is None or len(names) == len(self.outputs):
            return self._session
        part = self._parts.get(tuple(names))
        if part is None:
            needless = self._outline.needless(names) if names else 0
            part = _open(self._outline.pruned(names)) if needless else self._session
            self._parts[tuple(names)] = part
        return part

    def _run_groups(self, packed: Packed, names: list[str]) -> dict[str, np.ndarray[Any, Any]]:
        answers: dict[str, np.ndarray[Any, Any]] = {}
        rows = len(next(iter(packed.values())))
        if rows == 0:
            raise ArgumentError("there are no rows; give at least one")
        for group in groups_by_size(packed):
            taken = {name: take_group(values, group) for name, values in packed.items()}
            try:
                part = self.run(taken, names)
            except self._refusals as error:
                # Types and fixed sizes were checked before: what is left is a size that an operator does not take.
                sizes = ", ".join(
                    str(list(taken[name].shape[1:])) for name, v in packed.items() if is_ragged(v)
                )
                raise SchemaError(
                    [
                        CellError(
                            int(group[0]),
                            None,
                            "arrays of sizes that the model has an answer for",
                            f"arrays of sizes {sizes}",
                            "send longer ones",
                        )
                    ]
                ) from error
            for name, array in part.items():
                if name not in answers:
                    answers[name] = np.empty((rows, *array.shape[1:]), dtype=array.dtype)
                answers[name][group] = array
        return answers

    def _map(
        self, session: Any, names: list[str], chunks: Iterable[Packed]
    ) -> list[list[np.ndarray[Any, Any]]]:
        """The outputs of each chunk, in order. Few chunks exist at a time, however many there are."""
        parts: list[list[np.ndarray[Any, Any]]] = []
        waiting: deque[Future[list[np.ndarray[Any, Any]]]] = deque()
        chunks = iter(chunks)
        first = next(chunks)
        second = next(chunks, None) if self.threads > 1 else None
        if second is None:
            return [session.run(names, chunk) for chunk in chain([first], chunks)]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="afterfit")
        for chunk in chain([first, second], chunks):
            waiting.append(self._pool.submit(session.run, names, chunk))
            if len(waiting) > self.threads + 1:
                parts.append(waiting.popleft().result())
        return parts + [run.result() for run in waiting]


def _open(graph: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The extended level folds a scalar division into the float32 `alpha` of a FusedMatMul: 4e-9 off in float64.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without the fallback, which would print to standard output and try the same provider again.
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"], enable_fallback=0)


def _cut(packed: Packed) -> Iterator[Packed]:
    """The rows in chunks of `CHUNK_ROWS`, or of `CHUNK_BYTES`; at least one, even of no rows."""
    rows = next(iter(packed.values())).shape[0]
    size = _rows_of_a_call(sum(array.itemsize * math.prod(array.shape[1:]) for array in packed.values()))
    if rows <= size:
        yield packed
        return
    for start in range(0, rows, size):
        yield {name: array[start : start + size] for name, array in packed.items()}


def _rows_of_a_call(row: int) -> int:
    """How many rows of `row` bytes each make one call."""
    return min(CHUNK_ROWS, max(1, CHUNK_BYTES // max(row, 1)))
