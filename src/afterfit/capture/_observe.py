"""What an estimator within the model is given while the whole model answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.capture._frames import row_count, take
from afterfit.capture._probes import model_refusals

if TYPE_CHECKING:
    from afterfit.capture._reference import Reference

_METHODS = ("transform", "predict", "predict_proba", "decision_function")
_ROWS = 8


class Observer:
    """Asks the model in memory for a few rows, and sees what one of its estimators receives."""

    def __init__(self, reference: Reference, frame: Any, output: str) -> None:
        self._reference = reference
        self._output = output
        rows = row_count(frame)
        self._rows = take(frame, np.unique(np.linspace(0, rows - 1, min(rows, _ROWS)).astype(np.int64)))

    def __call__(self, estimator: Any) -> Any:
        """The rows that `estimator` receives; None where it is not asked, or not in this process."""
        seen: list[Any] = []
        patched = []
        try:
            for method in _METHODS:
                original = getattr(estimator, method, None)
                if original is not None and hasattr(estimator, "__dict__") and method not in vars(estimator):
                    setattr(estimator, method, _watcher(original, seen))
                    patched.append(method)
            self._reference.answer(self._rows, [self._output])
        except model_refusals():
            return None
        finally:
            for method in patched:
                delattr(estimator, method)
        return seen[0] if seen else None


def _watcher(original: Any, seen: list[Any]) -> Any:
    def watch(*args: Any, **options: Any) -> Any:
        given = args[0] if args else options.get("X")
        if given is not None and not seen:
            seen.append(given)
        return original(*args, **options)

    return watch
