"""A model of named NumPy arrays, and what it answers in plain NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ARCHITECTURES: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "linear": (frozenset({"coef"}), frozenset({"intercept"})),
    "embedding": (frozenset({"words", "vectors"}), frozenset({"unknown"})),
    "elman": (
        frozenset({"recurrent", "bias"}),
        frozenset({"embedding", "input", "readout", "readout_bias", "initial"}),
    ),
}
"""The parameters that each architecture needs, and those it may have."""

_RANKS = {
    "coef": (1, 2),
    "intercept": (0, 1),
    "words": (1,),
    "vectors": (2,),
    "unknown": (1,),
    "embedding": (2,),
    "input": (2,),
    "recurrent": (2,),
    "bias": (1,),
    "readout": (1, 2),
    "readout_bias": (0, 1),
    "initial": (1,),
}


class ArrayModel:
    """A model given as arrays: `predict` computes its answers in plain NumPy, in float64.

    `model` is a function `f(X, **parameters)` of the rows and the parameters, written in NumPy or the Array API, which
    `afterfit.save` traces; or the name of an architecture:

    - `"linear"`: `X @ coef + intercept`; `coef` `[k]` or `[k, m]` (a number where there is one column), `intercept` a
      number or `[m]`.
    - `"embedding"`: the row of `vectors` `[V, d]` of each word in `words` `[V]`; `unknown` `[d]` for any other, without
      which others are a `KeyError`. X is one column of text.
    - `"elman"`: `h[t] = tanh(x[t] + h[t-1] @ recurrent + bias)` from `initial` (zeros), answered by
      `h[T] @ readout + readout_bias` (`h[T]` without a readout). `recurrent` `[h, h]`, `bias` `[h]`, `readout` `[h]` or
      `[h, m]`. `x[t]` is the row of `embedding` `[V, e]` of the t-th token, or the t-th vector where there is no
      embedding, times `input` `[e, h]` where there is one (J. L. Elman, 1990). X is a dict of
      one column, or a list, of sequences of any lengths from 1.

    `parameters` are kept as float64 (text as it is) and copied. Pure: the same rows get the same answers.
    Raises `ArgumentError` where parameters are missing, unknown, of a wrong rank, or not numbers.
    """

    def __init__(self, model: str | Callable[..., Any], parameters: Mapping[str, Any]) -> None:
        self.architecture = model if isinstance(model, str) else None
        self.function = None if isinstance(model, str) else model
        self.parameters = {name: _held(name, value) for name, value in parameters.items()}
        if self.architecture is not None:
            _check(self.architecture, self.parameters)
        elif not callable(model):
            raise ArgumentError("give a function of X and the parameters, or the name of an architecture")

    def predict(self, X: Any) -> NDArray[Any]:
        """The answers `[N]` or `[N, m]` to rows, in plain NumPy."""
        if self.function is not None:
            return np.asarray(self.function(X, **self.parameters))
        answer: NDArray[Any] = _FORWARD[str(self.architecture)](X, self.parameters)
        return answer


ArrayModel.__module__ = "afterfit"


def _held(name: str, value: Any) -> NDArray[Any]:
    array = np.array(value)
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    if array.dtype.kind in "OUT" and all(isinstance(item, str) for item in array.ravel().tolist()):
        return array.astype(np.str_)
    raise ArgumentError(f"the parameter {name!r} holds {array.dtype}; give numbers or text in an array")


def _check(architecture: str, parameters: Mapping[str, NDArray[Any]]) -> None:
    if architecture not in ARCHITECTURES:
        raise ArgumentError(
            f"there is no architecture {architecture!r}; name one of {', '.join(ARCHITECTURES)}"
        )
    needed, allowed = ARCHITECTURES[architecture]
    if missing := sorted(needed - parameters.keys()):
        raise ArgumentError(f"{architecture} needs the parameters {', '.join(missing)}")
    if extra := sorted(parameters.keys() - needed - allowed):
        raise ArgumentError(f"{architecture} has no parameters {', '.join(extra)}")
    for name, array in parameters.items():
        if name == "coef" and array.ndim == 0:
            continue
        if array.ndim not in _RANKS[name] or (array.dtype.kind == "U") != (name == "words"):
            raise ArgumentError(f"{name!r} has {array.ndim} dimensions of {array.dtype}; see ArrayModel")
    if architecture == "embedding":
        words = parameters["words"].tolist()
        if len(set(words)) != len(words) or len(words) != len(parameters["vectors"]):
            raise ArgumentError("words must differ from each other, one for each row of vectors")


def _linear(X: Any, parameters: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    coef = np.atleast_1d(parameters["coef"])
    return np.asarray(np.asarray(X, dtype=np.float64) @ coef + parameters.get("intercept", np.float64(0.0)))


def _embedding(X: Any, parameters: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    table = parameters["vectors"]
    places = {word: place for place, word in enumerate(parameters["words"].tolist())}
    if "unknown" in parameters:
        table = np.vstack([table, parameters["unknown"]])
    words = np.ravel(np.asarray(X, dtype=object)).tolist()
    if "unknown" not in parameters and (strange := [word for word in words if word not in places]):
        raise KeyError(f"{strange[0]!r} is not among the words, and there is no parameter 'unknown'")
    return table[[places.get(word, len(places)) for word in words]]


def _elman(X: Any, parameters: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    readout = parameters.get("readout")
    answers = []
    for sequence in _sequences(X):
        hidden = _last_hidden(np.asarray(sequence), parameters)
        answers.append(hidden if readout is None else hidden @ readout)
    return np.asarray(np.stack(answers) + parameters.get("readout_bias", np.float64(0.0)))


def _last_hidden(sequence: NDArray[Any], parameters: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    recurrent, bias = parameters["recurrent"], parameters["bias"]
    vectors = sequence.astype(np.float64)
    if "embedding" in parameters:
        if sequence.dtype.kind not in "iu" or sequence.min(initial=0) < 0:
            raise ValueError("tokens are the positions of rows of embedding: integers from 0")
        vectors = parameters["embedding"][sequence]
    if "input" in parameters:
        vectors = vectors @ parameters["input"]
    hidden = parameters.get("initial", np.zeros(len(bias)))
    for vector in vectors:
        hidden = np.tanh(vector + hidden @ recurrent + bias)
    return hidden


def _sequences(X: Any) -> Sequence[Any]:
    """The one column of sequences."""
    if isinstance(X, Mapping):
        if len(X) != 1:
            raise ValueError(f"X has {len(X)} columns; give the sequences as one")
        return _sequences(next(iter(X.values())))
    if hasattr(X, "iloc") and getattr(X, "ndim", 1) == 2:
        if X.shape[1] != 1:
            raise ValueError(f"X has {X.shape[1]} columns; give the sequences as one")
        return list(X.iloc[:, 0])
    return list(X)


_FORWARD: dict[str, Any] = {
    "linear": _linear,
    "embedding": _embedding,
    "elman": _elman,
}
