"""What commands print with."""

from __future__ import annotations

import json
import math
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.table import Table

_WIDTH_OF_A_FILE = 120


def printable(text: str) -> str:
    """Text with every character that could steer a terminal or reorder a line written as an escape.

    What comes from bundles and data files is shown only through this.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode("ascii")
        for char in text
    )


def shorten(text: str, width: int) -> str:
    """Text cut to a width, with `...` where something was cut off; printable."""
    text = printable(text)
    return text if len(text) <= width else text[: width - 3] + "..."


def console(*, stderr: bool = False) -> Console:
    """A console that colours only a terminal, not under NO_COLOR, and takes nothing in a text for markup."""
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if terminal else _WIDTH_OF_A_FILE,
    )


def table(title: str, *headers: str) -> Table:
    """An empty table; headers that begin with `>` are of columns aligned to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=Text(title, "bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        right = header.startswith(">")
        drawn.add_column(
            Text(header.removeprefix(">")),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=right,
        )
    return drawn


def add_row(drawn: Table, *cells: object) -> None:
    """Add a row of cells, taken as they are."""
    from rich.text import Text

    drawn.add_row(*(Text(printable(str(cell))) for cell in cells))


def echo_json(document: Any) -> None:
    """Print a document as JSON, indented; NaN and infinities as strings."""
    import msgspec

    from afterfit.bundle import encode_json

    sys.stdout.write(msgspec.json.format(encode_json(document), indent=2).decode() + "\n")


def echo_plain_json(document: Any) -> None:
    """As `echo_json`, of dicts, lists, text and numbers alone: it imports neither numpy nor the format of bundles."""
    text = json.dumps(_spelled(document), indent=2, sort_keys=True, ensure_ascii=False)
    # A name with half of a surrogate pair has no UTF-8.
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")


def _spelled(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _spelled(member) for key, member in value.items()}
    return [_spelled(member) for member in value] if isinstance(value, list) else value


def shows_progress() -> bool:
    """Whether a progress bar belongs on standard error."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _stand_still(fraction: float | None, note: str) -> None:
    del fraction, note


@contextmanager
def progress_bar(label: str, *, shown: bool) -> Iterator[Callable[[float | None, str], None]]:
    """A progress bar on standard error, and the function that moves it: the fraction done, and a note."""
    if not shown:
        yield _stand_still
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
    ) as bars:
        task = bars.add_task(printable(label), total=None, note="")

        def move(fraction: float | None, note: str) -> None:
            bars.update(task, completed=fraction or 0.0, total=None if fraction is None else 1.0, note=note)

        yield move
