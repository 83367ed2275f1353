"""The bytes of a pickle, whatever joblib compressed them with, read as a stream."""

from __future__ import annotations

import bz2
import gzip
import importlib
import importlib.util
import io
import lzma
import pickle
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from afterfit.capture._adopt._unpickle import Unpickler
from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import WriteableBuffer

    from afterfit.capture._adopt._allowed import AllowList

_DAMAGED = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RecursionError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    OSError,
)
"""What Python's own reader, NumPy and the compressors raise over bytes that are no whole pickle."""


class _ZlibFile(io.RawIOBase):
    """The content of a zlib stream."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._zlib = zlib.decompressobj()

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read some bytes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = b""
        while not data and not self._zlib.eof:
            raw = self._zlib.unconsumed_tail or self._file.read(1 << 16)
            if not raw:
                raise EOFError("the compressed data end early")
            data = self._zlib.decompress(raw, len(view))
        view[: len(data)] = data
        return len(data)


def unpickle(path: Path, allowed: AllowList) -> tuple[Any, set[str]]:
    """The object in a file that pickle or joblib wrote, and the versions of scikit-learn it was made with.

    Raises `ArgumentError` where the file is damaged or asks for what is not allowed.
    """
    # scikit-learn's warning about versions is one of the things that the caller is told, in one sentence.
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = Unpickler(_decompressed(file, path.name), allowed)
        try:
            return reader.load(), reader.versions
        except ArgumentError:
            raise
        except MemoryError as error:
            raise ArgumentError(f"{path.name} asks for more memory than adopting may take") from error
        except _DAMAGED as error:
            raise ArgumentError(
                f"{path.name} is not a whole pickle of a model: {type(error).__name__}: {error}"
            ) from error


def _decompressed(file: BinaryIO, name: str) -> BinaryIO:
    head = file.read(8)
    file.seek(0)
    stream: Any = file
    if head.startswith(b"\x1f\x8b"):
        stream = gzip.GzipFile(fileobj=file)
    elif head.startswith(b"BZh"):
        stream = bz2.BZ2File(file)
    elif head.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
        stream = lzma.LZMAFile(file)  # noqa: SIM115 - closed with the file below it
    elif head.startswith(b"\x04\x22\x4d\x18"):
        if importlib.util.find_spec("lz4") is None:
            raise ArgumentError(f"{name} is compressed with LZ4: pip install lz4")
        stream = importlib.import_module("lz4.frame").LZ4FrameFile(file)
    elif len(head) > 1 and head[0] == 0x78 and int.from_bytes(head[:2]) % 31 == 0:
        stream = _ZlibFile(file)
    elif head.startswith(b"ZF"):
        raise ArgumentError(
            f"{name} was written by joblib before 0.10; load and dump it with a newer one first"
        )
    return cast("BinaryIO", io.BufferedReader(stream, 1 << 18))
