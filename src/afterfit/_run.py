"""`afterfit.run`: a training run that can also save its model; it joins tracking and capture, which know
nothing of each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterfit.tracking import Run as TrackedRun
from afterfit.tracking import read_run

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from afterfit.runtime import Model


class Run(TrackedRun):
    """A training run that is being recorded; see `afterfit.run`."""

    def save(
        self, model: Any, path: str | os.PathLike[str] | None = None, *, X: Any, **options: Any
    ) -> Model:
        """Save a fitted model as a bundle that names this run in `training/run.json`; returns the model from the file.

        `path`: by default the name of the run with `.afit`, in the run's folder. `X` and `options` are those of
        `afterfit.save`; `params`, `metrics` (the last value of each) and `history` are those of the run where they
        are not given. The fingerprint of `X` and the digest of the bundle are recorded with the run. Raises what
        `afterfit.save` raises; the run goes on.
        """
        from afterfit.bundle import read_bundle
        from afterfit.capture import save

        data = self.data(X)
        record = read_run(self.folder)
        target = self.folder / f"{Path(self.name).name}.afit" if path is None else Path(path)
        options.setdefault("params", self.params or None)
        options.setdefault("metrics", record.last_values() or None)
        options.setdefault("history", record.as_history())
        options.setdefault("name", Path(self.name).name if path is None else None)
        saved = save(model, target, X=X, run={**self.lineage(), "data": data}, **options)
        self.bundle(str(target.resolve()), read_bundle(target).digest)
        return saved


def run(name: str, params: Mapping[str, Any] | None = None) -> Run:
    """Record a training run, below the nearest `.afterfit` folder or the one that AFTERFIT_STORE names.

    docs/runs.md has an example that runs::

        with afterfit.run("flights", params={"depth": 6}) as run:
            for step in range(100):
                run.log(step, loss=..., val_loss=...)
            run.save(model, "flights.afit", X=X, y=y)

    Recorded by itself: git commit and uncommitted difference, command, Python and packages, the states of the random
    generators (`random`, numpy's, torch's if it is imported), machine, duration, how it ended, and the exception. A
    record is kept when `log` returns, whatever then ends the process. Raises `ArgumentError` for a name or parameters
    that cannot be kept.
    """
    return Run(name, params)
