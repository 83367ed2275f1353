"""The store: names, numbered versions bound to bundles, aliases with an append-only history."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from afterfit.bundle import encode_json, read_bundle
from afterfit.errors import (
    AliasMovedError,
    ArgumentError,
    BundleError,
    SignatureError,
    StoreError,
    UnknownReferenceError,
)
from afterfit.store._answers import read_answers, record_answers
from afterfit.store._blobs import FolderBlobs, copy_hashed
from afterfit.store._history import undo_target
from afterfit.store._objects import ObjectBlobs, cache_folder
from afterfit.store._place import find_place
from afterfit.store._queries import (
    add_model,
    add_move,
    add_version,
    all_versions,
    as_move,
    as_version,
    model_id_of,
    moves_of,
    read_moves,
    run_of,
    versions_of,
    whoami,
)
from afterfit.store._records import Records, models, moves, versions
from afterfit.store._reference import Reference, checked_alias, checked_name, parse_reference
from afterfit.store._signatures import add_signatures, check_subjects, read_signatures

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from afterfit.bundle import Bundle
    from afterfit.store._answers import Answers
    from afterfit.store._blobs import BlobStore
    from afterfit.store._history import Move
    from afterfit.store._queries import Version

_OTHER_BYTES = (
    "{known} has this content in other bytes, which another zip writer makes, and the signature is of these; "
    "sign what `afterfit pull {known}` gives"
)


@dataclass(frozen=True, slots=True)
class Collected:
    """What `Store.collect` removed: files that no version is bound to, and files half-written."""

    blobs: tuple[str, ...]
    drafts: int


class Store:
    """Versions of models by name.

    Any number of processes may use a store at once. Laws: what a method returned stays, whatever is killed
    afterwards; what is seen is whole; an alias always names a version that is there, and its history only
    grows. Methods raise `StoreError` where the store cannot be used and `ArgumentError` for a name that
    cannot be one.
    """

    def __init__(self, url: str | os.PathLike[str] | None = None, *, create: bool = False) -> None:
        self.place = find_place(url, create=create)
        self._records = Records(self.place)
        self._blobs: BlobStore = (
            ObjectBlobs(self.place.blobs, cache_folder())
            if "://" in self.place.blobs
            else FolderBlobs(Path(self.place.blobs))
        )
        self._runs_known = False

    @property
    def url(self) -> str:
        """What opens this store again, from any folder."""
        return self.place.url

    def push(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        by: str | None = None,
        signatures: Sequence[bytes] = (),
    ) -> Version:
        """Audit the bundle at `path`, keep it, and give it the next number under `name`.

        `name` is the bundle's own where it is None. A bundle that the name has already keeps its number.
        `signatures`: signature files of the bundle, kept beside it; whom to trust is up to who reads them. Raises
        `BundleError` for what is no bundle to be trusted, and `SignatureError` for a signature that is malformed or
        of another file; nothing is kept then.
        """
        with tempfile.TemporaryDirectory(prefix="afterfit-") as folder:
            copy = Path(folder) / "bundle.afit"
            blob = _copy(Path(path), copy)
            bundle = read_bundle(copy)
            check_subjects(signatures, blob)
            name = checked_name(name) if name is not None else _own_name(bundle)
            while True:
                self._blobs.put(blob, copy)
                with self._records.writing() as connection:
                    same = versions_of(name).where(versions.c.digest == bundle.digest)
                    known = connection.execute(same).first()
                    # Between `put` and here another process may have collected what no version was bound to.
                    if known is None and self._blobs.has(blob):
                        model_id = model_id_of(connection, name) or add_model(connection, name)
                        add_version(connection, model_id, bundle, blob, copy.stat().st_size, by or whoami())
                        known = connection.execute(same).one()
                    if known is not None and signatures:
                        if known.blob != blob:
                            raise SignatureError(_OTHER_BYTES.format(known=as_version(known)))
                        add_signatures(connection, blob, signatures, by or whoami())
                if known is not None:
                    return as_version(known)

    def sign(self, version: Version, signatures: Sequence[bytes], *, by: str | None = None) -> int:
        """Keep more signatures of a version; how many were not there yet.

        Raises `SignatureError` where one is malformed or of another file; none is kept then.
        """
        check_subjects(signatures, version.blob)
        with self._records.writing() as connection:
            return add_signatures(connection, version.blob, signatures, by or whoami())

    def signatures(self, version: Version) -> list[bytes]:
        """The signature files of a version. That they are here says nothing: `afterfit.signing` verifies them."""
        with self._records.reading() as connection:
            return read_signatures(connection, version.blob)

    def resolve(self, reference: str | Reference) -> Version:
        """The version that is meant now. Raises `UnknownReferenceError` where there is none."""
        asked = parse_reference(reference) if isinstance(reference, str) else reference
        query = versions_of(asked.name)
        if asked.number is not None:
            query = query.where(versions.c.number == asked.number)
        elif asked.digest is not None:
            query = query.where(versions.c.digest.startswith(asked.digest))
        elif asked.alias is not None:
            last = moves_of(asked.name, asked.alias, moves.c.to_number).limit(1).scalar_subquery()
            query = query.where(versions.c.number == last)
        with self._records.reading() as connection:
            found = connection.execute(query.order_by(versions.c.number.desc()).limit(2)).all()
            if not found:
                raise self._unknown(connection, asked)
        if asked.digest is not None and len(found) > 1:
            raise UnknownReferenceError(f"{asked} fits several versions of {asked.name}; give more digits")
        return as_version(found[0])

    def fetch(self, version: Version) -> Path:
        """A local file with the bundle, not to be written to; its bytes are those that were pushed."""
        return self._blobs.fetch(version.blob)

    def names(self) -> list[str]:
        """The names of all models, sorted."""
        with self._records.reading() as connection:
            return sorted(connection.execute(sa.select(models.c.name)).scalars())

    def versions(self, name: str) -> list[Version]:
        """All versions of a name, the first one first. Raises `UnknownReferenceError` if there is no such name."""
        with self._records.reading() as connection:
            found = connection.execute(versions_of(name).order_by(versions.c.number)).all()
            if not found:
                raise self._unknown(connection, Reference(name))
        return [as_version(row) for row in found]

    def find(
        self, *, digest: str | None = None, run_id: str | None = None, data: str | None = None
    ) -> list[Version]:
        """The versions of all names, in the order they were pushed, whose bundle's digest begins with `digest`, that
        the run `run_id` made, or whose data has a fingerprint that begins with `data`: that of the packed rows in the
        manifest, or that of the run.
        """
        self._look_up_runs()
        query = all_versions().order_by(versions.c.id)
        if digest is not None:
            query = query.where(versions.c.digest.startswith(digest, autoescape=True))
        if run_id is not None:
            query = query.where(versions.c.run_id == run_id)
        if data is not None:
            of_run = versions.c.run.contains(f'"sha256":"{data}', autoescape=True)
            query = query.where(versions.c.data_sha256.startswith(data, autoescape=True) | of_run)
        with self._records.reading() as connection:
            return [as_version(row) for row in connection.execute(query)]

    def run_of(self, version: Version) -> dict[str, Any]:
        """What the bundle of a version says of the run that made it (`training/run.json`, without the columns of its
        data); {} where it names none.
        """
        self._look_up_runs()
        query = versions_of(version.name).where(versions.c.number == version.number)
        with self._records.reading() as connection:
            found = connection.execute(query.with_only_columns(versions.c.run)).scalar()
        document: dict[str, Any] = msgspec.json.decode(found or "{}")
        return document

    def _look_up_runs(self) -> None:
        """Fill in the runs of versions that an earlier release pushed, as long as their bundles are there."""
        if self._runs_known:
            return
        with self._records.reading() as connection:
            unknown = [
                as_version(row)
                for row in connection.execute(all_versions().where(versions.c.run_id.is_(None)))
            ]
        runs: dict[str, dict[str, Any]] = {}
        for version in unknown:
            try:
                runs[version.digest] = run_of(read_bundle(self.fetch(version)))
            except (BundleError, StoreError):
                continue
        if runs:
            with self._records.writing() as connection:
                for digest, run in runs.items():
                    filled = {"run_id": run.get("id", ""), "run": encode_json(run).decode()}
                    connection.execute(versions.update().where(versions.c.digest == digest).values(**filled))
        self._runs_known = True

    def aliases(self, name: str) -> dict[str, int]:
        """Each alias of a name and the number it has now, sorted."""
        return {
            move.alias: move.to_number
            for move in sorted(self.history(name), key=lambda m: (m.alias, m.sequence))
        }

    def history(self, name: str, alias: str | None = None) -> list[Move]:
        """Every move of an alias, or of all aliases of a name, the first one first."""
        query = moves_of(name, alias).order_by(None).order_by(moves.c.id)
        with self._records.reading() as connection:
            return [as_move(name, row) for row in connection.execute(query)]

    def promote(
        self,
        name: str,
        alias: str,
        number: int,
        *,
        because: str,
        by: str | None = None,
        evidence: Mapping[str, Any] | None = None,
        expected: int | None = None,
    ) -> Move:
        """Move an alias to a version, in one transaction with its record.

        `expected` is the `sequence` of the alias's last move when it was looked at (0: it had none). Raises
        `AliasMovedError` where that is no longer so, `UnknownReferenceError` where there is no such version.
        Whoever calls has run the gates: `afterfit.promotion`.
        """
        checked_alias(alias)
        with self._records.writing() as connection:
            target = connection.execute(versions_of(name).where(versions.c.number == number)).first()
            if target is None:
                raise self._unknown(connection, Reference(name, number=number))
            history = read_moves(connection, name, alias)
            if expected is not None and expected != len(history):
                raise _moved(name, alias, history)
            return add_move(connection, name, alias, "promote", number, history, because, by, evidence)

    def rollback(self, name: str, alias: str, *, because: str = "", by: str | None = None) -> Move:
        """Move an alias back to the version it had before its last promotion that was not rolled back yet.

        Raises `UnknownReferenceError` where there is no such alias and `StoreError` where there is no version
        to go back to.
        """
        with self._records.writing() as connection:
            history = read_moves(connection, name, alias)
            if not history:
                raise self._unknown(connection, Reference(name, alias=alias))
            target = undo_target(history)
            if target is None:
                raise StoreError(
                    f"{name}@{alias} has no earlier version to go back to; it was first given "
                    f"version {history[0].to_number}"
                )
            return add_move(connection, name, alias, "rollback", target, history, because, by, None)

    def record_answers(self, found: Sequence[Answers]) -> None:
        """Keep what a server answered up to now; for each start of a server and version the numbers only grow."""
        with self._records.writing() as connection:
            record_answers(connection, found)

    def answers(self, *, version: str | None = None, model: str | None = None) -> list[Answers]:
        """What servers answered with a version (the first 12 digits of its digest), or under a model's name."""
        with self._records.reading() as connection:
            return read_answers(connection, version=version, model=model)

    def collect(self) -> Collected:
        """Remove the files that no version is bound to, which pushes that were killed leave behind."""
        with self._records.writing() as connection:
            bound = set(connection.execute(sa.select(versions.c.blob)).scalars())
            loose = tuple(sorted(set(self._blobs.addresses()) - bound))
            for address in loose:
                self._blobs.delete(address)
            return Collected(loose, self._blobs.sweep())

    def close(self) -> None:
        """Close the connections."""
        self._records.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _unknown(self, connection: sa.Connection, asked: Reference) -> UnknownReferenceError:
        """Why nothing was found, and what there is."""
        names = sorted(connection.execute(sa.select(models.c.name)).scalars())
        if asked.name not in names:
            known = f"it has {', '.join(names[:10])}" if names else "it is empty"
            return UnknownReferenceError(f"the store at {self.place} has no model {asked.name!r}; {known}")
        count = connection.execute(
            sa.select(sa.func.max(versions.c.number)).where(
                versions.c.model_id == model_id_of(connection, asked.name)
            )
        ).scalar()
        if asked.alias is None:
            return UnknownReferenceError(f"{asked} does not exist; {asked.name} has versions 1 to {count}")
        aliases = sorted(set(connection.execute(moves_of(asked.name, None, moves.c.alias)).scalars()))
        known = f"it has {', '.join(aliases)}" if aliases else "`afterfit promote` gives it one"
        return UnknownReferenceError(f"{asked.name} has no alias {asked.alias!r}; {known}")


def _copy(source: Path, target: Path) -> str:
    try:
        with source.open("rb") as content, target.open("xb") as file:
            return copy_hashed(content, file)
    except OSError as error:
        raise ArgumentError(f"{source} cannot be read: {error.strerror or error}") from None


def _own_name(bundle: Bundle) -> str:
    try:
        return checked_name(bundle.manifest.name)
    except ArgumentError as error:
        raise ArgumentError(f"{error}. Push it under another one with --name NAME (name=...)") from None


def _moved(name: str, alias: str, history: list[Move]) -> AliasMovedError:
    if not history:
        return AliasMovedError(
            f"{name}@{alias} was looked at when it had moves, and has none; look at it again"
        )
    last = history[-1]
    return AliasMovedError(
        f"{name}@{alias} was moved meanwhile to version {last.to_number}, by {last.moved_by} at "
        f"{last.moved_at}; nothing was changed. Look at it and promote again"
    )
