"""Where the models of a server come from: files, and names in a store that are asked for again and again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from afterfit.errors import AfterfitError, StoreError
from afterfit.serving._swap import Stamp, stamp
from afterfit.store import Reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterfit.runtime import Model
    from afterfit.store import Store, Version

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

    `store` is the URL of the store that references are looked up in. A model spreads many rows over `threads`.
    Methods but `adopt` may wait for a disk or a network, and are called in one thread at a time.
    """

    def __init__(self, sources: Sequence[Source], store: str | None, threads: int = 1) -> None:
        self._sources = sources
        self._url = store
        self._threads = threads
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
                loaded.append(Loaded(_prove(source, self._threads), Path(source)))
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

    def _fetch(self, version: Version, asked: tuple[Reference, ...]) -> Loaded:
        path = self._open().fetch(version)
        model = _prove(str(path), self._threads)
        if model.bundle.digest != version.digest:
            raise StoreError(f"{version} is sha256:{model.bundle.digest}, not the bundle that was pushed")
        return Loaded(model, path, asked, version)

    def adopt(self, loaded: Sequence[Loaded]) -> None:
        """Remember what is served from now on."""
        self.loaded = loaded

    def _open(self) -> Store:
        if self._store is None:
            from afterfit.store import Store

            self._store = Store(self._url)
        return self._store


def _prove(path: str, threads: int) -> Model:
    from afterfit.runtime import load

    model = load(path, threads=threads)
    report = model.verify()
    if not report.ok:
        raise AfterfitError(f"{path} does not answer as when it was saved: {report.failures[0]}")
    return model
