"""Bundle files in an S3-compatible object store, and a cache of them on this machine."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from afterfit.errors import ArgumentError, StoreError
from afterfit.store._blobs import FolderBlobs, draft

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE_VARIABLE = "AFTERFIT_CACHE"
_PART = 8 * 1024 * 1024


def cache_folder() -> Path:
    """Where this machine keeps copies: AFTERFIT_CACHE, or `afterfit` in the user's cache folder."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "afterfit"


class ObjectBlobs:
    """Blobs below `s3://BUCKET/PREFIX`; address and credentials are those of the environment, as AWS names them.

    AWS_ENDPOINT_URL names a server other than Amazon's; over plain HTTP only where that URL says `http://`.
    Laws as for `FolderBlobs`: an object appears whole, and what is fetched has the SHA-256 it was asked by.
    """

    def __init__(self, url: str, cache: Path) -> None:
        if importlib.util.find_spec("obstore") is None:
            raise ArgumentError('a store on S3 needs obstore: pip install "afterfit[s3]"')
        from obstore.store import S3Store

        parts = urlsplit(url)
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        self.url = url
        self._cache = FolderBlobs(cache)
        self._prefix = f"{parts.path.strip('/')}/" if parts.path.strip("/") else ""
        self._store = S3Store(
            parts.netloc,
            config={"endpoint": endpoint} if endpoint else {},
            client_options={"allow_http": endpoint.startswith("http://"), "timeout": "60s"},
        )

    def _key(self, address: str) -> str:
        return f"{self._prefix}sha256/{address[:2]}/{address}"

    def put(self, address: str, source: Path) -> None:
        """See `BlobStore`."""
        import obstore
        from obstore.exceptions import BaseError

        if self.has(address):
            return
        try:
            obstore.put(self._store, self._key(address), source, chunk_size=_PART)
        except BaseError as error:
            raise self._failed(error) from None

    def has(self, address: str) -> bool:
        """See `BlobStore`."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            obstore.head(self._store, self._key(address))
        except FileNotFoundError:
            return False
        except BaseError as error:
            raise self._failed(error) from None
        return True

    def fetch(self, address: str) -> Path:
        """See `BlobStore`; the copy of an earlier call is used again once its bytes were compared."""
        import obstore
        from obstore.exceptions import BaseError

        if self._cache.has(address):
            try:
                return self._cache.fetch(address)
            except StoreError:
                self._cache.delete(address)
        try:
            with draft(self._cache.drafts) as (temporary, file):
                for part in obstore.get(self._store, self._key(address)).stream(min_chunk_size=_PART):
                    file.write(part)
                file.flush()
                self._cache.put(address, temporary)
        except FileNotFoundError:
            raise StoreError(f"the bundle sha256:{address} is not in {self.url}; push it again") from None
        except BaseError as error:
            raise self._failed(error) from None
        return self._cache.fetch(address)

    def addresses(self) -> Iterator[str]:
        """See `BlobStore`."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            for page in obstore.list(self._store, prefix=f"{self._prefix}sha256/"):
                for found in page:
                    yield found["path"].rpartition("/")[2]
        except BaseError as error:
            raise self._failed(error) from None

    def delete(self, address: str) -> None:
        """See `BlobStore`."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            obstore.delete(self._store, self._key(address))
        except FileNotFoundError:
            return
        except BaseError as error:
            raise self._failed(error) from None

    def sweep(self) -> int:
        """See `BlobStore`: nothing of an object that is not whole is to be seen; only the cache is swept."""
        return self._cache.sweep()

    def _failed(self, error: Exception) -> StoreError:
        reason = str(error).strip().splitlines()[0][:300]
        return StoreError(f"{self.url} cannot be used: {reason}")
