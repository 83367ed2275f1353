"""Writing: what is written is read back, deterministically, and whole or not at all."""

from __future__ import annotations

import hashlib
import os
import random
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterfit.bundle import Bundle, GoldenRow, encode_json, read_bundle, write_bundle
from afterfit.bundle import _writer as writer_module
from afterfit.bundle._zip import LARGE, list_entries, read_entry
from afterfit.errors import ArgumentError, AuditError

NAMES = st.from_regex(r"native/[A-Za-z0-9][A-Za-z0-9._-]{0,20}\.(h5|skops|txt|ubj)", fullmatch=True)
STRINGS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.just("\x1a")
INPUTS = st.fixed_dictionaries(
    {
        "age (years)": st.none() | st.floats(),
        "city": STRINGS,
        "member": st.booleans(),
        "account": st.integers(-(2**63), 2**63 - 1),
    }
)
OUTPUTS = st.fixed_dictionaries(
    {
        "prediction": st.sampled_from(["no", "yes"]),
        "probabilities": st.lists(st.floats(), min_size=2, max_size=2),
    }
)


def same(bundle: Bundle, parts: dict[str, Any]) -> None:
    """NaN equals NaN here, so rows are compared by their spelling."""
    assert msgspec.structs.replace(bundle.manifest, files={}) == parts["manifest"]
    assert bundle.schema == parts["schema"]
    assert bundle.graph == parts["graph"]
    assert [encode_json(row) for row in bundle.golden] == [encode_json(row) for row in parts["golden"]]
    assert repr(bundle.golden) == repr(tuple(sort(row) for row in parts["golden"]))
    assert dict(bundle.entries) == parts["entries"]


def sort(row: GoldenRow) -> GoldenRow:
    return GoldenRow(input=dict(sorted(row.input.items())), output=dict(sorted(row.output.items())))


def test_what_is_written_is_read_back_equal(bundle_path: Path, parts: dict[str, Any]) -> None:
    bundle = read_bundle(bundle_path)
    same(bundle, parts)
    with zipfile.ZipFile(bundle_path) as archive:
        assert bundle.digest == hashlib.sha256(archive.read("manifest.json")).hexdigest()
        assert bundle.version == bundle.digest[:12]
        assert archive.testzip() is None
        assert archive.namelist() == ["manifest.json", *sorted(bundle.manifest.files)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.builds(lambda i, o: GoldenRow(input=i, output=o), INPUTS, OUTPUTS), max_size=4),
    entries=st.dictionaries(NAMES, st.binary(max_size=200), max_size=4),
)
def test_reading_undoes_writing(
    rows: list[GoldenRow], entries: dict[str, bytes], parts: dict[str, Any], tmp_path: Path
) -> None:
    if len({name.casefold() for name in entries}) < len(entries):
        return
    changed = {**parts, "golden": rows, "entries": entries}
    write_bundle(tmp_path / "x.afit", **changed)
    same(read_bundle(tmp_path / "x.afit"), changed)


def test_the_same_content_gives_the_same_bytes(
    bundle_path: Path, parts: dict[str, Any], tmp_path: Path
) -> None:
    """Whatever the order of the entries, the time, the process and its hash seed."""
    entries = dict(reversed(parts["entries"].items()))
    write_bundle(tmp_path / "again.afit", **{**parts, "entries": entries})
    assert (tmp_path / "again.afit").read_bytes() == bundle_path.read_bytes()
    source = (
        "import sys; from afterfit.bundle import *; b = read_bundle(sys.argv[1]);"
        "write_bundle(sys.argv[2], manifest=b.manifest, schema=b.schema, graph=b.graph, golden=b.golden,"
        "entries=b.entries);"
        "print(*{m.split('.')[0] for m in sys.modules} & {'onnx', 'onnxruntime', 'sklearn', 'spox'})"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", source, str(bundle_path), str(tmp_path / "other.afit")]
    done = subprocess.run(command, check=True, env=environment, timeout=60, capture_output=True, text=True)
    assert (tmp_path / "other.afit").read_bytes() == bundle_path.read_bytes()
    assert not done.stdout.strip(), "reading and writing need neither onnx nor ONNX Runtime"


def test_a_bundle_replaces_what_was_there(parts: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.afit"
    path.write_bytes(b"old")
    write_bundle(path, **parts)
    same(read_bundle(path), parts)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.afit"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_bundle_that_breaks_a_rule_is_not_written(parts: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.afit"
    path.write_bytes(b"old")
    wrong = [
        ({"graph": parts["graph"][:-1]}, "protobuf-malformed"),
        ({"golden": [GoldenRow(input={}, output={})]}, "golden-invalid"),
        ({"entries": {"profile.json": b"{"}}, "json-syntax"),
        ({"entries": {"native/model.pkl": b""}}, "entry-not-allowed"),
        ({"entries": {"../x.json": b""}}, "entry-not-allowed"),
        ({"entries": {"native/a.txt": b"", "native/A.txt": b""}}, "entry-case-collision"),
    ]
    for changed, rule in wrong:
        with pytest.raises(AuditError, match=rule):
            write_bundle(path, **{**parts, **changed})
        assert [entry.name for entry in tmp_path.iterdir()] == ["x.afit"]
        assert path.read_bytes() == b"old"


def test_arguments_that_cannot_be_written(parts: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.afit"
    wrong = [
        {"path": tmp_path / "absent" / "x.afit"},
        {"path": tmp_path},
        {"entries": {"model.onnx": b""}},
        {"manifest": msgspec.structs.replace(parts["manifest"], name="\ud800")},
        {"golden": [GoldenRow(input={"age (years)": 1j}, output={})]},
    ]
    for changed in wrong:
        with pytest.raises(ArgumentError):
            write_bundle(**{"path": path, **parts, **changed})
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", ["write_entries", "fsync", "replace"])
def test_a_failing_disk_leaves_nothing(
    step: str, parts: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    target = {"write_entries": writer_module, "fsync": os, "replace": Path}[step]
    monkeypatch.setattr(target, step, fail)
    with pytest.raises(OSError, match="No space"):
        write_bundle(tmp_path / "x.afit", **parts)
    assert not list(tmp_path.iterdir())


def test_the_file_and_the_folder_are_synced_around_the_rename(
    parts: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def record_sync(descriptor: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def record_rename(self: Path, target: Path) -> Path:
        calls.append("rename")
        assert read_bundle(self).graph == parts["graph"]
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(Path, "replace", record_rename)
    write_bundle(tmp_path / "x.afit", **parts)
    assert calls == ["file", "rename", "folder"]


def test_large_and_incompressible_and_repetitive_entries(parts: dict[str, Any], tmp_path: Path) -> None:
    """Beyond `LARGE` another level is used; what would break the ratio, or not shrink, is stored."""
    noise = random.Random(0).randbytes(LARGE // 2)
    entries = {"native/a.txt": noise + noise, "native/b.txt": bytes(LARGE), "native/c.txt": noise[:1000]}
    path = tmp_path / "x.afit"
    write_bundle(path, **{**parts, "entries": entries})
    assert dict(read_bundle(path).entries) == entries
    with path.open("rb") as file:
        listed = {entry.name: entry for entry in list_entries(file)}
        assert listed["native/b.txt"].method == 0
        assert listed["native/c.txt"].method == 0
        assert listed["model.onnx"].method == 8
        assert read_entry(file, listed["native/c.txt"]) == noise[:1000]
