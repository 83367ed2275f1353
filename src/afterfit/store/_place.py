"""Where the store is: a folder found upward from the working directory, or what AFTERFIT_STORE says."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from afterfit._home import FOLDER, VARIABLE, home_folder, named_store
from afterfit.errors import ArgumentError, StoreError

RECORDS = "records.db"
POSTGRES = "postgresql+psycopg"
_SCHEMES = {"postgres", "postgresql", POSTGRES}
_OBJECTS = {"s3"}


@dataclass(frozen=True, slots=True)
class Place:
    """A store's two halves: records and blobs. `url` is what opens it again from any folder.

    `folder` is where the records are, or None where `server`, a URL of SQLAlchemy, says it. `blobs` is a folder
    or an `s3://` URL.
    """

    url: str
    blobs: str
    folder: Path | None = None
    server: str | None = None

    def __str__(self) -> str:
        """The place in a message: without a password."""
        if self.folder is not None:
            return str(self.folder)
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{host}{port}{parts.path}"


def find_place(url: str | os.PathLike[str] | None = None, *, create: bool = False) -> Place:
    """The place of the store at `url`: a folder, or `postgresql://...?blobs=s3://BUCKET/PREFIX`.

    Without `url`, AFTERFIT_STORE says it; without that, it is the nearest folder `.afterfit` from the working
    directory upward, which runs are recorded in too. With `create`, `.afterfit` of the working directory where there is
    none.

    Raises `StoreError` where there is no store, and `ArgumentError` for a URL that cannot be used.
    """
    given = os.fspath(url) if url is not None else named_store()
    if given is None:
        return _of_folder(_nearest(create=create))
    if "://" not in given:
        folder = Path(given)
        if not create and not (folder / RECORDS).is_file():
            raise StoreError(f"there is no store at {folder}; `afterfit push` makes one")
        return _of_folder(folder)
    return _of_server(given)


def _nearest(*, create: bool) -> Path:
    folder = home_folder()
    if create or (folder / RECORDS).is_file():
        return folder
    if folder.is_dir():
        raise StoreError(
            f"there is no store in {folder}; `afterfit push` makes one there, {VARIABLE} names another folder"
        )
    raise StoreError(
        f"there is no store ({FOLDER}) in {folder.parent} or above it; `afterfit push` makes one, {VARIABLE} names one"
    )


def _of_folder(folder: Path) -> Place:
    folder = folder.resolve()
    return Place(str(folder), str(folder / "blobs"), folder=folder)


def _of_server(url: str) -> Place:
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise ArgumentError(
            f"a store cannot be at {parts.scheme}://; give a folder, or postgresql://...?blobs=s3://BUCKET/PREFIX"
        )
    options = dict(parse_qsl(parts.query))
    blobs = options.pop("blobs", "")
    if not blobs:
        raise ArgumentError(
            "the URL of the store does not say where bundles are kept; "
            "add ?blobs=s3://BUCKET/PREFIX, or ?blobs= and a folder that everybody shares"
        )
    if "://" in blobs and urlsplit(blobs).scheme not in _OBJECTS:
        raise ArgumentError(f"bundles cannot be kept at {blobs}; give s3://BUCKET/PREFIX or a folder")
    if "://" not in blobs:
        blobs = str(Path(blobs).resolve())
    server = urlunsplit((POSTGRES, parts.netloc, parts.path, urlencode(options), ""))
    return Place(url, blobs, server=server)
