"""A server that is started for a load test, and stopped after it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

STOP_SECONDS = 40


@contextmanager
def started_server(
    bundles: Sequence[str | os.PathLike[str]], options: Sequence[str] = ()
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`afterfit serve` on a free port of this machine: its URL, and its process, which is stopped at the end.

    Raises ArgumentError where it does not start; it has said why on standard error then.
    """
    command = [sys.executable, "-m", "afterfit", "serve", *map(str, bundles), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            if "http://" not in line:
                raise ArgumentError("the server did not start")
            yield line[line.index("http://") :].split()[0], process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
