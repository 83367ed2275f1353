"""`afterfit inspect` and `afterfit verify`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.linear_model import LinearRegression

from afterfit.bundle import read_bundle, write_bundle
from afterfit.cli import cli

FROZEN = Path(__file__).parents[1] / "compat"


def run(*args: str | Path):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def tamper(bundle: Path, target: Path) -> Path:
    """A copy whose schema is not the one the manifest knows."""
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == "golden.jsonl":
                content = content.replace(b"true", b"tru3")
            new.writestr(entry, content)
    return target


def test_verify_holds(hand_bundle: Path):
    done = run("verify", hand_bundle)
    assert done.exit_code == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "✓ audit: format 1; no rule is broken"
    assert "entries" in lines[1]
    assert lines[2] == "✓ golden rows: 1 rows answered as saved, largest error 0.0e+00, 1e-12 is allowed"


def test_verify_as_json(hand_bundle: Path):
    document = json.loads(run("verify", hand_bundle, "--json").stdout)
    assert document["ok"] is True
    assert [check["check"] for check in document["checks"]] == ["audit", "digests", "golden rows"]
    assert document["golden_rows"] == 1
    assert document["version"] == read_bundle(hand_bundle).version


def test_verify_names_the_rule_that_a_bundle_breaks(hand_bundle: Path, tmp_path: Path):
    broken = tamper(hand_bundle, tmp_path / "broken.afit")
    done = run("verify", broken)
    assert done.exit_code == 1
    assert "golden.jsonl" in done.stdout
    assert "digest-mismatch" in done.stdout
    assert done.stderr == f"Error: {broken} does not hold\n"
    document = json.loads(run("verify", broken, "--json").stdout)
    assert document["ok"] is False
    assert document["rule"] == "digest-mismatch"


def test_verify_finds_answers_that_differ(wrong_bundle: Path):
    done = run("verify", wrong_bundle)
    assert done.exit_code == 1
    assert "✓ audit" in done.stdout
    assert "✗ golden rows" in done.stdout
    assert "golden row 0: probabilities is" in done.stdout
    document = json.loads(run("verify", wrong_bundle, "--json").stdout)
    assert (document["ok"], document["max_error"]) == (False, 0.125)


def test_inspect_shows_everything(hand_bundle: Path):
    done = run("inspect", hand_bundle)
    assert done.exit_code == 0
    bundle = read_bundle(hand_bundle)
    for column in bundle.schema.columns:
        assert column.name in done.stdout
    for name, record in bundle.manifest.files.items():
        assert name in done.stdout
        assert record.sha256 in done.stdout
    for part in (
        bundle.digest,
        "Pipeline, scikit-learn 1.9.1",
        "0 labels differ",
        "0.5",
        "NaN",
        "no others",
        "2.4.6",
    ):
        assert part in done.stdout or part == "no others"


def test_inspect_prints_names_as_they_are_and_steers_no_terminal(hand_bundle: Path):
    done = run("inspect", hand_bundle)
    assert "Says [bold]yes[/] \\x1b[31mor no." in done.stdout
    assert "\x1b" not in done.stdout


def test_inspect_as_json_holds_the_whole_schema(hand_bundle: Path):
    document = json.loads(run("inspect", hand_bundle, "--json").stdout)
    assert [column["name"] for column in document["schema"]["columns"]][:2] == ["amount (€)", "code"]
    assert document["digest"].startswith(document["version"])
    assert {entry["name"] for entry in document["entries"]} >= {"model.onnx", "schema.json", "golden.jsonl"}
    assert document["environment"]["packages"]["numpy"] == "2.4.6"
    assert document["training"]["metrics"] == {"auc": 0.5, "loss": "NaN"}
    assert document["size"] == hand_bundle.stat().st_size


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_nothing_is_coloured_unless_for_a_terminal(hand_bundle: Path, command: str):
    pty = pytest.importorskip("pty")
    plain = subprocess.run(
        [sys.executable, "-m", "afterfit", command, hand_bundle], capture_output=True, check=True
    ).stdout
    assert b"\x1b" not in plain
    colours = {}
    for no_color in ("", "1"):
        leader, follower = pty.openpty()
        environment = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm-256color", "COLUMNS": "100"}
        process = subprocess.Popen(
            [sys.executable, "-m", "afterfit", command, hand_bundle], stdout=follower, env=environment
        )
        os.close(follower)
        shown = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
        os.close(leader)
        assert process.wait(30) == 0
        colours[no_color] = b"\x1b[3" in shown
    assert colours["1"] is False
    assert colours[""] is (command == "verify")


def test_inspect_tells_the_bounds_of_a_column():
    frozen = FROZEN / "format2" / "box_cox.afit"
    shown = run("inspect", frozen).stdout
    assert "must be greater than 0" in shown
    document = json.loads(run("inspect", frozen, "--json").stdout)
    assert document["format"] == 2
    bounds = {column["name"]: column["bounds"] for column in document["schema"]["columns"]}
    assert bounds["income"]["exclusive_minimum"] == 0.0
    assert bounds["delay"] is None


@pytest.fixture(scope="module")
def logged_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that was saved with the log of its training."""
    import afterfit

    X = [[float(i)] for i in range(20)]
    path = tmp_path_factory.mktemp("logged") / "logged.afit"
    history = {"loss": [1.0, 0.5, 0.25, 0.2], "val_loss": [1.0, 0.75, 0.5, 0.625]}
    model = LinearRegression().fit(X, np.ravel(X))
    afterfit.save(model, path, X=np.array(X), history=history)
    return path


def test_inspect_draws_the_training_curves(logged_bundle: Path):
    done = run("inspect", logged_bundle)
    assert done.exit_code == 0
    assert "loss   . train   * validation\nbest 0.5 (validation) at step 2\n" in done.stdout
    document = json.loads(run("inspect", logged_bundle, "--json").stdout)
    best = {"rows": "validation", "position": 2, "step": 2.0, "value": 0.5, "direction": "lower"}
    assert document["best"] == {"loss": best}
    assert document["training"]["history"]["metrics"]["loss"]["train"][-1] == 0.2


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<svg "), (".png", b"\x89PNG")])
def test_inspect_writes_the_curves(logged_bundle: Path, tmp_path: Path, suffix: str, start: bytes):
    if suffix == ".png":
        pytest.importorskip("matplotlib", reason="PNG is drawn with matplotlib")
    target = tmp_path / f"curves{suffix}"
    done = run("inspect", logged_bundle, "--curves", target)
    assert (done.exit_code, done.stdout) == (0, "")
    assert target.read_bytes().startswith(start)
    if suffix == ".svg":
        assert target.read_bytes() == read_bundle(logged_bundle).entries["training/curves.svg"]


def test_curves_that_cannot_be_written(hand_bundle: Path, logged_bundle: Path, tmp_path: Path):
    done = run("inspect", hand_bundle, "--curves", tmp_path / "curves.svg")
    assert (done.exit_code, done.stderr) == (
        2,
        "Error: by hand was saved without a history; give one to afterfit.save\n",
    )
    done = run("inspect", logged_bundle, "--curves", tmp_path / "curves.pdf")
    assert done.exit_code == 2
    assert "written as .svg or .png" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_history_of_another_form_is_said_to_be_one(logged_bundle: Path, tmp_path: Path):
    bundle = read_bundle(logged_bundle)
    write_bundle(
        tmp_path / "old.afit",
        manifest=bundle.manifest,
        schema=bundle.schema,
        graph=bundle.graph,
        golden=bundle.golden,
        entries={"training/history.json": b'{"loss":[1.0]}'},
    )
    done = run("inspect", tmp_path / "old.afit")
    assert done.exit_code == 0
    assert "the history holds no curves as FORMAT.md describes them" in done.stdout
    assert json.loads(run("inspect", tmp_path / "old.afit", "--json").stdout)["best"] is None
