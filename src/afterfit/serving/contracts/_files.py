"""Bodies that hold tables: CSV, Arrow IPC and Parquet, in and out. Needs the extra `files` (pyarrow)."""

from __future__ import annotations

import importlib.util
import math
from functools import partial
from typing import TYPE_CHECKING, Literal

from afterfit.errors import ArgumentError
from afterfit.serving._body import CONTENT_TYPE
from afterfit.serving._data_plane import INLINE_BODY, INLINE_ROWS
from afterfit.serving._exchange import NOSNIFF, HttpError, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from afterfit.runtime._files._body import BodyReader
    from afterfit.runtime._scoring import Answers
    from afterfit.schema import Packed
    from afterfit.serving._batching import Batch, Ticket
    from afterfit.serving._data_plane import DataPlane, ServedModel

CSV = b"text/csv"
ARROW = b"application/vnd.apache.arrow.stream"
PARQUET = b"application/vnd.apache.parquet"

FILE_BODIES = frozenset({CSV, ARROW, PARQUET})

_KINDS: dict[bytes, Literal["csv", "arrow stream", "parquet"]] = {
    CSV: "csv",
    ARROW: "arrow stream",
    PARQUET: "parquet",
}


_INLINE_BYTES = 4 * INLINE_BODY
_INLINE_CELLS = 16 * 1024
"""Of a body or an answer in Arrow: so much is read or written on the event loop, because a thread costs as much.

Bytes alone bound nothing: a column of nulls takes none.
"""

_INLINE_MESSAGES = 8
"""Of a body in Arrow: record batches and dictionaries."""


def media_type(header: bytes | None) -> bytes:
    """The media type of a Content-Type, in lower case and without parameters."""
    return b"" if header is None else header.partition(b";")[0].strip().lower()


def wanted_file(accept: bytes | None) -> bytes | None:
    """The first of our media types of files that an Accept names; None where it names none."""
    if accept is None or accept == b"*/*":
        return None
    for part in accept.split(b","):
        media, *parameters = part.split(b";")
        refused = any(parameter.strip().lower() in {b"q=0", b"q=0.0"} for parameter in parameters)
        if media.strip().lower() in FILE_BODIES and not refused:
            return media.strip().lower()
    return None


class FileReader:
    """Reads and writes the tables of one model."""

    def __init__(self, plane: DataPlane, served: ServedModel) -> None:
        self._plane = plane
        self._served = served
        self._is_ready = False
        self._reader: BodyReader | None = None
        self._answers: Answers | None = None
        sizes = [size for output in served.model.schema.outputs for size in output.shape[1:]]
        self._answer_width = (
            sum(math.prod(output.shape[1:]) for output in served.model.schema.outputs)
            if all(size >= 0 for size in sizes)
            else None
        )

    def is_long(self, body: bytes, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a body is to be read beside the event loop, as all but short ones of Arrow are.

        Must be called after `decoder`.
        """
        if media_type(headers.get(CONTENT_TYPE)) == ARROW and len(body) <= _INLINE_BYTES:
            from afterfit.runtime._files._ipc import stated_rows

            rows = stated_rows(body, _INLINE_MESSAGES)
            return rows is None or rows * len(self._served.model.schema.columns) > _INLINE_CELLS
        return True

    def inline_rows(self, media: bytes | None) -> int:
        """How many rows of an answer are written on the event loop."""
        if media != ARROW or self._answer_width is None:
            return INLINE_ROWS
        return max(INLINE_ROWS, _INLINE_CELLS // max(1, self._answer_width))

    async def decoder(self, body: bytes, headers: Mapping[bytes, bytes]) -> Callable[[], Packed]:
        """What reads the rows of a body of one of our media types; HttpError without pyarrow."""
        await self.prepare()
        header = headers.get(CONTENT_TYPE)
        absent = header is not None and b"header=absent" in header.replace(b" ", b"").lower()
        return partial(self._read, body, media_type(header), has_header=not absent)

    async def writer(self, media: bytes) -> Callable[[Batch, Ticket], Response]:
        """What writes an answer as a body of this media type; HttpError without pyarrow."""
        await self.prepare()
        return partial(self._write, media)

    async def prepare(self) -> None:
        """Import what is needed, which takes long the first time. Raises HttpError without pyarrow."""
        if self._is_ready:
            return
        if importlib.util.find_spec("pyarrow") is None:
            raise HttpError(
                415,
                "files-not-installed",
                "This server reads and writes JSON only; for CSV, Arrow and Parquet it needs pyarrow: "
                'pip install "afterfit[files]".',
            )
        await self._plane.in_thread(_import_files)
        self._is_ready = True

    def _read(self, body: bytes, media: bytes, *, has_header: bool) -> Packed:
        from afterfit.runtime._files._body import BodyReader
        from afterfit.runtime._scoring import pack_all

        if self._reader is None:
            limits = self._plane.limits
            self._reader = BodyReader(
                self._served.model.schema, max_rows=limits.max_rows, max_bytes=limits.max_body
            )
        try:
            batch = self._reader.read(body, _KINDS[media], has_header=has_header)
        except ArgumentError as error:
            detail = "The body cannot be read" if self._plane.policy.redact else str(error)
            raise HttpError(400, "not-readable", f"{detail[:1].upper()}{detail[1:]}.") from None
        # No text is longer than what it is written in, but for Parquet, which packs it.
        return self._served.admit(pack_all(batch), math.inf if media == PARQUET else len(body))

    def _write(self, media: bytes, batch: Batch, ticket: Ticket) -> Response:
        from afterfit.runtime._files._body import write_body
        from afterfit.runtime._scoring import Answers

        served = self._served
        try:
            self._answers = self._answers or Answers(served.model.schema)
        except ArgumentError as error:
            raise HttpError(406, "not-a-table", f"The answer is no table: {error}; ask for JSON.") from None
        found = {name: array[ticket.start : ticket.stop] for name, array in batch.arrays.items()}
        head = [(b"content-type", media), NOSNIFF]
        if batch.unusual:
            warnings = served.count_unusual(ticket.packed)
            if warnings:
                head.append((b"afterfit-warnings", str(warnings).encode()))
        return Response(write_body(self._answers.table(found), _KINDS[media]), headers=head)


def _import_files() -> None:
    import afterfit.runtime._files._body
    import afterfit.runtime._scoring  # noqa: F401 - so that the first request does not wait for it
