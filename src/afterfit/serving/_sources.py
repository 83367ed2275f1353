"""Where the models of a server come from: files, and names in a store that are asked for again and again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from afterfit.errors import AfterfitError, StoreError
from afterfit.serving._swap import stamp
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

    `store` is the URL of the store that references are looked up in. Methods but `adopt` may wait for a disk or
    a network, and are called in one thread at a time.
    """

    def __init__(self, sources: Sequence[Source], store: str | None) -> None:
        self._sources = sources
        self._url = store
        self._store: Store | None = None
        self.loaded: Sequence[Loaded] = ()

    def look(self) -> list[object]:
        """What differs where a source leads to another bundle. Raises `StoreError` where the store cannot be asked."""
        return [
            self._open().resolve(source).digest if isinstance(source, Reference) else stamp(source)
            for source in self._sources
        ]

    def load(self) -> list[Loaded]:
        """Open every bundle and replay its golden rows.

        A version of the store that is served already, and so has proved itself, is taken over. Several references
        to one version are one model. Raises AfterfitError where a bundle is not to be trusted.
        """
        known = {one.version.digest: one for one in self.loaded if one.version is not None}
        found: list[Loaded] = []
        for source in self._sources:
            if isinstance(source, str):
                found.append(Loaded(_prove(source), Path(source)))
                continue
            store = self._open()
            version = store.resolve(source)
            same = [one for one in found if one.version is not None and one.version.digest == version.digest]
            asked = (*(reference for one in same for reference in one.asked), source)
            found = [one for one in found if one not in same]
            before = known.get(version.digest)
            if before is not None:
                found.append(Loaded(before.model, before.path, asked, version))
                continue
            path = store.fetch(version)
            model = same[0].model if same else _prove(str(path))
            if model.bundle.digest != version.digest:
                raise StoreError(f"{version} is sha256:{model.bundle.digest}, not the bundle that was pushed")
            found.append(Loaded(model, path, asked, version))
        return found

    def adopt(self, loaded: Sequence[Loaded]) -> None:
        """Remember what is served from now on."""
        self.loaded = loaded

    def _open(self) -> Store:
        if self._store is None:
            from afterfit.store import Store

            self._store = Store(self._url)
        return self._store


def _prove(path: str) -> Model:
    from afterfit.runtime import load

    model = load(path, threads=1)
    report = model.verify()
    if not report.ok:
        raise AfterfitError(f"{path} does not answer as when it was saved: {report.failures[0]}")
    return model
