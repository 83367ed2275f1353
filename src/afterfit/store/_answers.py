"""What servers answered: which version, how many rows, from when to when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from afterfit.store._records import answers

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Answers:
    """The rows that one server answered with one version. `version`: the first 12 digits of the bundle's digest.

    `server` names one start of a server. `first_at` and `last_at` are UTC, as ISO 8601: the ends of the looks at its
    counters between which the first and the last row fell.
    """

    server: str
    model: str
    version: str
    first_at: str
    last_at: str
    rows: int


def record_answers(connection: sa.Connection, found: Sequence[Answers]) -> None:
    """Add what is new, and bring forward what is there: of one server's counters, the larger number is the later."""
    for one in found:
        same = sa.and_(
            answers.c.server == one.server, answers.c.model == one.model, answers.c.version == one.version
        )
        known = connection.execute(sa.select(answers.c.rows).where(same)).scalar()
        if known is None:
            connection.execute(
                answers.insert().values(**{name: getattr(one, name) for name in one.__slots__})
            )
        elif one.rows > known:
            connection.execute(answers.update().where(same).values(rows=one.rows, last_at=one.last_at))


def read_answers(
    connection: sa.Connection, *, version: str | None = None, model: str | None = None
) -> list[Answers]:
    """What was answered with a version, or under a name; the first one first."""
    columns = [column for column in answers.c if column.name != "id"]
    query = sa.select(*columns).order_by(answers.c.first_at, answers.c.id)
    if version is not None:
        query = query.where(answers.c.version == version)
    if model is not None:
        query = query.where(answers.c.model == model)
    return [Answers(**row._asdict()) for row in connection.execute(query)]
