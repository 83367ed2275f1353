"""What is asked of the records, and what is written to them."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from afterfit.bundle import encode_json
from afterfit.store._history import Move
from afterfit.store._lineage import run_in
from afterfit.store._records import models, moves, versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from afterfit.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Version:
    """A bundle under a name. `number` counts from 1 within the name and is never given twice.

    `digest` identifies the bundle (the SHA-256 of its manifest), `blob` is the SHA-256 of the file, `size` its
    bytes. `metrics` are those of `training/metrics.json`, empty where there are none. `run_id`: the training run that
    the bundle names; "" where it names none, None where the version is older than the record of it.
    """

    name: str
    number: int
    digest: str
    blob: str
    size: int
    pushed_at: str
    pushed_by: str
    task: str
    made_with: str
    data_sha256: str
    metrics: Mapping[str, Any]
    run_id: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"


def whoami() -> str:
    """Who is recorded where nobody is named: AFTERFIT_ACTOR, or the user and the machine."""
    try:
        return os.environ.get("AFTERFIT_ACTOR") or f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return f"{os.getuid()}@{socket.gethostname()}" if hasattr(os, "getuid") else socket.gethostname()


def now() -> str:
    """The present moment, UTC, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def model_id_of(connection: sa.Connection, name: str) -> int | None:
    """The row of a name; None where there is none."""
    found: int | None = connection.execute(sa.select(models.c.id).where(models.c.name == name)).scalar()
    return found


def add_model(connection: sa.Connection, name: str) -> int:
    """Add a name; its row."""
    added = connection.execute(models.insert().values(name=name, created_at=now()).returning(models.c.id))
    return int(added.scalar_one())


def add_version(
    connection: sa.Connection, model_id: int, bundle: Bundle, blob: str, size: int, by: str
) -> None:
    """Give a bundle the next number of a name."""
    last = sa.select(sa.func.max(versions.c.number)).where(versions.c.model_id == model_id)
    manifest = bundle.manifest
    run = run_of(bundle)
    connection.execute(
        versions.insert().values(
            model_id=model_id,
            number=(connection.execute(last).scalar() or 0) + 1,
            digest=bundle.digest,
            blob=blob,
            size=size,
            pushed_at=now(),
            pushed_by=by,
            task=manifest.task,
            made_with=f"{manifest.framework.model}, {manifest.framework.name} {manifest.framework.version}",
            data_sha256=manifest.lineage.data_sha256,
            metrics=_metrics(bundle),
            run_id=run.get("id", ""),
            run=encode_json(run).decode(),
        )
    )


def _metrics(bundle: Bundle) -> str:
    content = bundle.entries.get("training/metrics.json", b"{}")
    found = msgspec.json.decode(content)
    return encode_json(found if isinstance(found, dict) else {"value": found}).decode()


def run_of(bundle: Bundle) -> dict[str, Any]:
    """The run that made a bundle; see `run_in`."""
    return run_in(bundle.entries.get("training/run.json", b"{}"))


def versions_of(name: str) -> sa.Select[Any]:
    """The versions of a name."""
    return all_versions().where(models.c.name == name)


def all_versions() -> sa.Select[Any]:
    """The versions of all names."""
    kept = [column for column in versions.c if column.name not in {"id", "model_id", "run"}]
    return sa.select(models.c.name, *kept).join_from(versions, models, models.c.id == versions.c.model_id)


def as_version(row: sa.Row[Any]) -> Version:
    """A row of `versions_of`."""
    fields = row._asdict()
    return Version(**{**fields, "metrics": msgspec.json.decode(fields["metrics"])})


def moves_of(name: str, alias: str | None, *columns: sa.Column[Any]) -> sa.Select[Any]:
    """The moves of one alias, or of all of them, the last one first."""
    wanted = columns or [column for column in moves.c if column.name not in {"id", "model_id"}]
    query = sa.select(*wanted).join_from(moves, models, models.c.id == moves.c.model_id)
    query = query.where(models.c.name == name).order_by(moves.c.sequence.desc())
    return query if alias is None else query.where(moves.c.alias == alias)


def read_moves(connection: sa.Connection, name: str, alias: str) -> list[Move]:
    """Every move of an alias, the first one first."""
    return [as_move(name, row) for row in connection.execute(moves_of(name, alias))][::-1]


def as_move(name: str, row: sa.Row[Any]) -> Move:
    """A row of `moves_of`."""
    fields = row._asdict()
    return Move(name=name, **{**fields, "evidence": msgspec.json.decode(fields["evidence"])})


def add_move(
    connection: sa.Connection,
    name: str,
    alias: str,
    kind: str,
    number: int,
    history: list[Move],
    because: str,
    by: str | None,
    evidence: Mapping[str, Any] | None,
) -> Move:
    """Move an alias, and record it."""
    connection.execute(
        moves.insert().values(
            model_id=model_id_of(connection, name),
            alias=alias,
            sequence=len(history) + 1,
            kind=kind,
            from_number=history[-1].to_number if history else None,
            to_number=number,
            moved_at=now(),
            moved_by=by or whoami(),
            because=because,
            evidence=encode_json(dict(evidence or {})).decode(),
        )
    )
    return read_moves(connection, name, alias)[-1]
