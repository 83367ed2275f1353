"""Where runs are kept: below the store's folder, found upward from the working directory."""

from __future__ import annotations

import datetime as dt
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

_RUN_ID = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)-([0-9a-f]{8})", re.ASCII)


def run_key(run_id: str) -> int | None:
    """An id as a number of 64 bits, in the same order; None where it is no id of a run."""
    parts = _RUN_ID.fullmatch(run_id)
    if parts is None:
        return None
    try:
        year, month, day, hour, minute, second = map(int, parts.groups()[:6])
        began = dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)
    except ValueError:
        return None
    seconds = int(began.timestamp()) - 2**31
    return (seconds << 32) + int(parts[7], 16) if -(2**31) <= seconds < 2**31 else None


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
