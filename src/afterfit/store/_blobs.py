"""Bundle files by the SHA-256 of their bytes, in a folder: `sha256/ab/abcd...`."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Protocol

from afterfit.bundle import sync_folder
from afterfit.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = 1 << 20
STALE_SECONDS = 24 * 3600
"""A temporary file that was not written to for this long belongs to a process that is gone."""

_ADDRESS = re.compile(r"[0-9a-f]{64}")


class BlobStore(Protocol):
    """Files by their SHA-256. A file is there whole or not at all, and never changes."""

    def put(self, address: str, source: Path) -> None:
        """Keep the bytes of `source`, whose SHA-256 is `address`. Putting them again changes nothing."""
        ...

    def has(self, address: str) -> bool:
        """Whether the file is there."""
        ...

    def fetch(self, address: str) -> Path:
        """A local file with these bytes, not to be written to. Raises `StoreError` if it is not there, or damaged."""
        ...

    def addresses(self) -> Iterator[str]:
        """Every file that is there."""
        ...

    def delete(self, address: str) -> None:
        """Remove a file, if it is there."""
        ...

    def sweep(self) -> int:
        """Remove what processes that were killed left half-written; how many files that were."""
        ...


class FolderBlobs:
    """Blobs in a folder.

    Laws: a file under its address is whole, since it was renamed there after fsync; `fetch` returns only bytes
    whose SHA-256 is the address; two processes that put the same bytes both succeed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.drafts = folder / "drafts"

    def path(self, address: str) -> Path:
        """Where the bytes of `address` are, or would be."""
        return self.folder / "sha256" / address[:2] / address

    def put(self, address: str, source: Path) -> None:
        """See `BlobStore`."""
        target = self.path(address)
        if target.is_file() and digest_of(target) == address:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with draft(self.drafts) as (temporary, file):
            with source.open("rb") as content:
                found = copy_hashed(content, file)
            if found != address:
                raise StoreError(f"{source} changed while it was stored; push it again")
            temporary.replace(target)
        sync_folder(target.parent)

    def has(self, address: str) -> bool:
        """See `BlobStore`."""
        return self.path(address).is_file()

    def fetch(self, address: str) -> Path:
        """See `BlobStore`."""
        path = self.path(address)
        if not path.is_file():
            raise StoreError(f"the bundle sha256:{address} is not in the store; push it again")
        if digest_of(path) != address:
            raise StoreError(f"{path} is damaged: its bytes are not those that were pushed; push them again")
        return path

    def addresses(self) -> Iterator[str]:
        """See `BlobStore`."""
        for path in self.folder.glob("sha256/??/*"):
            if _ADDRESS.fullmatch(path.name):
                yield path.name

    def delete(self, address: str) -> None:
        """See `BlobStore`."""
        self.path(address).unlink(missing_ok=True)

    def sweep(self) -> int:
        """See `BlobStore`."""
        removed = 0
        for path in self.drafts.glob("*.tmp"):
            try:
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()
                    removed += 1
            except FileNotFoundError:
                continue
        return removed


@contextmanager
def draft(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file in `folder`, open for writing; what is not renamed is removed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{secrets.token_hex(8)}.tmp"
    try:
        with path.open("xb") as file:
            yield path, file
    finally:
        path.unlink(missing_ok=True)


def copy_hashed(source: BinaryIO, target: BinaryIO) -> str:
    """Copy all of `source` to `target`, on the disk when this returns; the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        target.write(chunk)
    target.flush()
    os.fsync(target.fileno())
    return digest.hexdigest()


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
