"""Adapters that log what training libraries report. The library is the one that the caller has imported already."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from afterfit.tracking._run import Run


def _imported(*names: str) -> Any:
    for name in names:
        if name in sys.modules:
            return sys.modules[name]
    raise ArgumentError(f"{names[0]} is not imported; import it before asking for its callback")


def _numbers(logs: Mapping[str, Any] | None) -> dict[str, float]:
    return {name: float(value) for name, value in (logs or {}).items()}


def keras_callback(run: Run) -> Any:
    """See `Run.keras_callback`."""

    class KerasCallback(_imported("keras").callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            run.log(epoch, **_numbers(logs))

    return KerasCallback()


def lightning_callback(run: Run) -> Any:
    """See `Run.lightning_callback`."""
    library = _imported("lightning.pytorch", "pytorch_lightning")

    class LightningCallback(library.Callback):  # type: ignore[misc, name-defined]
        """Logs what an epoch has told once. The trainer keeps the metrics of an evaluation until the next one, under
        whose name they would be those of another epoch.
        """

        def __init__(self) -> None:
            self._last: dict[str, Any] = {}
            self._evaluated: set[str] = set()
            self._told: set[str] = set()
            self._epoch = 0

        def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
            del pl_module
            self._last |= trainer.callback_metrics

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            del pl_module
            if not trainer.sanity_checking:
                self._evaluated |= set(self._log(trainer, trainer.current_epoch, set()))

        on_test_start, on_test_end = on_validation_start, on_validation_end

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            del pl_module
            self._epoch = trainer.current_epoch
            self._told = set(self._log(trainer, self._epoch, self._evaluated))

        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            # What the module logged at the end of the epoch, after its callbacks.
            del pl_module
            self._log(trainer, self._epoch, self._evaluated | self._told)

        on_train_end = on_train_epoch_start

        def _log(self, trainer: Any, epoch: int, known: set[str]) -> dict[str, float]:
            """Log what was computed since the last time: new values are new tensors, and old ones are kept."""
            told = trainer.callback_metrics
            found = _numbers({k: v for k, v in told.items() if k not in known and self._last.get(k) is not v})
            self._last |= told
            if found:
                run.log(epoch, **found)
            return found

    return LightningCallback()


def xgboost_callback(run: Run) -> Any:
    """See `Run.xgboost_callback`."""

    class XGBoostCallback(_imported("xgboost").callback.TrainingCallback):  # type: ignore[misc]
        def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
            del model
            values = {
                f"{rows}_{metric}": float(curve[-1][0] if isinstance(curve[-1], tuple) else curve[-1])
                for rows, metrics in evals_log.items()
                for metric, curve in metrics.items()
            }
            run.log(epoch, **values)
            return False

    return XGBoostCallback()


class LightGBMCallback:
    """See `Run.lightgbm_callback`. LightGBM takes any callable, and orders them by `order`."""

    order = 20
    before_iteration = False

    def __init__(self, run: Run) -> None:
        self.run = run

    def __call__(self, env: Any) -> None:
        """Log an iteration; `env` is a `CallbackEnv`, whose results begin with the rows, the metric and its value."""
        if env.evaluation_result_list:
            values = {f"{entry[0]}_{entry[1]}": float(entry[2]) for entry in env.evaluation_result_list}
            self.run.log(env.iteration, **values)


@contextmanager
def recorded_search(run: Run, estimator: Any) -> Iterator[Any]:
    """See `Run.search`."""
    yield estimator
    results = getattr(estimator, "cv_results_", None)
    if results is None:
        raise ArgumentError("the search was not fitted within its context; call fit there")
    scores = [name for name in results if name.startswith(("mean_", "std_", "rank_"))]
    folds = sorted(name for name in results if name.startswith("split"))
    rounds = [name for name in ("iter", "n_resources") if name in results]
    for i, params in enumerate(results["params"]):
        with run.child(f"{run.name}-candidate", params) as candidate:
            for name in folds:
                fold, _, metric = name.removeprefix("split").partition("_")
                candidate.log(int(fold), **{metric: float(results[name][i])})
            candidate.log(0, **{name: float(results[name][i]) for name in scores})
            if rounds:
                candidate.tag(**{name: int(results[name][i]) for name in rounds})
