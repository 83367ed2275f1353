"""Bytes of a file, counted as they are read."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import TYPE_CHECKING

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import WriteableBuffer

    from afterfit.runtime._files._formats import FileFormat


class ByteStream(io.RawIOBase):
    """The uncompressed bytes of a file; ArgumentError where compressed data are damaged or cut short."""

    def __init__(self, path: Path, form: FileFormat, label: str) -> None:
        self._label = label
        self._size = path.stat().st_size
        self._file = path.open("rb")
        self._bytes = gzip.GzipFile(fileobj=self._file) if form.gzip else self._file

    @property
    def fraction(self) -> float:
        """How much of the file has been read, from 0 to 1."""
        return min(1.0, self._file.tell() / max(1, self._size))

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read some bytes; 0 at the end."""
        view = memoryview(buffer)
        try:
            data = self._bytes.read(len(view))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ArgumentError(f"{self._label} is damaged or cut short: {error}") from error
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        super().close()
        self._file.close()
