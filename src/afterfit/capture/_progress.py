"""What is happening, on a terminal, when saving takes longer than a second."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN_AFTER_SECONDS = 1.0


class Stages:
    """Says which stage has begun; `total` stages are expected."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.text = ""

    def begin(self, text: str) -> None:
        """The stage before is finished and the one called `text` begins."""
        self.done += bool(self.text)
        self.text = text
        self.changed()

    def changed(self) -> None:
        """Called at every change; nothing is shown by default."""


@contextmanager
def stages(total: int) -> Iterator[Stages]:
    """Stages that show a progress bar on standard error, if that is a terminal and it takes over a second."""
    if not sys.stderr.isatty():
        yield Stages(total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("", total=total)

    class Shown(Stages):
        def changed(self) -> None:
            bar.update(task, description=self.text, completed=self.done)

    timer = threading.Timer(SHOWN_AFTER_SECONDS, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield Shown(total)
    finally:
        timer.cancel()
        timer.join()
        bar.stop()
