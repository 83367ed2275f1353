"""Swapping bundles while requests are answered: a changed file goes live once it has proved itself."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from afterfit.errors import AfterfitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from afterfit.runtime import Model

_log = logging.getLogger("afterfit.serving")

LOOK_SECONDS = 0.25
"""How often the files are looked at."""

Stamp = tuple[int, int, int] | None


class BundleWatcher:
    """Loads the models anew when what they come from changes.

    `look` returns what is to be compared from one look to the next. `load` opens all bundles and proves each
    (audit, golden replay); it raises AfterfitError where one is not to be trusted, and then what was served
    stays, the log says why, and nothing is tried again until there is another change. `apply` puts what was
    loaded into service; it is called on the event loop.
    """

    def __init__(
        self,
        look: Callable[[], object],
        load: Callable[[], Sequence[Model]],
        apply: Callable[[Sequence[Model]], None],
    ) -> None:
        self._look = look
        self._load = load
        self._apply = apply
        self._seen = look()
        self._failure: str | None = None
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> str | None:
        """Look once, and swap if anything changed. Why what is there now is not served, or None."""
        async with self._turn:
            found = self._look()
            if found != self._seen:
                self._seen = found
                self._failure = await self._swap()
            return self._failure

    async def _swap(self) -> str | None:
        try:
            self._apply(await asyncio.to_thread(self._load))
        except (AfterfitError, OSError) as error:
            _log.error("the bundles were not swapped, and what was served goes on: %s", error)
            return str(error)
        _log.info("the bundles were swapped")
        return None


def stamp(path: str) -> Stamp:
    """What differs where a file was replaced or written to; None where there is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
