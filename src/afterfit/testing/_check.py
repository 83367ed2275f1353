"""One estimator, checked from fit to the answers of its bundle elsewhere."""

from __future__ import annotations

import copy
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import SchemaError
from afterfit.testing._compare import RELATIVE, largest_error
from afterfit.testing._fresh import FreshProcess
from afterfit.testing._perturb import perturbed, recombined

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from afterfit.runtime import Model
    from afterfit.schema import Packed

_SUMMED_IN_FLOAT32 = 1e-6
_HELD_OUT_EVERY = 4


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found: the bundle answers as the model in memory does.

    `outputs`: the names of the outputs compared. `rows`: how many rows were compared, over all tables. `max_error`:
    the largest error of a number, relative to the largest magnitude of its column. `relative`: what each number had
    to agree to; 1e-6 where the library itself adds up in float32. `ties`: rows of `X` that the library decides by
    chance. `skipped`: one sentence for each table that the model in memory itself does not answer.
    """

    estimator: str
    outputs: tuple[str, ...]
    rows: int
    max_error: float
    relative: float
    ties: int
    skipped: tuple[str, ...]


def check_estimator(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    rows: Sequence[Any] = (),
    path: str | os.PathLike[str] | None = None,
    process: FreshProcess | None = None,
    relative: float = RELATIVE,
    seed: int = 0,
    preprocess: Any = None,
    postprocess: Any = None,
) -> CheckReport:
    """Save `estimator`, load the bundle in a process without its framework, and compare every answer.

    `estimator`: with `fit`; where it is not fitted, a copy is, on three rows of `X` (and targets `y`) in four, and
    the others are held out. `X`, `y`: raw rows and targets, as for `afterfit.save`. `rows`: further tables to compare
    on. Compared are `X`, the rows held out, `rows`, and new rows like `X`, drawn from `seed`: `perturbed(X)` and
    `recombined(X)`. `path`: where the bundle stays; by default it is removed.
    `process`: one to be used by many checks, which is faster; by default a new one. `relative`: how far a number may
    be off; labels must be equal. `preprocess`, `postprocess`: as for `afterfit.save`.

    Tables that the model in memory raises an error for are named in the report, except `X`, which must be answered; so
    are drawn ones that the schema refuses, such as numbers that are no category.

    Raises `AssertionError`, which says what differs, and the errors of `afterfit.save`: `UnsupportedModelError` where
    the model is refused by name.
    """
    from afterfit.capture import save, take

    held_out: list[Any] = []
    if not is_fitted(estimator):
        chosen = np.arange(_length(X)) % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1
        kept = np.flatnonzero(~chosen)
        X = _as_frame(X)
        held_out = [take(X, np.flatnonzero(chosen))] if chosen.any() else []
        X, y = take(X, kept), None if y is None else _rows_of(y, kept)
        estimator = copy.deepcopy(estimator)
        estimator.fit(X, y)
    with tempfile.TemporaryDirectory() as folder, _used(process) as fresh:
        target = Path(folder) / "model.afit" if path is None else Path(path)
        saved = save(estimator, target, X=X, y=y, preprocess=preprocess, postprocess=postprocess)
        check = _Check(estimator, preprocess, postprocess, saved, target, fresh, relative)
        check.compare("X", X, required=True)
        for table in held_out:
            check.compare("the rows held out", table)
        for number, table in enumerate(rows):
            check.compare(f"rows[{number}]", table)
        for make in (perturbed, recombined):
            try:
                check.compare(f"{make.__name__}(X)", make(X, seed=seed))
            except SchemaError as error:
                check.skip(f"the schema refuses {make.__name__}(X): {error.errors[0]}")
        return check.report()


def is_fitted(estimator: Any) -> bool:
    """True where `estimator` says so, has learned an attribute (`name_`), or has no `fit`."""
    if not hasattr(estimator, "fit"):
        return True
    if hasattr(estimator, "__sklearn_is_fitted__"):
        return bool(estimator.__sklearn_is_fitted__())
    return any(name.endswith("_") and not name.startswith("__") for name in vars(estimator))


class _Check:
    """The answers of one model in memory and of its bundle in another process, table by table."""

    def __init__(
        self,
        estimator: Any,
        preprocess: Any,
        postprocess: Any,
        saved: Model,
        path: Path,
        process: FreshProcess,
        relative: float,
    ) -> None:
        from afterfit.capture import Reference

        self._estimator = estimator
        self._reference = Reference(estimator, preprocess, postprocess)
        self._saved, self._path, self._process = saved, path, process
        self._relative = (
            max(relative, _SUMMED_IN_FLOAT32) if saved.report.precision == "float32" else relative
        )
        self._without = packages_of(estimator, preprocess, postprocess)
        self._outputs = tuple(output.name for output in saved.schema.outputs)
        self._rows, self._max_error, self._skipped = 0, 0.0, list[str]()

    def compare(self, what: str, table: Any, *, required: bool = False) -> None:
        """Compare every output on `table`; raises `AssertionError` where one differs."""
        from afterfit.capture import MODEL_REFUSALS
        from afterfit.schema import pack_table

        frame = _as_frame(table)
        try:
            expected = self._reference.answer(frame, self._outputs)
        except MODEL_REFUSALS as error:
            if required:
                raise AssertionError(f"the model in memory does not answer {what}: {error}") from error
            self.skip(f"the model in memory does not answer {what}: {error}")
            return
        packed: Packed = pack_table(self._saved.schema, table)
        got = self._process.answer(self._path, packed, self._outputs, without=self._without)
        for name in self._outputs:
            self._compare_output(name, what, expected[name], got[name])
        self._rows += _length(frame)

    def skip(self, why: str) -> None:
        """Say why a table was not compared."""
        self._skipped.append(why)

    def _compare_output(self, name: str, what: str, expected: NDArray[Any], got: NDArray[Any]) -> None:
        output = self._saved.schema.output(name)
        if output is not None and output.type == "float" and output.classes is None:
            expected = expected.astype(np.float64)
        of_scale = max(self._saved.report.tolerance, 1e-12)
        try:
            error = largest_error(expected, got, relative=self._relative, of_scale=of_scale)
        except AssertionError as found:
            raise AssertionError(f"{type(self._estimator).__name__}: {name} of {what}: {found}") from None
        self._max_error = max(self._max_error, error)

    def report(self) -> CheckReport:
        return CheckReport(
            type(self._estimator).__name__,
            self._outputs,
            self._rows,
            self._max_error,
            self._relative,
            self._saved.report.ties,
            tuple(self._skipped),
        )


def packages_of(*objects: Any) -> set[str]:
    """The packages that the classes of `objects` come from, without the standard library and those we need."""
    roots = {cls.__module__.partition(".")[0] for found in objects for cls in type(found).__mro__}
    return roots - set(sys.stdlib_module_names) - {"__main__", "afterfit", "numpy"}


def _used(process: FreshProcess | None) -> Any:
    return FreshProcess() if process is None else nullcontext(process)


def _as_frame(X: Any) -> Any:
    from afterfit.capture import reference_frame

    return reference_frame(X)


def _length(X: Any) -> int:
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def _rows_of(y: Any, rows: NDArray[np.int64]) -> Any:
    return y.iloc[rows] if hasattr(y, "iloc") else np.asarray(y)[rows]
