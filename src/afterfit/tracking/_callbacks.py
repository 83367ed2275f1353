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
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            del pl_module
            run.log(trainer.current_epoch, **_numbers(trainer.callback_metrics))

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
    for i, params in enumerate(results["params"]):
        with run.child(f"{run.name}-candidate", params) as candidate:
            for name in folds:
                fold, _, metric = name.removeprefix("split").partition("_")
                candidate.log(int(fold), **{metric: float(results[name][i])})
            candidate.log(0, **{name: float(results[name][i]) for name in scores})
