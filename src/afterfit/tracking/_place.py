"""Where runs are kept: below the store's folder, found upward from the working directory."""

from __future__ import annotations

import os
import re
import secrets
import time
from typing import TYPE_CHECKING

from afterfit._home import VARIABLE, home_folder
from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from pathlib import Path

RUNS = "runs"
INDEX = "runs.sqlite"
CHANGES = "changes"

RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")


def runs_folder(*, create: bool = False) -> Path:
    """The folder of runs: `runs` in the folder that AFTERFIT_STORE names, or in the nearest `.afterfit` upward.

    A store on a server holds no runs: where AFTERFIT_STORE is a URL, they are in the nearest `.afterfit` too. With
    `create`, `.afterfit` of the working directory where there is none. Raises `ArgumentError` where there is none.
    """
    folder = home_folder()
    runs = folder / RUNS
    if create:
        runs.mkdir(parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text(f"{RUNS}/\n{INDEX}*\n")
    elif not runs.is_dir():
        raise ArgumentError(
            f"there are no runs in {folder}; `afterfit.run(...)` records the first, {VARIABLE} names another folder"
        )
    return runs.resolve()


def new_run_folder(runs: Path) -> Path:
    """A new folder; its name is the run's id: the second it began, in UTC, and 32 random bits."""
    while True:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        folder = runs / f"{stamp}-{secrets.token_hex(4)}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder


def note_change(runs: Path, run_id: str) -> None:
    """Say to the index that a run began or ended, by one line in a file that is only appended to."""
    file = os.open(runs / CHANGES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(file, f"{run_id}\n".encode())
    finally:
        os.close(file)
