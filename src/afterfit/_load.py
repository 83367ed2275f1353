"""`afterfit.load`: a bundle by its path, or by its name in the store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from afterfit.runtime import load as load_file

if TYPE_CHECKING:
    from afterfit.runtime import Model


def load(source: str | os.PathLike[str], *, threads: int | None = None) -> Model:
    """Open a bundle and make it ready to answer.

    `source` is a path, or a text such as `flights`, `flights@3`, `flights@production` or `flights@sha256:...`,
    which names a version in the store (AFTERFIT_STORE, or `.afterfit` in the working directory or above it)
    where there is no such file; what has a `/` in it, or ends in `.afit`, is always a path. Runs no code from the
    file and imports no training framework. `threads` bounds the threads that large inputs are spread over; by
    default every core this process may use.

    Raises `BundleFormatError` if the file is not a bundle this release reads, `AuditError` if it breaks a
    rule of the format, and `StoreError` if the store does not have what is named.
    """
    return load_file(find_bundle(source), threads=threads)


def find_bundle(source: str | os.PathLike[str]) -> Path:
    """The file of a bundle: `source` itself if it is a path, the store's file if it names a version.

    Raises `StoreError` if the store does not have what is named.
    """
    path = Path(source)
    if (
        not isinstance(source, str)
        or os.sep in source
        or "/" in source
        or path.suffix == ".afit"
        or path.exists()
    ):
        return path
    from afterfit.store import is_reference

    if not is_reference(source):
        return path
    from afterfit.store import Store

    with Store() as store:
        return store.fetch(store.resolve(source))
