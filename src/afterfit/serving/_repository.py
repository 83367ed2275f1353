"""Which of the server's models are out of service, in a form that all its workers see."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path


class Repository:
    """Models that are loaded and unloaded by name, every version of it.

    `folder` holds a file for each name that is out of service, `trigger` is touched to have every worker read its
    bundles anew, and `look` does so for this worker; it returns why that failed, or None. A name stays known
    once it was served.
    """

    def __init__(
        self,
        folder: Path,
        trigger: Path,
        look: Callable[[], Awaitable[str | None]],
        names: Iterable[str] = (),
    ) -> None:
        self._folder = folder
        self._trigger = trigger
        self._look = look
        self._names = set(names)

    def names(self) -> list[str]:
        """Every name there is, served or not."""
        return sorted(self._names)

    def is_unloaded(self, name: str) -> bool:
        """Whether the name is out of service; makes it known."""
        # Asked from a thread, while the routes are made on the event loop.
        self._names = self._names | {name}
        return self._mark(name).exists()

    async def load(self, name: str) -> str | None:
        """Serve the model as its file has it now. Why that failed, or None."""
        self._mark(name).unlink(missing_ok=True)
        self._trigger.touch()
        return await self._look()

    async def unload(self, name: str) -> str | None:
        """Serve the model no more; requests under way are answered. Why that failed, or None."""
        self._folder.mkdir(exist_ok=True)
        self._mark(name).touch()
        self._trigger.touch()
        return await self._look()

    def _mark(self, name: str) -> Path:
        return self._folder / hashlib.sha256(name.encode()).hexdigest()
