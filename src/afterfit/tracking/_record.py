"""A run as its files tell it, while it goes on or afterwards."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from afterfit.errors import ArgumentError
from afterfit.tracking._log_file import SUFFIX, is_writing
from afterfit.tracking._log_reader import read_log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from afterfit.tracking._log_reader import LogContent

Status = Literal["running", "finished", "failed", "interrupted", "killed"]
_COUNTS = frozenset(["epoch", "iteration", "iter", "round", "step", "global_step"])


@dataclass(frozen=True)
class Series:
    """One metric: `step` and `time` (seconds since 1970), and `value`: float64, int64, bool, or object where mixed."""

    step: np.ndarray
    time: np.ndarray
    value: np.ndarray

    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values as float64 in order of step; NaN where a value is no number."""
        if self.value.dtype == object:
            value = np.array([_number(v) for v in self.value.tolist()], dtype=np.float64)
        else:
            value = self.value.astype(np.float64)
        step = np.array([_number(s) for s in self.step.tolist()]) if self.step.dtype == object else self.step
        step = step.astype(np.float64)
        if (np.diff(step) < 0).any():
            order = np.argsort(step, kind="stable")
            return step[order], value[order]
        return step, value


@dataclass(frozen=True)
class RunRecord:
    """What is on record of a run. `size`: bytes read; `torn`: bytes of them that are the half of a record."""

    id: str
    folder: Path
    name: str
    parent: str | None
    rerun_of: str | None
    status: Status
    started: float
    ended: float | None
    params: dict[str, Any]
    context: dict[str, Any]
    series: dict[str, Series]
    tags: dict[str, Any] = field(default_factory=dict)
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    bundles: list[dict[str, str]] = field(default_factory=list)
    exception: dict[str, str] | None = None
    exit_status: int | None = None
    size: int = 0
    torn: int = 0

    def last_values(self) -> dict[str, Any]:
        """The last value of each metric."""
        return {name: series.value[-1:].tolist()[0] for name, series in self.series.items()}

    def as_history(self) -> dict[str, list[Any]] | None:
        """The metrics that are numbers as columns over all steps, None for a gap: as `afterfit.save` takes a
        history.
        """
        columns: dict[str, dict[float, float]] = {}
        for name, series in self.series.items():
            step, value = series.numbers()
            if name not in _COUNTS and all(_is_number(v) for v in series.value[:1].tolist()):
                columns[name] = dict(zip(step.tolist(), value.tolist(), strict=True))
        steps = sorted({step for column in columns.values() for step in column if math.isfinite(step)})
        if not steps:
            return None
        return {"step": steps, **{name: [column.get(s) for s in steps] for name, column in columns.items()}}


def read_run(folder: Path) -> RunRecord:
    """Read a run from its folder. Raises `ArgumentError` where there is none, or its beginning is not written yet."""
    paths = [folder / name for name in log_names(folder)]
    logs = [read_log(path) for path in paths]
    documents = [document for log in logs for _, document in log.documents]
    begin = next((d for d in documents if d.get("kind") == "begin"), None)
    if begin is None:
        raise ArgumentError(f"{folder} holds no run, or one that has not begun")
    end = next((d for d in documents if d.get("kind") == "end"), None)
    open_ended: Status = "running" if end is None and any(map(is_writing, paths)) else "killed"
    status: Status = open_ended if end is None else end["status"]
    tags: dict[str, Any] = {}
    for document in documents:
        tags |= document.get("tags", {}) if document.get("kind") == "tags" else {}
    return RunRecord(
        id=begin["id"],
        folder=folder,
        name=begin["name"],
        parent=begin["parent"],
        rerun_of=begin["rerun_of"],
        status=status,
        started=begin["started"],
        ended=None if end is None else end["ended"],
        params=begin["params"],
        context=begin["context"],
        series=_series(logs),
        tags=tags,
        data={d["name"]: d["data"] for d in documents if d.get("kind") == "data"},
        bundles=[{k: d[k] for k in ("path", "digest")} for d in documents if d.get("kind") == "bundle"],
        exception=None if end is None else end["exception"],
        exit_status=None if end is None else end["exit_status"],
        size=sum(log.size for log in logs),
        torn=sum(log.torn for log in logs),
    )


def log_names(folder: Path) -> list[str]:
    """The log files of a run, the one with its beginning first; none where there is no such folder."""
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))  # noqa: PTH208 - a third of the time
    except (FileNotFoundError, NotADirectoryError):
        return []


def _series(logs: list[LogContent]) -> dict[str, Series]:
    """The metrics in the order in which they were logged: by place within a file, by time where several have one."""
    files: dict[str, list[list[np.ndarray]]] = {}
    for log in logs:
        parts: dict[str, list[list[np.ndarray]]] = {}
        for piece in log.points:
            for name, values in piece.values.items():
                parts.setdefault(name, []).append([piece.at, piece.step, piece.time, values])
        for name, rows in _written_as_documents(log).items():
            parts.setdefault(name, []).append(rows)
        for name, pieces in parts.items():
            files.setdefault(name, []).append(_merged(pieces, key=0))
    return {name: Series(*_merged(pieces, key=2)[1:]) for name, pieces in files.items()}


def _written_as_documents(log: LogContent) -> dict[str, list[np.ndarray]]:
    """Values that are text or too large for a point, by metric: place, step, time and value."""
    rows: dict[str, list[tuple[int, Any, float, Any]]] = {}
    for at, document in log.documents:
        for name, value in document.get("values", {}).items():
            rows.setdefault(name, []).append((at, document["step"], document["time"], value))
    return {name: [_objects(column) for column in zip(*found, strict=True)] for name, found in rows.items()}


def _objects(values: Sequence[Any]) -> np.ndarray:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _merged(pieces: list[list[np.ndarray]], key: int) -> list[np.ndarray]:
    """Pieces one after another, put in order by one of their columns where they are several."""
    columns = [_joined([piece[i] for piece in pieces]) for i in range(len(pieces[0]))]
    if len(pieces) == 1 or not (columns[key][1:] < columns[key][:-1]).any():
        return columns
    order = np.argsort(columns[key], kind="stable")
    return [column[order] for column in columns]


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """One array; of Python objects where types differ, so that every value stays what it was."""
    if len({part.dtype for part in parts}) > 1:
        parts = [part.astype(object) for part in parts]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def summary(record: RunRecord) -> dict[str, dict[str, Any]]:
    """For each metric `last`, and of its numbers `lowest`, `highest` (NaN apart), the steps of these, and `count`."""
    found = {}
    for name, series in record.series.items():
        step, value = series.numbers()
        entry: dict[str, Any] = {"last": series.value[-1:].tolist()[0], "count": len(value)}
        known = ~np.isnan(value)
        if known.any():
            low = int(np.where(known, value, np.inf).argmin())
            high = int(np.where(known, value, -np.inf).argmax())
            entry |= {"lowest": float(value[low]), "lowest_step": float(step[low])}
            entry |= {"highest": float(value[high]), "highest_step": float(step[high])}
        found[name] = entry
    return found


def configuration(record: RunRecord) -> dict[str, Any]:
    """What made a run, flat: code, command, Python, data, parameters; equal for runs that should answer alike."""
    code: Mapping[str, Any] = record.context.get("code") or {}
    found: dict[str, Any] = {
        f"code.{key}": code[key] for key in ("commit", "diff_sha256", "sha256") if key in code
    }
    found["python"] = record.context.get("python")
    found["command"] = " ".join(record.context.get("command", []))
    found |= {f"data.{name}": data["sha256"] for name, data in record.data.items()}
    found |= {f"params.{key}": value for key, value in record.params.items()}
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
