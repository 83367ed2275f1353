"""A bundle that answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.bundle import read_bundle
from afterfit.errors import ArgumentError
from afterfit.runtime._session import GraphSession
from afterfit.schema import RowDecoder, TablePacker, decode_text, is_arrays

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from afterfit.bundle import Bundle, Manifest, Parity, Task
    from afterfit.schema import Output, Packed, Schema


@dataclass(frozen=True, slots=True)
class Report:
    """What a replay of the golden rows found.

    `failures` has one sentence for every answer that differs. `max_error` is the largest difference of any
    number, divided by the scale of its output; `tolerance` is what it had to stay within.
    """

    golden_rows: int
    failures: tuple[str, ...]
    max_error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """True if every golden row was answered as the model in memory answered it."""
        return not self.failures


class Model:
    """A model loaded from a bundle; needs nothing of the framework it was trained with.

    Pure: an answer depends on the row alone, not on earlier calls; rows answered together may differ from rows
    answered alone in the last bit of a sum. Methods may be called from several threads.
    Rows are given as a DataFrame (pandas, polars, pyarrow), a 2-D array or a list of dicts; for a model of one column
    of text also as a list of str, a Series or a 1-D array; those with tensor columns also as an array, a dict of names
    and arrays, or a list of arrays. Rows that do not fit the schema raise `SchemaError`, which lists every mistake.
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        self.bundle = bundle
        self._session = GraphSession(bundle.graph, threads, analyzed=bundle.schema.analyzed)
        self._packer = TablePacker(bundle.schema)
        self._entry_points = bundle.manifest.entry_points
        self._text_tables = frozenset(
            output.name
            for output in bundle.schema.outputs
            if output.name == "transformed" and output.type == "string"
        )

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """The first 12 hex digits of the SHA-256 of the manifest, which pins every byte of the bundle."""
        return self.bundle.version

    @property
    def task(self) -> Task:
        """`classification`, `regression` or `transformation`."""
        return self.manifest.task

    @property
    def manifest(self) -> Manifest:
        """What `manifest.json` says."""
        return self.bundle.manifest

    @property
    def schema(self) -> Schema:
        """The columns the model takes and the outputs it gives."""
        return self.bundle.schema

    @property
    def report(self) -> Parity:
        """What was proved when the bundle was saved."""
        return self.manifest.parity

    @cached_property
    def classes(self) -> NDArray[Any] | None:
        """The labels `[k]`, in the order of the columns of `predict_proba`; None if not a classifier."""
        prediction = self.schema.output("prediction")
        if prediction is None or prediction.classes is None:
            return None
        dtype = {"string": object, "integer": np.int64, "boolean": np.bool_, "float": np.float64}
        return np.array(prediction.classes, dtype=dtype[prediction.type])

    @cached_property
    def decoder(self) -> RowDecoder:
        """The decoder of rows given as JSON or as dicts, made for this schema."""
        return RowDecoder(self.schema)

    def predict(self, X: Any) -> NDArray[Any]:
        """The answers: labels `[N]` of a classifier, float64 `[N]` or `[N, ...]` of a regressor."""
        return self._answer("predict", X)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities float64 `[N, k]` of a classifier, columns in the order of `classes`."""
        return self._answer("predict_proba", X)

    def transform(self, X: Any) -> NDArray[Any]:
        """The transformed table `[N, m]` of a transformer: float64, or object for text."""
        return self._answer("transform", X)

    def run(self, packed: Packed, outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph on inputs that are packed already; all outputs unless some are named."""
        return self._session.run(packed, self._session.outputs if outputs is None else outputs)

    def verify(self) -> Report:
        """Replay the golden rows and compare with what the model in memory answered when it was saved.

        Labels must be equal; numbers must agree within the tolerance stated in the manifest, relative to the
        largest finite magnitude of their output over the golden rows (at least 1).
        """
        golden = self.bundle.golden
        packed = self.decoder.decode_rows([row.input for row in golden])
        got = self.run(packed)
        failures: list[str] = []
        worst = 0.0
        for output in self.schema.outputs:
            expected = [row.output[output.name] for row in golden]
            if output.name in self._text_tables:
                failures += _different_values(output.name, expected, decoded_texts(got[output.name]))
            elif _is_exact(output):
                failures += _different_values(output.name, expected, got[output.name])
            else:
                error, different = _different_numbers(
                    output.name, expected, got[output.name], self.report.tolerance
                )
                worst = max(worst, error)
                failures += different
        return Report(len(golden), tuple(failures), worst, self.report.tolerance)

    def _answer(self, method: str, X: Any) -> NDArray[Any]:
        output = self._entry_points.get(method)
        if output is None:
            methods = ", ".join(sorted(self._entry_points))
            raise ArgumentError(f"{self.name} has no {method}; this model offers {methods}")
        rows = isinstance(X, list) and not is_arrays(X) and not any(isinstance(row, str) for row in X)
        packed = self.decoder.decode_rows(X) if rows else self._packer.pack(X)
        answer = self._session.run(packed, (output,))[output]
        return decoded_texts(answer) if output in self._text_tables else answer

    def __repr__(self) -> str:
        return f"<afterfit.Model {self.name} {self.version} ({self.task}, {self.manifest.framework.model})>"


def load(path: str | os.PathLike[str], *, threads: int | None = None) -> Model:
    """Open a bundle and make it ready to answer.

    Runs no code from the file and imports no training framework. `threads` bounds the threads that large
    inputs are spread over; by default every core this process may use.

    Raises `BundleFormatError` if the file is not a bundle this release reads and `AuditError` if it breaks a
    rule of the format.
    """
    return Model(read_bundle(path), threads=threads)


def decoded_texts(texts: NDArray[Any]) -> NDArray[Any]:
    """The strings of a text output, None where one is missing; same shape, dtype object."""
    decoded = np.empty(texts.shape, dtype=object)
    decoded.ravel()[:] = [decode_text(text) for text in texts.ravel().tolist()]
    return decoded


def _is_exact(output: Output) -> bool:
    return (output.classes is not None and output.name == "prediction") or output.type != "float"


def _different_values(name: str, expected: list[Any], got: NDArray[Any]) -> list[str]:
    return [
        f"golden row {row}: {name} is {answer!r}, was {known!r} when saved"
        for row, (known, answer) in enumerate(zip(expected, got.tolist(), strict=True))
        if known != answer
    ]


def _different_numbers(
    name: str, expected: list[Any], got: NDArray[Any], tolerance: float
) -> tuple[float, list[str]]:
    known = np.array(expected, dtype=np.float64).reshape(got.shape)
    finite = np.abs(known[np.isfinite(known)])
    scale = max(1.0, float(finite.max(initial=0.0)))
    with np.errstate(invalid="ignore"):
        error = np.where((known == got) | (np.isnan(known) & np.isnan(got)), 0.0, np.abs(known - got) / scale)
    error = np.where(np.isnan(error), np.inf, error)
    bad = np.flatnonzero((error > tolerance).reshape(len(known), -1).any(axis=1))
    return float(error.max(initial=0.0)), [
        f"golden row {row}: {name} is {got[row].tolist()!r}, was {known[row].tolist()!r} when saved"
        for row in bad
    ]
