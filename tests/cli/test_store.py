"""The commands of the store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.promotion.test_promote import variant

from afterfit.bundle import read_bundle
from afterfit.cli import cli


def run(*args: str | Path):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def report(*args: str | Path):
    done = run(*args, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def files(tmp_path, monkeypatch, hand_bundle) -> list[Path]:
    """Two versions of a model, in a folder without a store that is the working directory."""
    monkeypatch.delenv("AFTERFIT_STORE", raising=False)
    monkeypatch.setenv("AFTERFIT_ACTOR", "ann")
    monkeypatch.chdir(tmp_path)
    return [
        variant(hand_bundle, tmp_path / f"{number}.afit", auc, name="hand")
        for number, auc in enumerate((0.8, 0.7))
    ]


@pytest.fixture
def pushed(files):
    for path in files:
        assert run("push", path).exit_code == 0
    assert run("promote", "hand@1", "--to", "production", "--because", "first").exit_code == 0
    return files


def test_push_makes_the_store_and_numbers_versions(files, tmp_path):
    first = run("push", files[0])
    digest = read_bundle(files[0]).digest
    assert first.stdout == f"hand@1 is sha256:{digest} in {tmp_path / '.afterfit'}\n"
    assert report("push", files[1])["number"] == 2
    assert report("push", files[0])["ref"] == "hand@1"
    assert report("push", files[0], "--name", "other", "--by", "ben")["pushed_by"] == "ben"
    listed = report("models")
    assert [(one["name"], one["versions"], one["aliases"]) for one in listed["models"]] == [
        ("hand", 2, {}),
        ("other", 1, {}),
    ]


def test_push_refuses_what_is_no_bundle(files, tmp_path):
    (tmp_path / "no.afit").write_bytes(b"no")
    done = run("push", "no.afit")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: ")


def test_listing_and_showing(pushed):
    versions = report("versions", "hand")["versions"]
    assert [(one["number"], one["aliases"], one["metrics"]) for one in versions] == [
        (2, [], {"auc": 0.7}),
        (1, ["production"], {"auc": 0.8}),
    ]
    shown = report("show", "hand@production")
    assert shown["ref"] == "hand@1"
    assert shown["history"][0]["because"] == "first"
    assert shown["history"][0]["moved_by"] == "ann"
    for command in (["models"], ["versions", "hand"], ["show", "hand@1"]):
        assert "hand" in run(*command).stdout


def test_pull_gives_back_the_bytes(pushed, tmp_path):
    assert run("pull", "hand@production", "-o", "out.afit").stdout == "hand@1 is in out.afit\n"
    assert Path("out.afit").read_bytes() == pushed[0].read_bytes()
    again = run("pull", "hand@2", "-o", "out.afit")
    assert (again.exit_code, "--force" in again.stderr) == (2, True)
    assert report("pull", "hand@2", "-o", "out.afit", "--force")["number"] == 2
    assert Path("out.afit").read_bytes() == pushed[1].read_bytes()
    assert report("pull", "hand")["path"] == "hand.afit"


def test_names_work_where_paths_do(pushed, tmp_path):
    assert report("inspect", "hand@production")["digest"] == read_bundle(pushed[0]).digest
    assert report("inspect", "hand")["digest"] == read_bundle(pushed[1]).digest
    assert report("verify", "hand@2")["ok"]
    Path("rows.jsonl").write_text(json.dumps(read_bundle(pushed[0]).golden[0].input) + "\n")
    assert run("predict", "hand@production", "rows.jsonl", "-o", "answers.csv").exit_code == 0
    assert "prediction" in Path("answers.csv").read_text()
    for reference in ("hand@staging", "hand@7", "nobody@1", "nobody"):
        done = run("verify", reference)
        assert done.exit_code == 2
        assert len(done.stderr.splitlines()) == 1


def test_a_name_without_a_store_is_an_error(tmp_path, monkeypatch):
    monkeypatch.delenv("AFTERFIT_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert "there is no store" in run("inspect", "hand@production").stderr
    assert "does not exist" in run("inspect", "hand").stderr
    assert "there is no store" in run("models").stderr
    assert list(tmp_path.iterdir()) == []


def test_promote_says_what_it_found_and_moves(pushed):
    done = run("promote", "hand@2", "--to", "production", "--because", "newer", "--gate", "auc >= 0.6")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "✓ audit: format 1; no rule is broken",
        "✓ golden rows: 1 rows answered as saved",
        "✓ schema: takes what hand@1 takes, and answers in the same form",
        "✓ auc >= 0.6: auc is 0.7, >= 0.6 is asked",
        "hand@production is now hand@2; it was hand@1",
    ]
    again = report("promote", "hand@2", "--to", "production", "--because", "again")
    assert (again["ok"], again["moved"]) == (True, False)


def test_promote_fails_with_code_1_and_moves_nothing(pushed):
    done = run("promote", "hand@2", "--to", "production", "--because", "no", "--gate", "auc >= current")
    assert done.exit_code == 1
    assert "✗ auc >= current: auc is 0.7, >= 0.8 is asked" in done.stdout
    assert done.stderr == "Error: hand@2 was not promoted; hand@production is as it was\n"
    as_json = run(
        "promote", "hand@2", "--to", "production", "--because", "no", "--gate", "auc >= 1", "--json"
    )
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["ok"] is False
    assert report("show", "hand@production")["number"] == 1
    assert run("promote", "hand@2", "--to", "production", "--because", "no", "--gate", "auc").exit_code == 2


def test_rollback_is_one_call(pushed):
    assert run("rollback", "hand@production").exit_code == 2
    assert run("promote", "hand@2", "--to", "production", "--because", "newer").exit_code == 0
    done = run("rollback", "hand@production", "--because", "errors", "--by", "ben")
    assert done.stdout == "hand@production is back on hand@1; it was hand@2\n"
    last = report("show", "hand@production")["history"][-1]
    assert (last["kind"], last["moved_by"], last["because"]) == ("rollback", "ben", "errors")
    assert "names no alias" in run("rollback", "hand@2").stderr


def test_diff_of_versions_and_files(pushed):
    found = report("diff", "hand@1", pushed[1])
    assert found["compatible"]
    assert [(one["part"], one["what"], one["note"]) for one in found["differences"]] == [
        ("metrics", "auc", "-0.1")
    ]
    assert "Metrics (1)" in run("diff", "hand@1", "hand@2").stdout
    assert run("diff", "hand@1", "hand@1").stdout == "A and B are the same bundle\n"


def test_gc(pushed):
    assert report("gc") == {"blobs": [], "drafts": 0}


def test_commands_that_use_no_store_load_no_database(hand_bundle):
    code = (
        "import sys\nfrom afterfit.cli import cli\n"
        f"try: cli(['inspect', {str(hand_bundle)!r}])\nexcept SystemExit as end: assert end.code == 0\n"
        "assert 'sqlalchemy' not in sys.modules and 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
