"""A trace in the store of what was answered: which version, how many rows, from when to when.

The process that started the workers reads what they count, now and then and at the end, so that no request pays for it,
and a worker that is killed loses none of its counts. Where that process is killed, the last seconds are not on record.
"""

from __future__ import annotations

import logging
import socket
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from afterfit.errors import StoreError
from afterfit.serving._board import add_up

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from afterfit.store import Answers, Store

SECONDS = 5.0
"""How often the counters are looked at."""

ROWS = "afterfit_rows_total"

_log = logging.getLogger("afterfit.serving")


class AnswerLog:
    """Keeps in the store at `url` what the workers count in the folder `counts`, while it is entered.

    Where the store is away, the log says so once, and it is tried again: counts are never lost by waiting.
    """

    def __init__(self, counts: Path, url: str, port: int) -> None:
        self._counts = counts
        self._url = url
        self._looked = _now()
        self.server = f"{socket.gethostname()}:{port} {self._looked}"
        self._kept: dict[tuple[str, str], Answers] = {}
        self._store: Store | None = None
        self._blind = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="afterfit-answers", daemon=True)

    def __enter__(self) -> AnswerLog:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(SECONDS):
            self.keep()
        self.keep()
        if self._store is not None:
            self._store.close()

    def keep(self) -> None:
        """Look at the counters, and keep what grew."""
        from afterfit.store import Answers, Store

        now = _now()
        grown = {
            key: Answers(
                self.server, *key, self._kept[key].first_at if key in self._kept else self._looked, now, rows
            )
            for key, rows in self._count().items()
            if rows > (self._kept[key].rows if key in self._kept else 0)
        }
        if grown:
            try:
                if self._store is None:
                    self._store = Store(self._url)
                self._store.record_answers(list(grown.values()))
            except StoreError as error:
                if not self._blind:
                    _log.warning("what is answered cannot be recorded now, and is tried again: %s", error)
                self._blind = True
                return
            self._blind = False
            self._kept |= grown
        self._looked = now

    def _count(self) -> dict[tuple[str, str], int]:
        """The rows of every model and version, over all workers."""
        try:
            series = add_up(self._counts)
        except FileNotFoundError:  # of a worker that is about to begin
            return {}
        found = {}
        for one in series:
            labels = dict(one.labels)
            if one.name == ROWS and "model" in labels:
                found[labels["model"], labels["version"]] = int(one.numbers[0])
        return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
