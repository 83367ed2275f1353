"""What every file format offers: a source of batches, and a sink for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from afterfit.errors import CellError
    from afterfit.schema import Packed


@dataclass(frozen=True, slots=True)
class Malformed:
    """A row that could not be cut into cells. `number` counts the data rows of the file from 1."""

    number: int
    error: CellError
    text: str


class Batch(ABC):
    """Some rows of a file. `rows`: positions in ascending order, or None for all rows.

    `numbers` int64 `[n]`: the number of each row among the data rows of the file, counted from 1.
    `malformed`: rows up to the last of these that could not be cut into cells, and so are not among them.
    `cell_errors`: by position in the batch, what could not be converted to the type of its column.
    """

    numbers: NDArray[np.int64]
    malformed: tuple[Malformed, ...]
    cell_errors: Mapping[int, Sequence[CellError]]

    @abstractmethod
    def pack(self, rows: NDArray[np.intp] | None = None) -> Packed:
        """The rows as the graph takes them; SchemaError, its rows counted in `rows`, if they do not fit."""

    @abstractmethod
    def table(self, rows: NDArray[np.intp] | None = None) -> pa.Table:
        """The rows with the types of `Source.schema`."""

    @abstractmethod
    def text(self, rows: NDArray[np.intp] | None = None) -> pa.Table:
        """The rows as they read in a CSV file: every column of type string, null where a cell is empty."""

    @abstractmethod
    def records(self, rows: NDArray[np.intp] | None = None) -> list[dict[str, Any]]:
        """The rows as JSON objects."""

    @abstractmethod
    def raw(self, position: int) -> dict[str, Any]:
        """One row as it stands in the file, as a JSON object."""


class Source(ABC):
    """A file that is read in batches.

    `schema`: names and types of the columns. `fraction`: how much of the file has been read, from 0 to 1;
    None where its size is not known.
    """

    schema: pa.Schema

    @property
    @abstractmethod
    def fraction(self) -> float | None:
        """How much of the file has been read."""

    @abstractmethod
    def __iter__(self) -> Iterator[Batch]:
        """The batches, in order, once. Raises ArgumentError where the file breaks its format."""

    def line(self, number: int) -> int | None:
        """The physical line on which data row `number` begins, counted from 1; None where it is not known."""
        del number
        return None

    @abstractmethod
    def close(self) -> None:
        """Close the file."""


class Sink(ABC):
    """A file that scored rows are written to."""

    @abstractmethod
    def write(self, batch: Batch, rows: NDArray[np.intp] | None, answers: pa.Table) -> None:
        """Write the given rows of a batch with their answers, a table of as many rows."""

    @abstractmethod
    def finish(self) -> None:
        """Write what a file of this format ends with. Leaves the underlying file open."""

    @abstractmethod
    def close(self) -> None:
        """Give everything up; nothing is written to the file any more."""
