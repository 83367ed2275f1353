"""Swapping bundles while requests are answered: a changed file goes live once it has proved itself."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from afterfit.errors import AfterfitError, SignatureError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

_Found = TypeVar("_Found")
_Loaded = TypeVar("_Loaded")

_log = logging.getLogger("afterfit.serving")

LOOK_SECONDS = 0.25
"""How often the files are looked at."""

RETRY_LOOKS = 20
"""After so many looks a bundle is asked for again that the store could not give."""

Stamp = tuple[int, int, int] | None


class BundleWatcher(Generic[_Found, _Loaded]):
    """Loads the models anew when what they come from changes.

    `look` returns what is to be compared from one look to the next; where it raises AfterfitError, such as for a
    store that is away, what was served stays, and the log says so once. `load` opens and proves (audit, golden
    replay) all bundles that a look found; it raises AfterfitError where one is not to be trusted, and then what
    was served stays, the log says why, and nothing is tried again until there is another change; what a store
    could not give (StoreError), and what is not signed yet (SignatureError), is tried again. `apply` puts what was
    loaded into service; it is called on the event loop. `begin` is told the look that came before what is served was
    loaded: a change after it is not missed.
    """

    def __init__(
        self,
        look: Callable[[], _Found],
        load: Callable[[_Found], _Loaded],
        apply: Callable[[_Loaded], None],
    ) -> None:
        self._look = look
        self._load = load
        self._apply = apply
        self._seen: _Found | None = None
        self._blind = False
        self._failure: str | None = None
        self._refused: _Found | None = None
        self._wait = 0
        self._turn = asyncio.Lock()

    def begin(self, seen: _Found) -> None:
        """Take what was loaded of this look as served."""
        self._seen = seen

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> str | None:
        """Look once, and swap if anything changed. Why what is there now is not served, or None."""
        async with self._turn:
            try:
                found = await asyncio.to_thread(self._look)
            except AfterfitError as error:
                if not self._blind:
                    _log.error(
                        "it cannot be seen whether the bundles changed, and what was served goes on: %s",
                        error,
                    )
                self._blind = True
                return str(error)
            self._blind = False
            if found != self._seen and not self._is_waiting(found):
                self._failure = await self._swap(found)
            return self._failure

    async def _swap(self, found: _Found) -> str | None:
        try:
            self._apply(await asyncio.to_thread(self._load, found))
        except (SignatureError, StoreError) as error:
            if found != self._refused:
                _log.error("the bundles were not swapped, and what was served goes on: %s", error)
            self._refused, self._wait = found, RETRY_LOOKS
            return str(error)
        except (AfterfitError, OSError) as error:
            _log.error("the bundles were not swapped, and what was served goes on: %s", error)
            self._seen, self._refused = found, None
            return str(error)
        _log.info("the bundles were swapped")
        self._seen, self._refused = found, None
        return None

    def _is_waiting(self, found: _Found) -> bool:
        """Whether the store could not give this a moment ago, or nobody had signed it."""
        if found != self._refused or not self._wait:
            return False
        self._wait -= 1
        return True


def stamp(path: str) -> Stamp:
    """What differs where a file was replaced or written to; None where there is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
