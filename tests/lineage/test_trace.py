"""The chain is found from each of its links, both ways, and nothing beside it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from afterfit.bundle import encode_json, read_bundle, write_bundle
from afterfit.cli import cli
from afterfit.errors import ArgumentError, StoreError, UnknownReferenceError
from afterfit.lineage import trace
from afterfit.store import Answers, Store
from afterfit.tracking import Run, RunIndex, runs_folder


def made_by(source: Path, target: Path, told: object) -> Path:
    """A copy of a bundle that names a run."""
    bundle = read_bundle(source)
    write_bundle(
        target,
        manifest=bundle.manifest,
        schema=bundle.schema,
        graph=bundle.graph,
        golden=bundle.golden,
        entries={**bundle.entries, "training/run.json": encode_json(told)},
    )
    return target


def record(data: np.ndarray, source: Path, target: Path, *, more: np.ndarray | None = None) -> Run:
    """A run on `data` that made a bundle."""
    with Run("line", {"slope": 2.0}) as run:
        found = run.data(data)
        if more is not None:
            run.data(more, "test")
        made_by(source, target, {**run.lineage(), "data": found})
        run.bundle(str(target), read_bundle(target).digest)
    return run


@pytest.fixture
def world(store, bundles, tmp_path, monkeypatch):
    """Two runs on one table and a third on another; a bundle of each, and one of no run. The first is in production."""
    monkeypatch.setenv("AFTERFIT_STORE", str(tmp_path / "runs"))
    monkeypatch.setenv("AFTERFIT_ACTOR", "ann")
    table, other = np.arange(12.0).reshape(4, 3), np.ones((4, 3))
    paths = [tmp_path / f"{number}.afit" for number in range(4)]
    runs = [
        record(table, bundles[0], paths[0], more=other),
        record(table, bundles[1], paths[1]),
        record(other, bundles[2], paths[2]),
    ]
    paths[3].write_bytes(bundles[3].read_bytes())
    versions = [store.push(path) for path in paths]
    store.promote("line", "production", 1, because="first")
    store.promote("line", "production", 2, because="second")
    store.rollback("line", "production", because="worse")
    times = ("2026-01-01T00:00:00.000000+00:00", "2026-01-02T00:00:00.000000+00:00")
    store.record_answers([Answers("host:1 x", "line", versions[0].digest[:12], *times, 10)])
    index = RunIndex(runs_folder())
    index.refresh()
    return SimpleNamespace(store=store, index=index, runs=runs, paths=paths, versions=versions)


def fingerprints(run: Run) -> dict[str, str]:
    from afterfit.tracking import read_run

    return {name: table["sha256"] for name, table in read_run(run.folder).data.items()}


def of_kind(found, kind):
    return {key.partition(":")[2] for key, node in found.nodes.items() if node.kind == kind}


def test_every_link_of_the_chain_leads_to_the_whole_of_it(world):
    run, version, digest = world.runs[0], world.versions[0], world.versions[0].digest
    train, test = (fingerprints(run)[name] for name in ("train", "test"))
    for asked in (
        "line@1",
        f"line@sha256:{digest}",
        str(world.paths[0]),
        run.id,
        digest,
        f"sha256:{digest[:12]}",
    ):
        found = trace(asked, world.store, world.index)
        assert of_kind(found, "data") == {train, test}, asked
        assert of_kind(found, "run") == {run.id}
        assert of_kind(found, "bundle") == {digest}
        assert of_kind(found, "version") == {"line@1"}
        assert of_kind(found, "move") == {"line@production#1", "line@production#3"}
        assert of_kind(found, "answers") == {f"host:1 x/line/{version.digest[:12]}"}
        chain = [f"data:{train}", f"run:{run.id}", f"bundle:{digest}", "version:line@1"]
        assert all(edge in found.edges for edge in pairwise(chain))
        assert len(found.starts) == 1
        assert sorted(found.roots()) == sorted([f"data:{train}", f"data:{test}"])


def test_from_the_data_down_to_everything_made_of_it(world):
    train = fingerprints(world.runs[0])["train"]
    for asked in (train, train[:12], f"sha256:{train[:8]}"):
        found = trace(asked, world.store, world.index)
        assert found.starts == [f"data:{train}"]
        assert of_kind(found, "data") == {train}
        assert of_kind(found, "run") == {run.id for run in world.runs[:2]}
        assert of_kind(found, "version") == {"line@1", "line@2"}
        assert len(of_kind(found, "answers")) == 1


def test_aliases_and_names(world):
    assert trace("line@production", world.store, world.index).starts == ["version:line@1"]
    found = trace("line", world.store, world.index)
    assert found.starts == [f"version:line@{number}" for number in range(1, 5)]
    assert of_kind(found, "run") == {run.id for run in world.runs}
    assert trace("last", world.store, world.index).starts == [f"run:{world.runs[2].id}"]
    # A name that servers answered under, which the store does not know it by.
    with world.store._records.writing() as connection:
        connection.execute(sa.text("UPDATE answers SET model = 'bend'"))
    assert trace("bend", world.store, world.index).starts == ["version:line@1"]


def test_the_times_of_an_alias(world):
    found = trace("line@1", world.store, world.index)
    first, third = (found.nodes[f"move:line@production#{number}"].facts for number in (1, 3))
    assert (first["kind"], first["by"], first["because"]) == ("promote", "ann", "first")
    assert first["until"] == world.store.history("line")[1].moved_at
    assert (third["kind"], third["from"], third["until"]) == ("rollback", 2, None)


def test_a_bundle_of_no_run_comes_from_its_rows(world):
    found = trace("line@4", world.store, world.index)
    rows = world.versions[3].data_sha256
    assert of_kind(found, "run") == set()
    assert (f"data:{rows}", f"bundle:{world.versions[3].digest}") in found.edges
    # All of these bundles were saved on the same rows.
    assert of_kind(trace(rows, world.store, world.index), "version") == {f"line@{n}" for n in range(1, 5)}


def test_a_run_that_is_recorded_elsewhere_is_told_by_its_bundle(world):
    found = trace("line@1", world.store, None)
    facts = found.nodes[f"run:{world.runs[0].id}"].facts
    assert (facts["recorded_here"], facts["name"]) == (False, "line")
    assert of_kind(found, "data") == {fingerprints(world.runs[0])["train"]}
    assert trace(world.runs[0].id, world.store, None).starts == [f"run:{world.runs[0].id}"]


def test_a_bundle_that_was_never_pushed(world, tmp_path, bundles):
    table = np.zeros((2, 3))
    run = record(table, bundles[4], tmp_path / "new.afit")
    world.index.refresh()
    found = trace(run.id, world.store, world.index)
    assert of_kind(found, "bundle") == {read_bundle(tmp_path / "new.afit").digest}
    assert of_kind(found, "version") == set()
    assert of_kind(trace(tmp_path / "new.afit", None, world.index), "run") == {run.id}


def test_what_is_not_known_is_an_error(world):
    for asked in ("nobody", "00000000", "20200101-000000-00000000"):
        with pytest.raises(UnknownReferenceError, match="nothing is known"):
            trace(asked, world.store, world.index)
    with pytest.raises(StoreError):
        trace("line@99", world.store, world.index)
    for asked in ("gone.afit", "a/b"):
        with pytest.raises(ArgumentError, match="no file"):
            trace(asked, world.store, world.index)
    with pytest.raises(ArgumentError, match="neither"):
        trace("line", None, None)


@pytest.mark.parametrize(
    "told", [[], "x", {"id": 3}, {"id": ""}, {"id": "../..", "data": 3}, {"id": "x", "data": {}}]
)
def test_bundles_that_tell_anything_of_a_run(store, bundles, tmp_path, told):
    """The entry is people's own: nothing that it holds leads outside or breaks off."""
    version = store.push(made_by(bundles[0], tmp_path / "odd.afit", told))
    (tmp_path / "runs").mkdir()
    found = trace(str(version), store, RunIndex(tmp_path / "runs"))
    assert found.starts == ["version:line@1"]


def test_versions_of_an_earlier_schema_are_looked_up_once(world, monkeypatch):
    with world.store._records.writing() as connection:
        connection.execute(sa.text("UPDATE versions SET run_id = NULL, run = NULL"))
    with Store(world.store.url) as again:
        assert of_kind(trace("line@1", again, world.index), "run") == {world.runs[0].id}
    with Store(world.store.url) as third:
        monkeypatch.setattr(third, "fetch", lambda version: pytest.fail("looked up again"))
        assert [one.run_id for one in third.find(run_id=world.runs[1].id)] == [world.runs[1].id]


def test_answers_only_grow(store):
    early, late = "2026-01-01T00:00:00.000000+00:00", "2026-01-02T00:00:00.000000+00:00"
    one = Answers("host:1 x", "line", "0" * 12, early, early, 10)
    store.record_answers([one])
    store.record_answers([Answers(one.server, one.model, one.version, late, late, 25)])
    store.record_answers([Answers(one.server, one.model, one.version, late, early, 5)])
    store.record_answers([Answers("host:2 x", "line", "0" * 12, late, late, 1)])
    assert [(found.rows, found.first_at, found.last_at) for found in store.answers(model="line")] == [
        (25, early, late),
        (1, late, late),
    ]
    assert store.answers(version="1" * 12) == []


def test_the_command_draws_a_tree(world, monkeypatch, tmp_path):
    def run(*arguments):
        done = CliRunner().invoke(cli, ["lineage", *arguments, "--store", world.store.url])
        assert done.exit_code == 0, done.output
        return done.stdout

    said = run("line@production").splitlines()
    assert [line.strip(" │├└─").partition(" ")[0] for line in said] == [
        "data", "run", "bundle", "line@1,", "production", "production", "10", "data", "run",
    ]  # fmt: skip
    assert [line.endswith("◀") for line in said].index(True) == 3
    assert "rolled back in place of 2 by ann: worse" in said[5]
    assert said[-1].endswith("(drawn above)")
    document = json.loads(run("line@production", "--json"))
    assert document["starts"] == ["version:line@1"]
    assert len(document["nodes"]) == 8
    done = CliRunner().invoke(cli, ["lineage", "nobody", "--store", world.store.url])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
