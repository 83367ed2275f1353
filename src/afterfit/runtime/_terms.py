"""Inputs made of text: terms and their counts, in chunks that bound the memory a graph needs for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.schema import TermReader, decode_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from afterfit.schema import Analyzer, Column, Packed
    from afterfit.schema._terms import Counts

TERMS = 65_536
"""Terms in one call of ONNX Runtime, the gaps of shorter rows counted, unless a single row has more."""

MATRIX = 4_194_304
"""Numbers of the widest matrix that a graph makes of terms, in one call; 32 MiB of float64."""

COUNTED_ROWS = 1024
"""Rows whose terms are counted together. Those of them with about as many terms share a chunk."""

COUNTED_CHARACTERS = 1_048_576
"""Characters of such rows, shared by the lengths of n-grams, unless a single row has more."""


class TextInputs:
    """Makes the inputs `terms0`, `counts0` and so on of the text columns they come from."""

    def __init__(self, analyzed: Sequence[tuple[Column, Analyzer]], chunk_rows: int) -> None:
        self._readers = [
            (column.position or 0, TermReader(analyzer), analyzer.inputs) for column, analyzer in analyzed
        ]
        orders = max(1 + longest - shortest for shortest, longest in (a.ngram_range for _, a in analyzed))
        self._characters = COUNTED_CHARACTERS // orders
        widest = max(analyzer.matrix_width for _, analyzer in analyzed)
        self._chunk_rows = max(1, min(chunk_rows, MATRIX // max(widest, 1)))

    def chunks(self, packed: Packed, order: list[NDArray[np.intp]]) -> Iterator[Packed]:
        """The rows in chunks, each with its terms; at least one chunk, even of no rows.

        Rows do not keep their order: which rows a chunk holds is appended to `order` when it is made.
        """
        texts = packed["text"]
        start = 0
        for stop in self._stops(texts) if len(texts) else [0]:
            counted = [
                reader.count([decode_text(text) or "" for text in texts[start:stop, position].tolist()])
                for position, reader, _ in self._readers
            ]
            widths = np.array([[len(terms) for terms, _ in rows] for rows in counted]).max(axis=0)
            for chosen in self._groups(widths):
                order.append(chosen + start)
                yield self._chunk(packed, chosen, start, counted)
            start = stop

    def _stops(self, texts: NDArray[Any]) -> Iterator[int]:
        """Where the rows that are counted together end."""
        lengths = np.zeros(len(texts), dtype=np.int64)
        for position, _, _ in self._readers:
            lengths += np.fromiter(map(len, texts[:, position].tolist()), dtype=np.int64, count=len(texts))
        start = 0
        while start < len(texts):
            ends = np.cumsum(lengths[start : start + COUNTED_ROWS])
            start += max(1, int(np.searchsorted(ends, self._characters, side="right")))
            yield start

    def _groups(self, widths: NDArray[np.int64]) -> Iterator[NDArray[np.intp]]:
        """The rows that make a chunk: neighbours by their number of terms, since shorter ones leave gaps."""
        if len(widths) <= 1:
            yield np.arange(len(widths))
            return
        ordered = np.argsort(widths, kind="stable")
        start = 0
        for place in range(1, len(ordered) + 1):
            rows = place - start + 1
            if place == len(ordered) or rows > self._chunk_rows or rows * widths[ordered[place]] > TERMS:
                yield ordered[start:place]
                start = place

    def _chunk(
        self, packed: Packed, chosen: NDArray[np.intp], start: int, counted: Sequence[Sequence[Counts]]
    ) -> Packed:
        chunk = {name: array[chosen + start] for name, array in packed.items()}
        rows = chosen.tolist()
        for (_, reader, names), terms in zip(self._readers, counted, strict=True):
            chunk.update(zip(names, reader.pack([terms[row] for row in rows]), strict=True))
        return chunk
