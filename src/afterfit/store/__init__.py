"""Names, versions and aliases of bundles: a folder with SQLite by default, PostgreSQL and S3 by URL.

Importing this is light: SQLAlchemy is imported with `Store`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from afterfit._home import VARIABLE
from afterfit._lazy import import_when_asked
from afterfit.store._history import Move
from afterfit.store._lineage import run_in
from afterfit.store._place import find_place
from afterfit.store._reference import Reference, is_reference, parse_reference

if TYPE_CHECKING:
    from afterfit.store._answers import Answers
    from afterfit.store._queries import Version
    from afterfit.store._remote import Pulled, Remote
    from afterfit.store._store import Collected, Store

__all__ = [
    "VARIABLE",
    "Answers",
    "Collected",
    "Move",
    "Pulled",
    "Reference",
    "Remote",
    "Store",
    "Version",
    "find_place",
    "is_reference",
    "parse_reference",
    "run_in",
]

_HOMES = {
    "Answers": "_answers",
    "Collected": "_store",
    "Pulled": "_remote",
    "Remote": "_remote",
    "Store": "_store",
    "Version": "_queries",
}

__getattr__ = import_when_asked(__name__, _HOMES)
