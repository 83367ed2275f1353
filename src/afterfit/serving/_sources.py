"""Where the models of a server come from: files, and names in a store that are asked for again and again."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from afterfit.errors import AfterfitError, BundleFormatError, StoreError
from afterfit.serving._swap import Stamp, stamp
from afterfit.store import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from afterfit.runtime import Model
    from afterfit.signing import Trust
    from afterfit.store import Store, Version

_log = logging.getLogger("afterfit.serving")

Source = str | Reference
"""The path of a bundle, or a name in the store."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that proved itself, and the file it is from. `asked` and `version` where that is the store's."""

    model: Model
    path: Path
    asked: tuple[Reference, ...] = ()
    version: Version | None = None


class Sources:
    """Looks where each source leads now, and loads what is there.

    `store` is the URL of the store that references are looked up in. A model spreads many rows over `threads`. With
    `trust`, only what somebody trusted signed is loaded. Methods but `adopt` and `signatures` may wait for a disk or a
    network, and are called in one thread at a time.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        store: str | None,
        *,
        threads: int = 1,
        trust: Trust | None = None,
    ) -> None:
        self._sources = sources
        self._url = store
        self._threads = threads
        self._trust = trust
        self._store: Store | None = None
        self.loaded: Sequence[Loaded] = ()

    def look(self) -> list[Stamp | Version]:
        """What each source leads to. Raises `StoreError` where the store cannot be asked."""
        return [
            self._open().resolve(source) if isinstance(source, Reference) else stamp(source)
            for source in self._sources
        ]

    def load(self, found: Sequence[Stamp | Version]) -> list[Loaded]:
        """Open every bundle that a look found and replay its golden rows.

        A version of the store that is served already, and so has proved itself, is taken over. Several references
        to one version are one model. Raises AfterfitError where a bundle is not to be trusted.
        """
        known = {one.version.digest: one for one in self.loaded if one.version is not None}
        loaded: list[Loaded] = []
        for source, version in zip(self._sources, found, strict=True):
            if isinstance(source, str):
                loaded.append(self._load_file(Path(source)))
            elif isinstance(version, tuple) or version is None:
                raise TypeError("a look at a reference finds a version")
            else:
                same = [one for one in loaded if one.version == version]
                asked = (*(reference for one in same for reference in one.asked), source)
                loaded = [one for one in loaded if one not in same]
                before = same[0] if same else known.get(version.digest)
                loaded.append(
                    self._fetch(version, asked)
                    if before is None
                    else replace(before, asked=asked, version=version)
                )
        return loaded

    def _load_file(self, path: Path) -> Loaded:
        with trusted_copy(path, self._trust, lambda: signature_beside(path)) as own:
            return Loaded(_prove(own, str(path), self._threads), path)

    def _fetch(self, version: Version, asked: tuple[Reference, ...]) -> Loaded:
        store = self._open()
        path = store.fetch(version)
        with trusted_copy(path, self._trust, lambda: store.signatures(version), str(version)) as own:
            model = _prove(own, str(path), self._threads)
        if model.bundle.digest != version.digest:
            raise StoreError(f"{version} is sha256:{model.bundle.digest}, not the bundle that was pushed")
        return Loaded(model, path, asked, version)

    def adopt(self, loaded: Sequence[Loaded]) -> None:
        """Remember what is served from now on."""
        self.loaded = loaded

    def signatures(self, version: Version) -> list[bytes]:
        """The signatures that the store has of a version that is served. Raises `StoreError` where it is away."""
        return self._open().signatures(version)

    def _open(self) -> Store:
        if self._store is None:
            from afterfit.store import Store

            self._store = Store(self._url)
        return self._store


@contextmanager
def trusted_copy(
    path: Path,
    trust: Trust | None,
    signatures: Callable[[], list[bytes]],
    what: str | None = None,
) -> Iterator[Path]:
    """The file to open for `path`: itself, or with `trust` a copy of ours, whose bytes somebody trusted signed.

    A copy, since who may write to the file could put another in its place after the signature was verified. Raises
    `SignatureError` where nobody trusted signed it.
    """
    if trust is None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="afterfit-") as folder:
        own = Path(folder) / path.name
        try:
            shutil.copyfile(path, own)
            with own.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BundleFormatError(f"{path} cannot be read: {error.strerror or error}") from None
        who = trust.verify_any(signatures(), digest, what or str(path))
        _log.info("%s is signed by %s", what or path, who)
        yield own


def signature_beside(path: Path) -> list[bytes]:
    """The signature of a bundle's file, in the file of its name with `.sig`, if there is one."""
    from afterfit.signing import LIMIT

    try:
        with path.with_name(f"{path.name}.sig").open("rb") as file:
            return [file.read(LIMIT + 1)]
    except FileNotFoundError:
        return []


def _prove(own: Path, path: str, threads: int) -> Model:
    from afterfit.runtime import load

    model = load(own, threads=threads)
    report = model.verify()
    if not report.ok:
        raise AfterfitError(f"{path} does not answer as when it was saved: {report.failures[0]}")
    return model
