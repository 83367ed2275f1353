"""Blocks of 0/1 columns that an encoder made of one column."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from afterfit.capture._forgotten._findings import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from afterfit.capture._forgotten._rows import NumberColumn, Rows

NAMELESS_WIDTH = 3
"""Two columns that exclude each other may honestly be two answers; three that share every row out are a code."""

EXPECTED_OVERLAPS = 5.0
"""Columns of one prefix that never hold 1 together, where chance would let them this often (e**-5 is 0.7 %)."""

_SEPARATOR = re.compile(r"[_=.\[:]")


def one_hot_findings(rows: Rows) -> list[Finding]:
    """Blocks of neighbouring 0/1 columns of which exactly one holds 1 in every row; or at most one, by their names.

    Single 0/1 columns are honest.
    """
    runs = _runs([column for column in rows.columns if not column.boolean])
    for run in runs:
        flags = np.stack([column.values == 1 for column in run], axis=1)
        for start in range(len(run) - 1):
            block = _block(flags, start)
            if block is None:
                continue
            members = run[start:block]
            if len(members) >= NAMELESS_WIDTH or _one_prefix(members):
                return [_finding(members, "exactly one")]
    for run in runs:
        members = _exclusive(run)
        if members:
            return [_finding(members, "at most one")]
    return []


def _finding(members: Sequence[NumberColumn], how_many: str) -> Finding:
    return Finding(
        f"X looks one-hot encoded: of the {len(members)} columns {members[0].name!r} to {members[-1].name!r} "
        f"{how_many} holds 1 in every row, and the others 0",
        "encoder",
    )


def _is_flag(column: NumberColumn) -> bool:
    values = column.values
    ones = values == 1
    return bool((ones | (values == 0)).all()) and 0 < int(ones.sum()) < len(values)


def _runs(columns: Sequence[NumberColumn]) -> list[list[NumberColumn]]:
    """The neighbouring 0/1 columns, in runs of two or more."""
    runs: list[list[NumberColumn]] = []
    last = None
    for i, column in enumerate(columns):
        if not _is_flag(column):
            continue
        if last == i - 1 and runs:
            runs[-1].append(column)
        else:
            runs.append([column])
        last = i
    return [run for run in runs if len(run) > 1]


def _block(flags: NDArray[np.bool_], start: int) -> int | None:
    """Where the block that begins at `start` ends, if its columns share out every row between them."""
    covered = flags[:, start].copy()
    for i in range(start + 1, flags.shape[1]):
        if bool((covered & flags[:, i]).any()):
            return None
        covered |= flags[:, i]
        if bool(covered.all()):
            return i + 1
    return None


def _prefix(name: str) -> str | None:
    found = list(_SEPARATOR.finditer(name))
    return name[: found[-1].start()] if found and found[-1].start() > 0 else None


def _one_prefix(columns: Sequence[NumberColumn]) -> bool:
    prefixes = {_prefix(column.name) for column in columns}
    return len(prefixes) == 1 and None not in prefixes


def _exclusive(run: Sequence[NumberColumn]) -> list[NumberColumn]:
    """Neighbours of one prefix, three or more, that never hold 1 together though chance would let them."""
    groups: list[list[NumberColumn]] = [[run[0]]]
    for before, column in pairwise(run):
        if _one_prefix([before, column]):
            groups[-1].append(column)
        else:
            groups.append([column])
    for group in groups:
        if len(group) < NAMELESS_WIDTH:
            continue
        flags = np.stack([column.values == 1 for column in group], axis=1)
        shares = flags.mean(axis=0)
        pairs = (float(shares.sum()) ** 2 - float((shares**2).sum())) / 2
        if bool((flags.sum(axis=1) <= 1).all()) and pairs * len(flags) >= EXPECTED_OVERLAPS:
            return group
    return []
