"""Bytes of a file, counted as they are read."""

from __future__ import annotations

import gzip
import io
import stat
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from afterfit.runtime._files._formats import FileFormat


class _Counted(io.RawIOBase):
    """A binary file that knows how much of it has been read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = self._file.read(len(view))
        view[: len(data)] = data
        self.count += len(data)
        return len(data)


class ByteStream(io.RawIOBase):
    """The uncompressed bytes of a file or of a stream.

    `peek` looks at the beginning without consuming it. Raises ArgumentError where compressed data are damaged
    or cut short.
    """

    def __init__(self, file: Path | BinaryIO, form: FileFormat) -> None:
        self.label = str(file) if isinstance(file, Path) else "standard input"
        self._size: int | None = None
        self._owned = isinstance(file, Path)
        if isinstance(file, Path):
            self._raw: BinaryIO = file.open("rb")
            status = file.stat()
            self._size = status.st_size if stat.S_ISREG(status.st_mode) else None
        else:
            self._raw = file
        self._counted = _Counted(self._raw)
        self._bytes: io.BufferedIOBase | _Counted = self._counted
        if form.gzip:
            self._bytes = gzip.GzipFile(fileobj=io.BufferedReader(self._counted, 1 << 18))
        self._head = b""

    @property
    def fraction(self) -> float | None:
        """How much of the file has been read, from 0 to 1; None where its size is not known."""
        return None if self._size is None else min(1.0, self._counted.count / max(1, self._size))

    def peek(self, size: int) -> bytes:
        """The first bytes, `size` of them or all there are. To be called before anything is read."""
        while len(self._head) < size:
            data = self._next(size - len(self._head))
            if not data:
                break
            self._head += data
        return self._head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        if self._head:
            data, self._head = self._head[: len(view)], self._head[len(view) :]
        else:
            data = self._next(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file; a stream that was given is left to whoever gave it."""
        super().close()
        if self._owned:
            self._raw.close()

    def _next(self, size: int) -> bytes:
        try:
            return self._bytes.read(size) or b""
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ArgumentError(f"{self.label} is damaged or cut short: {error}") from error
