"""A training run while it goes on: what it is told is on record when the call returns."""

from __future__ import annotations

import atexit
import json
import os
import secrets
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from afterfit.errors import ArgumentError
from afterfit.tracking._context import context, seeds_digest, set_seeds
from afterfit.tracking._data import fingerprint_table
from afterfit.tracking._log_file import SUFFIX, LogFile
from afterfit.tracking._place import new_run_folder, note_change, runs_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from afterfit.tracking._callbacks import LightGBMCallback

RERUN = "AFTERFIT_RERUN"
"""The variable that hands a file with parameters and seeds to the run that is made again."""

_INTERRUPTED = 130
"""The exit status of a process that was ended by Ctrl-C."""

_OPEN: dict[str, tuple[int, Run]] = {}
"""Runs that have begun and not ended, with the process that began each: a fork has them too, and does not end them."""

_PLAIN = (bool, int, float, str)


class Run:
    """A run that is being recorded. Made by `afterfit.run`; ends with its `with` block, or with `finish`.

    `id`: what commands name it by. `params`: its parameters, a dict of plain values; read them from here, so that
    `afterfit rerun --set` can change them. `folder`: where it is recorded. Safe to use from many threads; a forked
    process, or one that the run was pickled to, writes to a file of its own in the same folder.
    """

    _log: LogFile
    _process: int
    _finished: bool

    def __init__(
        self, name: str, params: Mapping[str, Any] | None = None, *, parent: Run | None = None
    ) -> None:
        if not isinstance(name, str) or not name or not name.isprintable() or len(name) > 255:
            raise ArgumentError(f"the name of a run has 1 to 255 printable characters, and {name!r} has not")
        again = _taken_rerun(name, parent)
        self.name = name
        self.params: dict[str, Any] = {str(k): _plain(v) for k, v in (params or {}).items()}
        unknown = set(again.get("set", {})) - set(self.params)
        if unknown:
            raise ArgumentError(
                f"the run {name!r} has no parameter {', '.join(sorted(unknown))}; it has {', '.join(self.params)}"
            )
        self.params |= again.get("set", {})
        runs = runs_folder(create=True) if parent is None else parent.folder.parent
        self.folder: Path = new_run_folder(runs)
        self.id = self.folder.name
        self.parent_id = None if parent is None else parent.id
        self._step = 0
        self._started = time.time()
        if again:
            set_seeds(again["seeds"])
        self._context: dict[str, Any] = (
            context(self.folder) if parent is None else {**parent._context, "recorded_by": parent.id}  # noqa: SLF001
        )
        self._open()
        begin = {
            "kind": "begin",
            "id": self.id,
            "name": name,
            "parent": self.parent_id,
            "started": self._started,
            "params": self.params,
            "rerun_of": again.get("run"),
            "context": self._context,
        }
        self._log.write_document(begin)
        note_change(runs, self.id)
        _OPEN[self.id] = (self._process, self)

    def __reduce__(self) -> tuple[Any, ...]:
        state = {key: value for key, value in self.__dict__.items() if key not in {"_log", "_process"}}
        return (_reopen, (type(self), state))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, trace
        if error is None or (isinstance(error, SystemExit) and not error.code):
            self.finish()
            return
        self._fail(error)

    def log(self, step: float | None = None, /, **metrics: Any) -> None:
        """Record the values of metrics at a step; without one, the steps are counted from 0.

        Values are bool, int, float or str, or a numpy or torch scalar of these; NaN, the infinities and integers of
        any size are kept exactly. On return the record survives the end of this process by any signal. Raises
        `ArgumentError` for another value, and `OSError` where the disk takes no more.
        """
        if self._process != os.getpid():
            self._open()
        if type(step) is not int:
            step = self._step if step is None else _plain_step(step)
        for value in metrics.values():
            if type(value) not in _PLAIN:
                metrics = {key: _scalar(key, member) for key, member in metrics.items()}
                break
        self._log.write_point(step, metrics)
        if step - step == 0:  # neither NaN nor infinite
            self._step = int(step) + 1

    def data(self, X: Any, name: str = "train") -> dict[str, Any]:
        """Record the fingerprint of a table, a digest for each column, and return it."""
        found = fingerprint_table(X)
        self._write({"kind": "data", "name": name, "data": found})
        return found

    def tag(self, **tags: Any) -> None:
        """Record notes by name, such as `tag(stage="second try")`; a later one of a name replaces it."""
        self._write({"kind": "tags", "tags": {key: _plain(value) for key, value in tags.items()}})

    def bundle(self, path: str, digest: str) -> None:
        """Record that a bundle was made of this run; `digest` is the SHA-256 of its manifest."""
        self._write({"kind": "bundle", "path": path, "digest": digest})

    def child(self, name: str, params: Mapping[str, Any] | None = None) -> Self:
        """A run inside of this one, such as a fold or a candidate; it has the code and the machine of this one."""
        return type(self)(name, params, parent=self)

    def finish(self, status: str = "finished", exception: Mapping[str, str] | None = None) -> None:
        """End the run; the `with` block does it, and otherwise the end of the process. A second call does nothing."""
        self._end(status, exception, 0 if status == "finished" else 1)

    def _end(self, status: str, exception: Mapping[str, str] | None, exit_status: int | None) -> None:
        if self._finished:
            return
        self._finished = True
        _OPEN.pop(self.id, None)
        end = {
            "kind": "end",
            "status": status,
            "ended": time.time(),
            "exit_status": exit_status,
            "exception": exception,
        }
        self._write(end)
        self._log.close(durable=self.parent_id is None)
        note_change(self.folder.parent, self.id)

    def lineage(self) -> dict[str, Any]:
        """What a bundle says of its run: which it is, and what code, command, data and seeds made it; no times."""
        code = self._context["code"] or {}
        kept = ("commit", "diff_sha256", "script", "sha256")
        return {
            "id": self.id,
            "name": self.name,
            "parent": self.parent_id,
            "command": self._context["command"],
            "code": {key: code[key] for key in kept if key in code},
            "python": self._context["python"],
            "seed": seeds_digest(self._context["seeds"]),
        }

    def keras_callback(self) -> Any:
        """A callback for `fit` of Keras: the logs of every epoch."""
        from afterfit.tracking._callbacks import keras_callback

        return keras_callback(self)

    def lightning_callback(self) -> Any:
        """A callback for the `Trainer` of PyTorch Lightning: its logged metrics after every training and
        validation epoch.
        """
        from afterfit.tracking._callbacks import lightning_callback

        return lightning_callback(self)

    def xgboost_callback(self) -> Any:
        """A callback for `train` and the estimators of XGBoost: every round of every set of rows."""
        from afterfit.tracking._callbacks import xgboost_callback

        return xgboost_callback(self)

    def lightgbm_callback(self) -> LightGBMCallback:
        """A callback for `train` and `fit` of LightGBM: every iteration of every set of rows."""
        from afterfit.tracking._callbacks import LightGBMCallback

        return LightGBMCallback(self)

    def search(self, estimator: Any) -> Any:
        """A context for a search of scikit-learn: at its end, each candidate is a child run with its scores.

        `with run.search(GridSearchCV(model, grid)) as search: search.fit(X, y)`
        """
        from afterfit.tracking._callbacks import recorded_search

        return recorded_search(self, estimator)

    def _fail(self, error: BaseException) -> None:
        """End the run by what was raised."""
        status, code = "failed", 1
        if isinstance(error, KeyboardInterrupt):
            status, code = "interrupted", _INTERRUPTED
        elif isinstance(error, SystemExit) and isinstance(error.code, int):
            code = error.code
        text = "".join(traceback.format_exception(error))
        told = {"type": type(error).__name__, "message": str(error), "traceback": text}
        self._end(status, told, code)

    def _write(self, document: dict[str, Any]) -> None:
        if self._process != os.getpid():
            self._open()
        self._log.write_document({**document, "time": time.time()})

    def _open(self) -> None:
        self._finished = False
        self._process = os.getpid()
        # The file with the beginning sorts first.
        number = 0 if not any(self.folder.glob("0*" + SUFFIX)) else 1
        self._log = LogFile(self.folder / f"{number}-{self._process}-{secrets.token_hex(3)}{SUFFIX}")


@atexit.register
def _end_open_runs() -> None:
    """End the runs that this process began outside of a `with` block, by the exception that ends it if one does."""
    # Set by Python for an exception that nothing caught; in a notebook or at a prompt it says what once went wrong.
    error = None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)
    for process, run in list(_OPEN.values()):
        if process != os.getpid():
            continue
        if isinstance(error, BaseException):
            run._fail(error)  # noqa: SLF001
        else:
            # With what `sys.exit` was called nothing here can say.
            run._end("finished", None, None)  # noqa: SLF001


def _reopen(kind: type[Run], state: dict[str, Any]) -> Run:
    run = kind.__new__(kind)
    run.__dict__.update(state)
    run._open()  # noqa: SLF001
    return run


def _taken_rerun(name: str, parent: Run | None) -> dict[str, Any]:
    """What `afterfit rerun` asks of the first run of this name in this process; nothing of the others."""
    path = os.environ.get(RERUN) if parent is None else None
    if path is None:
        return {}
    found: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    if found["name"] != name:
        return {}
    del os.environ[RERUN]
    return found


def _plain_step(step: Any) -> int | float:
    plain = _scalar("step", step)
    if isinstance(plain, bool | str):
        raise ArgumentError(f"a step is a number, and {plain!r} is not")
    return plain


def _scalar(name: str, value: Any) -> bool | int | float | str:
    item = value.item() if callable(getattr(value, "item", None)) and np.size(value) == 1 else value
    for kind in _PLAIN:
        if isinstance(item, kind):
            return kind(item)
    raise ArgumentError(f"{name} is of type {type(value).__name__}; a bool, int, float or str can be logged")


def _plain(value: Any) -> Any:
    """A parameter as JSON holds it: numbers, text, lists and dicts; anything else by its `repr`."""
    match value:
        case np.generic() | np.ndarray():
            return _plain(value.tolist())
        case dict():
            return {str(key): _plain(member) for key, member in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(member) for member in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return repr(value)[:1000]
