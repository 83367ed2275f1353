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

COUNTED_ROWS = 64
"""Rows whose terms are counted together, so that fresh terms are hashed together."""

COUNTED_CHARACTERS = 262_144
"""Characters of such rows, unless a single row has more."""


class TextInputs:
    """Makes the inputs `terms0`, `counts0` and so on of the text columns they come from."""

    def __init__(self, analyzed: Sequence[tuple[Column, Analyzer]], chunk_rows: int) -> None:
        self._readers = [
            (column.position or 0, TermReader(analyzer), analyzer.inputs) for column, analyzer in analyzed
        ]
        widest = max(analyzer.matrix_width for _, analyzer in analyzed)
        self._chunk_rows = max(1, min(chunk_rows, MATRIX // max(widest, 1)))

    def chunks(self, packed: Packed) -> Iterator[Packed]:
        """The rows in chunks, each with its terms; at least one chunk, even of no rows."""
        start = widest = 0
        held: list[list[Any]] = [[] for _ in self._readers]
        for number, row in enumerate(self._counted(packed["text"])):
            width = max(len(terms) for terms, _ in row)
            count = number - start
            if count and (count >= self._chunk_rows or (count + 1) * max(widest, width) > TERMS):
                yield self._chunk(packed, start, held)
                start, widest = number, 0
                held = [[] for _ in self._readers]
            widest = max(widest, width)
            for kept, terms in zip(held, row, strict=True):
                kept.append(terms)
        yield self._chunk(packed, start, held)

    def _counted(self, texts: NDArray[Any]) -> Iterator[tuple[Counts, ...]]:
        """The terms of each row, for each analyzer."""
        lengths = sum(_lengths(texts[:, position]) for position, _, _ in self._readers)
        start = 0
        while start < len(texts):
            ends = np.cumsum(lengths[start : start + COUNTED_ROWS])
            stop = start + max(1, int(np.searchsorted(ends, COUNTED_CHARACTERS, side="right")))
            rows = [
                reader.count([decode_text(text) or "" for text in texts[start:stop, position].tolist()])
                for position, reader, _ in self._readers
            ]
            yield from zip(*rows, strict=True)
            start = stop

    def _chunk(self, packed: Packed, start: int, counted: Sequence[Sequence[Any]]) -> Packed:
        chunk = {name: array[start : start + len(counted[0])] for name, array in packed.items()}
        for (_, reader, names), rows in zip(self._readers, counted, strict=True):
            chunk.update(zip(names, reader.pack(rows), strict=True))
        return chunk


def _lengths(texts: NDArray[Any]) -> NDArray[np.int64]:
    return np.fromiter(map(len, texts.tolist()), dtype=np.int64, count=len(texts))
