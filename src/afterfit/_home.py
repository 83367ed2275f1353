"""Where a project keeps its versions and its runs: one rule for both."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "AFTERFIT_STORE"
FOLDER = ".afterfit"


def named_store() -> str | None:
    """What AFTERFIT_STORE says: a folder or a URL; None where it says nothing."""
    return os.environ.get(VARIABLE) or None


def home_folder() -> Path:
    """The folder that AFTERFIT_STORE names, or else the nearest `.afterfit` upward from the working directory.

    Where there is none, it is `.afterfit` of the working directory, which need not be there. A URL names a server,
    which keeps versions only: runs are then in the nearest `.afterfit` too.
    """
    named = named_store()
    if named is not None and "://" not in named:
        return Path(named)
    here = Path.cwd()
    return next((at / FOLDER for at in (here, *here.parents) if (at / FOLDER).is_dir()), here / FOLDER)
