"""A file that is there whole or not at all."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path


class AtomicFile:
    """A file written under a temporary name in the same folder, and renamed when it is complete.

    Laws: until `commit` returns, `path` is as it was; after `discard`, nothing is left of the temporary file;
    both may be called when nothing was opened, and a second call does nothing.
    """

    def __init__(self, path: Path) -> None:
        # A link is followed, so that the file it points to is replaced and the link stays.
        self.path = path.resolve()
        self._temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.tmp")
        self._file: BinaryIO | None = None

    @property
    def file(self) -> BinaryIO:
        """The file to write to, opened the first time it is asked for."""
        if self._file is None:
            self._file = self._temporary.open("xb")
        return self._file

    def commit(self) -> None:
        """Put the file in its place: flush, fsync, rename."""
        if self._file is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self.path)
        self._file = None

    def discard(self) -> None:
        """Remove what was written."""
        if self._file is None:
            return
        self._file.close()
        self._temporary.unlink(missing_ok=True)
        self._file = None
