"""Versions and runs of a project are in one folder, wherever in the project one is."""

from __future__ import annotations

from pathlib import Path

import pytest

from afterfit.errors import ArgumentError, StoreError
from afterfit.store import find_place
from afterfit.tracking import runs_folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder below which one is, two folders deep."""
    monkeypatch.delenv("AFTERFIT_STORE", raising=False)
    below = tmp_path / "project" / "notebooks" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    return tmp_path / "project"


def both() -> tuple[Path | None, Path]:
    return find_place(create=True).folder, runs_folder(create=True).parent


def test_they_begin_in_the_working_directory(project: Path):
    here = project / "notebooks" / "deep" / ".afterfit"
    assert both() == (here, here)


def test_whichever_is_first_the_other_goes_there_too(project: Path, monkeypatch: pytest.MonkeyPatch):
    (project / ".afterfit" / "runs").mkdir(parents=True)
    assert both() == (project / ".afterfit", project / ".afterfit")
    with pytest.raises(StoreError, match="there is no store in"):
        find_place()
    (project / "notebooks" / ".afterfit").mkdir()
    (project / "notebooks" / ".afterfit" / "records.db").touch()
    assert both() == (project / "notebooks" / ".afterfit", project / "notebooks" / ".afterfit")


def test_a_folder_that_is_named_is_taken(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (project / ".afterfit").mkdir()
    monkeypatch.setenv("AFTERFIT_STORE", str(tmp_path / "named"))
    assert both() == (tmp_path / "named", tmp_path / "named")


def test_a_server_keeps_versions_and_the_folder_runs(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AFTERFIT_STORE", "postgresql://host/models?blobs=s3://bucket")
    assert find_place().folder is None
    assert runs_folder(create=True).parent == project / "notebooks" / "deep" / ".afterfit"


def test_where_there_is_nothing_both_say_so(project: Path):
    with pytest.raises(StoreError, match="there is no store"):
        find_place()
    with pytest.raises(ArgumentError, match="there are no runs"):
        runs_folder()
    assert list(project.rglob(".afterfit")) == []
