"""The model in memory, with what was applied by hand before and after it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.capture._frames import one_column
from afterfit.capture._labels import answer_in_memory, classes_of
from afterfit.lowering import find_adapter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


_NUMBERS = (bool, int, float, np.number, np.bool_)


class Reference:
    """What the graph has to answer like: `postprocess` of `model` of `preprocess` of the rows.

    Answers come by the names of the graph's outputs. Warnings of the model are not shown: they were shown, or
    not, when the person trained it, and probing it with strange rows would only add to them. `asked`: what answers,
    the model or what stands in for it where its own methods do not take rows. `flat`: the model reads the one column
    of the rows as a sequence, which is known once `X` is read.
    """

    def __init__(self, model: Any, preprocess: Any = None, postprocess: Any = None) -> None:
        self.model = model
        adapter = find_adapter(model)
        self.asked = model if adapter is None else adapter(model)
        self.preprocess: tuple[Any, ...] = _as_tuple(preprocess)
        self.postprocess = postprocess
        self.flat = False
        self.classes = classes_of(postprocess)

    def preprocessed(self, frame: Any) -> Any:
        """The rows as the model receives them."""
        if self.flat:
            frame = one_column(frame)
        for transformer in self.preprocess:
            frame = transformer.transform(frame)
        return frame

    def answer(self, frame: Any, outputs: Sequence[str]) -> dict[str, NDArray[Any]]:
        """The named outputs for the rows of `frame`; raises whatever the model raises."""
        with quiet():
            received = self.preprocessed(frame)
            if self.classes is not None:
                values = np.asarray(self.asked.predict(received))
                return {name: answer_in_memory(name, values, self.classes) for name in outputs}
            return {name: self._output(name, received) for name in outputs}

    def _output(self, name: str, received: Any) -> NDArray[Any]:
        if name == "probabilities":
            return np.asarray(self.asked.predict_proba(received), dtype=np.float64)
        if name == "scores":
            return np.asarray(self.asked.decision_function(received), dtype=np.float64)
        if name == "transformed":
            table = dense(self.asked.transform(received))
            return table.astype(np.float64) if table.dtype == np.bool_ else table
        prediction = np.asarray(self.asked.predict(received))
        if self.postprocess is None:
            return prediction
        inverted = np.asarray(self.postprocess.inverse_transform(prediction.reshape(len(prediction), -1)))
        return inverted.reshape(prediction.shape) if inverted.size == prediction.size else inverted


@contextmanager
def quiet() -> Iterator[None]:
    """Run a person's model without its warnings."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def dense(table: Any) -> NDArray[Any]:
    """A transformer's answer, whatever container it came in, as a dense array `[N, m]`; booleans as 0.0 and 1.0."""
    if hasattr(table, "toarray"):
        table = table.toarray()
    if hasattr(table, "to_numpy"):
        table = table.to_numpy()
    array = np.asarray(table)
    if array.dtype == object and all(isinstance(value, _NUMBERS) for value in array.ravel().tolist()):
        return array.astype(np.float64)
    return array.astype(np.float64) if array.dtype.kind == "b" else array


def _as_tuple(preprocess: Any) -> tuple[Any, ...]:
    if preprocess is None:
        return ()
    if isinstance(preprocess, Sequence) and not hasattr(preprocess, "transform"):
        return tuple(preprocess)
    return (preprocess,)
