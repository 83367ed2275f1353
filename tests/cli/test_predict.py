"""`afterfit predict`: what it leaves on the disk, what it says, and with which code it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from afterfit.cli import cli

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "amount (€),code,member,visits,account,note"
GOOD = "1,001,true,0,7,a\n2,,0,,8,b\n"
BAD = GOOD + 'x,"two\nlines",true,0,7,c\n4,001,perhaps,1.5,7,d\n5,001\n6,001,true,0,7,e\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.csv").write_text(f"{HEADER}\n{GOOD}", encoding="utf-8")
    (tmp_path / "bad.csv").write_text(f"{HEADER}\n{BAD}", encoding="utf-8")
    return tmp_path


def run(*args: str | Path, **options):
    return CliRunner().invoke(cli, ["predict", *(str(arg) for arg in args)], **options)


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_answers_stand_beside_the_columns_of_the_input(hand_bundle: Path, folder: Path, hand_answer):
    done = run(hand_bundle, folder / "good.csv", "-o", folder / "out.csv")
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert done.stderr.startswith("2 rows scored in ")
    text = (folder / "out.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == f"{HEADER},prediction,probability_no,probability_yes"
    assert text.splitlines()[1].startswith("1,001,true,0,7,a,no,")
    first = {"amount (€)": 1.0, "code": "001", "member": True, "visits": 0, "account": 7}
    second = {"amount (€)": 2.0, "code": None, "member": False, "visits": None, "account": 8}
    assert [float(row["probability_yes"]) for row in read(text)] == [hand_answer(first), hand_answer(second)]


def test_without_a_name_answers_go_to_standard_output(hand_bundle: Path, folder: Path):
    by_file = run(hand_bundle, folder / "good.csv")
    by_stream = run(hand_bundle, "-", input=(folder / "good.csv").read_bytes())
    assert by_file.exit_code == 0
    assert len(read(by_file.stdout)) == 2
    assert by_stream.stdout == by_file.stdout
    assert (
        run(hand_bundle, "-", "--only-predictions", input=HEADER).stdout
        == "prediction,probability_no,probability_yes\n"
    )


def test_a_report_as_json(hand_bundle: Path, folder: Path):
    done = run(hand_bundle, folder / "good.csv", "-o", folder / "out.jsonl", "--json")
    report = json.loads(done.stdout)
    assert (report["ok"], report["rows_scored"], report["rows_rejected"], report["model"]) == (
        True,
        2,
        0,
        "by hand",
    )
    assert run(hand_bundle, folder / "good.csv", "--json").exit_code == 2


def test_bad_rows_stop_it_with_every_mistake_and_nothing_is_written(hand_bundle: Path, folder: Path):
    before = files(folder)
    done = run(hand_bundle, folder / "bad.csv", "-o", folder / "out.csv")
    assert done.exit_code == 2
    assert files(folder) == before
    lines = done.stderr.splitlines()
    assert lines[0] == f"Error: 3 rows of {folder / 'bad.csv'} cannot be scored; nothing was written"
    assert lines[1].startswith("  row 3 (line 4), column 'amount (€)': expected a number, got 'x'; ")
    assert lines[2].startswith("  row 4 (line 6), column 'member': expected true or false, got 'perhaps'; ")
    assert lines[3].startswith("  row 4 (line 6), column 'visits': expected a whole number, got '1.5'; ")
    assert lines[4].startswith("  row 5 (line 7): expected 6 cells, got 2: '5,001'; ")
    assert "--on-error skip" in lines[5]
    report = json.loads(run(hand_bundle, folder / "bad.csv", "-o", folder / "out.csv", "--json").stdout)
    assert report["ok"] is False
    assert [(bad["row"], bad["line"], len(bad["errors"])) for bad in report["rejected"]] == [
        (3, 4, 1),
        (4, 6, 2),
        (5, 7, 1),
    ]


def test_skipped_rows_go_to_a_file_of_their_own(hand_bundle: Path, folder: Path):
    done = run(hand_bundle, folder / "bad.csv", "-o", folder / "out.csv", "--on-error", "skip")
    assert done.exit_code == 0, done.output
    assert "3 could not be, see" in done.stderr
    assert [row["note"] for row in read((folder / "out.csv").read_text())] == ["a", "b", "e"]
    rejected = [json.loads(line) for line in (folder / "out.rejected.jsonl").read_text().splitlines()]
    assert [row["row"] for row in rejected] == [3, 4, 5]
    assert rejected[0]["values"]["code"] == "two\nlines"
    assert rejected[1]["values"] == dict(
        zip(HEADER.split(","), ["4", "001", "perhaps", "1.5", "7", "d"], strict=True)
    )
    assert rejected[2]["text"] == "5,001"
    assert files(folder) == {"good.csv", "bad.csv", "out.csv", "out.rejected.jsonl"}


def test_rejects_of_an_earlier_run_do_not_stay(hand_bundle: Path, folder: Path):
    skip = ("-o", folder / "out.csv.gz", "--on-error", "skip")
    assert run(hand_bundle, folder / "bad.csv", *skip).exit_code == 0
    assert "out.rejected.jsonl" in files(folder)
    assert run(hand_bundle, folder / "good.csv", *skip).exit_code == 2
    assert run(hand_bundle, folder / "good.csv", *skip, "--force").exit_code == 0
    assert files(folder) == {"good.csv", "bad.csv", "out.csv.gz"}


def test_a_file_without_one_good_row_is_bad_input(hand_bundle: Path, folder: Path):
    (folder / "good.csv").write_text(f"{HEADER}\n" + "x,001,true,0,7,a\n" * 3)
    done = run(hand_bundle, folder / "good.csv", "-o", folder / "out.csv", "--on-error", "skip")
    assert done.exit_code == 2
    assert "none of the 3 rows could be scored" in done.stderr
    assert files(folder) == {"good.csv", "bad.csv", "out.rejected.jsonl"}


def test_the_name_of_a_column_that_is_taken(hand_bundle: Path, folder: Path):
    assert run(hand_bundle, folder / "good.csv", "-o", folder / "out.csv").exit_code == 0
    again = run(hand_bundle, folder / "out.csv", "-o", folder / "again.csv")
    assert again.exit_code == 2
    assert (
        "'prediction', 'probability_no', 'probability_yes' already; name the answers otherwise with --prefix"
        in again.stderr
    )
    assert run(hand_bundle, folder / "out.csv", "-o", folder / "again.csv", "--prefix", "new_").exit_code == 0
    assert (
        run(hand_bundle, folder / "out.csv", "-o", folder / "only.csv", "--only-predictions").exit_code == 0
    )


def test_a_column_that_is_missing(hand_bundle: Path, folder: Path):
    (folder / "good.csv").write_text("amount,code,member,visits,acount\n1,1,1,1,1\n")
    done = run(hand_bundle, folder / "good.csv")
    assert done.exit_code == 2
    assert (
        "column 'account': expected a column of this name, got no such column; rename the column 'acount'"
        in done.stderr
    )
    assert len(done.stderr.splitlines()) == 3


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["good.csv", "-o", "good.csv"], "is read, so it cannot be written"),
        (["good.csv", "-o", "good.csv", "--force"], "is read, so it cannot be written"),
        (["good.csv", "-o", "linked.csv", "--force"], "is read, so it cannot be written"),
        (["good.csv", "-o", "bad.csv"], "exists already; replace it with --force"),
        (["good.csv", "-o", "out.xlsx"], "does not say which format"),
        (["good.csv", "-o", "missing/out.csv"], "does not exist"),
        (["good.csv", "-o", "fifo.csv", "--force"], "is not an ordinary file"),
        (["fifo.csv", "-o", "out.csv"], "is not an ordinary file"),
        (["good.csv", "--on-error", "skip"], "add -o OUTPUT or --rejects FILE"),
        (["good.csv", "--rejects", "r.jsonl"], "--on-error skip"),
        (["good.csv", "-o", "out.csv", "--on-error", "skip", "--rejects", "out.csv"], "cannot both go to"),
        (["good.csv", "--delimiter", ";;"], "one ASCII character"),
        (["good.csv", "--batch-rows", "0"], "batch-rows"),
        (["missing.csv"], "does not exist"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_touched(
    hand_bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], message: str
):
    monkeypatch.chdir(folder)
    (folder / "linked.csv").hardlink_to(folder / "good.csv")
    os.mkfifo(folder / "fifo.csv")
    before = {path: path.stat() for path in folder.iterdir()}
    done = run(hand_bundle, *args)
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert {path: path.stat() for path in folder.iterdir()} == before


def test_other_delimiters(hand_bundle: Path, folder: Path):
    path = folder / "semicolons.csv"
    path.write_text(f"{HEADER}\n{GOOD}".replace(",", ";"), encoding="utf-8")
    assert "say so with --delimiter" in run(hand_bundle, path).stderr
    done = run(hand_bundle, path, "--delimiter", ";")
    assert done.stdout == run(hand_bundle, folder / "good.csv").stdout


def test_without_pyarrow_there_is_a_way_out(hand_bundle: Path, folder: Path):
    code = (
        "import importlib.util, sys\nfind = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'pyarrow' else find(name, *a)\n"
        "from afterfit.cli import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", hand_bundle, folder / "good.csv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert 'pip install "afterfit[files]"' in done.stderr
    assert "Traceback" not in done.stderr


def start(*args: str | Path, **options) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "afterfit", "predict", *args], stderr=subprocess.PIPE, **options
    )


def test_a_real_process_prints_no_traceback(hand_bundle: Path, folder: Path):
    process = start(hand_bundle, folder / "bad.csv", stdout=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert b"Traceback" not in err
    assert b"\x1b" not in err
    assert out.count(b"\n") <= 1


def test_nobody_reading_the_output_is_no_error(hand_bundle: Path, folder: Path):
    (folder / "good.csv").write_text(f"{HEADER}\n" + GOOD * 200_000, encoding="utf-8")
    with start(hand_bundle, folder / "good.csv", stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"amount")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_behind(hand_bundle: Path, folder: Path, number: int, code: int):
    row = "1,001,true,0,7,a\n" * 10_000
    with (folder / "large.csv").open("w", encoding="utf-8") as file:
        file.write(f"{HEADER}\n")
        for _ in range(300):
            file.write(row)
    before = files(folder)
    process = start(hand_bundle, folder / "large.csv", "-o", folder / "out.csv", "--batch-rows", "1000")
    deadline = time.monotonic() + 60
    # The temporary file has content once scoring has begun.
    while not any(path.stat().st_size for path in folder.glob(".out.csv.*.tmp")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(number)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert b"Traceback" not in err
    assert files(folder) == before


def test_ctrl_c_while_waiting_for_input(hand_bundle: Path, folder: Path):
    temporary = folder / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    deadline = time.monotonic() + 60
    with start(hand_bundle, "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        process.stdin.write(f"{HEADER}\n{GOOD}".encode())
        process.stdin.flush()
        while not any(temporary.glob("afterfit-*/input.csv")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == b""
    assert list(temporary.glob("afterfit-*")) == []


def test_progress_is_drawn_on_a_terminal_only(hand_bundle: Path, folder: Path):
    pty = pytest.importorskip("pty")
    drawn = {}
    for no_color in ("", "1"):
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "afterfit",
                "predict",
                hand_bundle,
                folder / "good.csv",
                "-o",
                folder / f"o{no_color}.csv",
            ],
            stderr=follower,
            env={**os.environ, "NO_COLOR": no_color, "TERM": "xterm-256color", "COLUMNS": "120"},
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
        assert process.wait(60) == 0
        drawn[no_color] = b"good.csv" in shown
        assert b"2 rows scored" in shown
    assert drawn == {"": True, "1": False}
