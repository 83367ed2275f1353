"""Following the chain from any of its links, up to the data and down to the answers."""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterfit.bundle import read_bundle
from afterfit.errors import ArgumentError, UnknownReferenceError
from afterfit.lineage._graph import Lineage
from afterfit.store import is_reference, parse_reference, run_in
from afterfit.tracking import read_run

if TYPE_CHECKING:
    from afterfit.store import Answers, Move, Store, Version
    from afterfit.tracking import RunIndex, RunRecord

_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{8,64})")
_RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
_INDEXED_DIGITS = 12
"""So many digits of a fingerprint are in the index of runs."""


def trace(asked: str | os.PathLike[str], store: Store | None, runs: RunIndex | None) -> Lineage:
    """The lineage of a bundle's file, a name in the store (`flights@3`, `flights@production`, `flights`), a run's id
    (or `last`), or a digest: of a bundle, of data, or the first 8 digits or more of one.

    `store` and `runs` are what is looked through; None where there is none. A name is all of its versions, also where
    servers answered under it. Raises `ArgumentError` or `UnknownReferenceError` where nothing is found.
    """
    if store is None and runs is None:
        raise ArgumentError("there is neither a store nor a folder of runs to look through")
    found = _Trace(os.fspath(asked), store, runs)
    found.start()
    if not found.lineage.starts:
        raise UnknownReferenceError(
            f"nothing is known of {os.fspath(asked)[:200]!a}; give a bundle, a name in the store, a run's id, or a "
            "digest of data or of a bundle"
        )
    return found.lineage


class _Trace:
    def __init__(self, asked: str, store: Store | None, runs: RunIndex | None) -> None:
        self.asked = asked
        self.store = store
        self.runs = runs
        self.lineage = Lineage(asked)
        self._histories: dict[str, list[Move]] = {}
        self._records: dict[str, RunRecord | None] = {}
        self._below: set[str] = set()
        self._above: set[str] = set()

    def start(self) -> None:
        """Find what was asked for, and go both ways from there."""
        path = Path(self.asked)
        if path.is_file():
            bundle = read_bundle(path)
            key = self._bundle(bundle.digest, path=str(path), name=bundle.manifest.name)
            self._begin(key, bundle.digest)
            run = bundle.entries.get("training/run.json")
            self._from_bundle(
                bundle.digest, {} if run is None else run_in(run), bundle.manifest.lineage.data_sha256
            )
        elif os.sep in self.asked or "/" in self.asked or self.asked.endswith(".afit"):
            raise ArgumentError(f"there is no file {self.asked[:200]!a}")
        elif self.asked == "last" or _RUN.fullmatch(self.asked):
            self._start_at_run()
        elif "@" in self.asked:
            if self.store is None:
                raise ArgumentError(f"there is no store to look for {self.asked[:200]!a} in")
            self._start_at_versions([self.store.resolve(parse_reference(self.asked))])
        else:
            digest = _DIGEST.fullmatch(self.asked)
            if digest is not None:
                self._start_at_digest(digest[1])
            if self.store is not None and is_reference(self.asked):
                self._start_at_name(self.store)

    def _begin(self, key: str, digest: str) -> None:
        self.lineage.starts.append(key)
        self._down_bundle(digest)

    def _start_at_run(self) -> None:
        run_id = self.asked
        if self.runs is not None and run_id == "last":
            run_id = self.runs.find("last")
        record = self._record(run_id)
        found = [] if self.store is None else self.store.find(run_id=run_id)
        if record is None and not found:
            return
        told = self.store.run_of(found[0]) if found and self.store is not None else {}
        self.lineage.starts.append(self._run(run_id, told, record))
        self._up_run(run_id, told, record)
        self._down_run(run_id)

    def _start_at_versions(self, found: list[Version]) -> None:
        for version in found:
            self.lineage.starts.append(self._version(version))
            self._up_version(version)
            self._down_version(version)

    def _start_at_name(self, store: Store) -> None:
        if self.asked in store.names():
            self._start_at_versions(store.versions(self.asked))
            return
        served = dict.fromkeys(one.version for one in self._answers_by_version(self.asked))
        for version in served:
            self._start_at_versions(store.find(digest=version))

    def _start_at_digest(self, digits: str) -> None:
        if self.store is not None:
            for version in self.store.find(digest=digits):
                key = self._bundle(version.digest)
                if key not in self.lineage.starts:
                    self._begin(key, version.digest)
                    self._from_bundle(version.digest, self.store.run_of(version), version.data_sha256)
        for fingerprint in self._fingerprints(digits):
            self.lineage.starts.append(self._data(fingerprint))
            self._down_data(fingerprint)

    def _fingerprints(self, digits: str) -> list[str]:
        """The fingerprints of data that begin so."""
        found = {sha256 for record in self._runs_on(digits) for sha256 in _data_of(record)}
        if self.store is not None:
            for version in self.store.find(data=digits):
                found |= {version.data_sha256, *_told_data(self.store.run_of(version))}
        return sorted(one for one in found if one.startswith(digits))

    # Up

    def _up_version(self, version: Version) -> None:
        if self.store is None:
            return
        self._link(self._bundle(version.digest), self._version(version))
        self._from_bundle(version.digest, self.store.run_of(version), version.data_sha256)

    def _from_bundle(self, digest: str, told: dict[str, Any], data_sha256: str) -> None:
        """What a bundle was made from: its run, or where it names none its rows."""
        key = self._bundle(digest)
        if "id" not in told:
            self._link(self._data(data_sha256), key)
            return
        record = self._record(told["id"])
        for one in [] if record is None else record.bundles:
            if one["digest"] == digest:
                self._bundle(digest, path=one["path"])
        self._link(self._run(told["id"], told, record), key)
        self._up_run(told["id"], told, record)

    def _up_run(self, run_id: str, told: dict[str, Any], record: RunRecord | None) -> None:
        if run_id in self._above:
            return
        self._above.add(run_id)
        tables = {"train": told["data"]} if record is None and _told_data(told) else {}
        for name, table in (tables if record is None else record.data).items():
            data = self._data(table["sha256"], name=name, rows=table.get("rows"))
            self._link(data, self._run(run_id, told, record))

    # Down

    def _down_data(self, sha256: str) -> None:
        data = self._data(sha256)
        for record in self._runs_on(sha256):
            self._link(data, self._run(record.id, {}, record))
            self._down_run(record.id)
        for version in [] if self.store is None else self.store.find(data=sha256):
            told = self.store.run_of(version) if self.store is not None else {}
            if sha256 in _told_data(told):
                self._link(data, self._run(told["id"], told, self._record(told["id"])))
                self._down_run(told["id"])
            elif version.data_sha256 == sha256:
                self._link(data, self._bundle(version.digest))
                self._down_bundle(version.digest)

    def _down_run(self, run_id: str) -> None:
        if run_id in self._below:
            return
        self._below.add(run_id)
        record = self._record(run_id)
        for one in [] if record is None else record.bundles:
            self._link(f"run:{run_id}", self._bundle(one["digest"], path=one["path"]))
            self._down_bundle(one["digest"])
        for version in [] if self.store is None else self.store.find(run_id=run_id):
            self._link(f"run:{run_id}", self._bundle(version.digest))
            self._down_bundle(version.digest)

    def _down_bundle(self, digest: str) -> None:
        for version in [] if self.store is None else self.store.find(digest=digest):
            self._link(self._bundle(digest), self._version(version))
            self._down_version(version)

    def _down_version(self, version: Version) -> None:
        key = self._version(version)
        for move, until in self._times_of(version):
            facts = {
                "alias": move.alias,
                "kind": move.kind,
                "from": move.from_number,
                "at": move.moved_at,
                "until": until,
                "by": move.moved_by,
                "because": move.because,
            }
            moved = f"move:{move.name}@{move.alias}#{move.sequence}"
            self.lineage.add(moved, "move", facts)
            self._link(key, moved)
        for one in self._answers.get(version.digest[:12], []):
            facts = {name: getattr(one, name) for name in ("model", "rows", "first_at", "last_at", "server")}
            answered = f"answers:{one.server}/{one.model}/{one.version}"
            self.lineage.add(answered, "answers", facts)
            self._link(key, answered)

    def _times_of(self, version: Version) -> list[tuple[Move, str | None]]:
        """The moves that gave an alias to a version, and when the alias left it again."""
        if version.name not in self._histories and self.store is not None:
            self._histories[version.name] = self.store.history(version.name)
        found: list[tuple[Move, str | None]] = []
        last: dict[str, int] = {}
        for move in self._histories.get(version.name, []):
            if move.alias in last:
                held = last.pop(move.alias)
                found[held] = (found[held][0], move.moved_at)
            if move.to_number == version.number:
                last[move.alias] = len(found)
                found.append((move, None))
        return found

    @cached_property
    def _answers(self) -> dict[str, list[Answers]]:
        """What servers answered, by the version that they name."""
        found: dict[str, list[Answers]] = {}
        for one in [] if self.store is None else self.store.answers():
            found.setdefault(one.version, []).append(one)
        return found

    def _answers_by_version(self, model: str) -> list[Answers]:
        return [one for answers in self._answers.values() for one in answers if one.model == model]

    # Nodes

    def _link(self, before: str, after: str) -> None:
        self.lineage.edges[before, after] = None

    def _data(self, sha256: str, name: str | None = None, rows: int | None = None) -> str:
        key = f"data:{sha256}"
        self.lineage.add(key, "data", {"sha256": sha256, "name": name, "rows": rows})
        return key

    def _run(self, run_id: str, told: dict[str, Any], record: RunRecord | None) -> str:
        """A run, by its record; where that is not here, by what a bundle tells of it."""
        code = (told.get("code") if record is None else record.context.get("code")) or {}
        facts = {
            "id": run_id,
            "name": told.get("name") if record is None else record.name,
            "recorded_here": record is not None,
            "status": None if record is None else record.status,
            "started": None if record is None else record.started,
            "parent": told.get("parent") if record is None else record.parent,
            "rerun_of": None if record is None else record.rerun_of,
            "code": code.get("commit") or code.get("sha256"),
            "uncommitted": bool(code.get("diff_sha256")),
            "params": None if record is None else record.params,
        }
        key = f"run:{run_id}"
        self.lineage.add(key, "run", facts)
        return key

    def _bundle(self, digest: str, *, path: str | None = None, name: str | None = None) -> str:
        key = f"bundle:{digest}"
        self.lineage.add(key, "bundle", {"sha256": digest, "path": path, "name": name})
        return key

    def _version(self, version: Version) -> str:
        key = f"version:{version}"
        facts = {
            "name": version.name,
            "number": version.number,
            "pushed_at": version.pushed_at,
            "pushed_by": version.pushed_by,
            "metrics": dict(version.metrics),
        }
        self.lineage.add(key, "version", facts)
        return key

    # Runs

    def _record(self, run_id: str) -> RunRecord | None:
        if run_id not in self._records:
            self._records[run_id] = self._read(run_id)
        return self._records[run_id]

    def _read(self, run_id: str) -> RunRecord | None:
        if self.runs is None or not _RUN.fullmatch(run_id) or not (self.runs.runs / run_id).is_dir():
            return None
        return read_run(self.runs.runs / run_id)

    def _runs_on(self, digits: str) -> list[RunRecord]:
        """The runs on data whose fingerprint begins so, the oldest first."""
        if self.runs is None:
            return []
        chosen, _ = self.runs.select(
            f'data ~ "{digits[:_INDEXED_DIGITS]}"', sort="started", descending=False, limit=None
        )
        records = [self._record(one.attributes["id"]) for one in chosen]
        return [
            record
            for record in records
            if record is not None and any(sha256.startswith(digits) for sha256 in _data_of(record))
        ]


def _data_of(record: RunRecord) -> list[str]:
    return [str(table["sha256"]) for table in record.data.values()]


def _told_data(told: dict[str, Any]) -> list[str]:
    data = told.get("data")
    return [data["sha256"]] if isinstance(data, dict) and isinstance(data.get("sha256"), str) else []
