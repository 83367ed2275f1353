"""What a run records of files that git does not know, and how it tells what it left out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import afterfit
from afterfit.tracking import _untracked, describe_left_out, read_run
from afterfit.tracking._untracked import CODE, LARGEST_FILE, MOST_BYTES, MOST_FILES, choose_new_files


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("AFTERFIT_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    write("train.py", "first\n")
    git("add", "--all")
    git("-c", "user.email=a@example.org", "-c", "user.name=a", "commit", "--quiet", "-m", "first")
    return tmp_path


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


def write(name: str, content: str | bytes = "x") -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def chosen(root: Path) -> tuple[list[str], dict[str, int | None]]:
    return choose_new_files(root, git("ls-files", "--others", "--exclude-standard", "-z").split("\0")[:-1])


def begun() -> tuple[dict, str]:
    """The code on record of a run that begins now, and its difference."""
    with afterfit.run("one") as run:
        pass
    difference = run.folder / "diff.patch"
    return read_run(run.folder).context["code"], difference.read_text() if difference.exists() else ""


@pytest.mark.parametrize(
    ("folder", "mark", "entry"),
    [
        ("own/env", "pyvenv.cfg", "own/env/"),
        ("own/env", "conda-meta/history", "own/env/"),
        ("own/env", "CACHEDIR.TAG", "own/env/"),
        ("own/node_modules", "a.js", "**/node_modules/"),
        ("own/lib/site-packages", "a.py", "**/site-packages/"),
        ("own/__pycache__", "a.pyc", "**/__pycache__/"),
        ("own/.ipynb_checkpoints", "a.ipynb", "**/.ipynb_checkpoints/"),
    ],
)
def test_environments_and_caches_are_left_out_and_said(repository: Path, folder: str, mark: str, entry: str):
    write(f"{folder}/{mark}", "inside\n")
    for number in range(30):
        write(f"{folder}/deep/{number}.py", "inside\n")
    write("own/beside.py", "beside\n")
    code, difference = begun()
    assert code["left_out"] == {entry: 31}
    assert "+beside" in difference
    assert "inside" not in difference


def test_a_clone_that_is_an_environment_itself_keeps_its_code(repository: Path):
    write("pyvenv.cfg")
    write("lib/python3/site-packages/a.py")
    write("own.py")
    assert chosen(repository) == (["own.py", "pyvenv.cfg"], {"**/site-packages/": 1})


def test_a_repository_in_a_repository_is_said(repository: Path):
    write("other/code.py")
    git("init", "--quiet", "other")
    write("env/pyvenv.cfg")
    git("init", "--quiet", "env/src")
    assert chosen(repository) == ([], {"env/": 2, "other/": None})
    # How many files are in many of them is not known either.
    assert choose_new_files(repository, [f"a/{number}/" for number in range(30)]) == ([], {"a/": None})


def test_a_large_file_and_a_bundle_are_said_with_their_sizes(repository: Path):
    write("weights.py", b"x" * (LARGEST_FILE + 1))
    write("model.afit", "ab")
    write("just.py", b"x" * LARGEST_FILE)
    kept, left_out = chosen(repository)
    assert kept == ["just.py"]
    assert left_out == {"model.afit": 2, "weights.py": LARGEST_FILE + 1}
    assert describe_left_out({**left_out, "data/": 30_000, "one/": 1, "other/": None}) == [
        "model.afit (2 bytes)", "weights.py (1,048,577 bytes)", "data/ (30,000 files)", "one/ (1 file)", "other/",
    ]  # fmt: skip


def test_a_link_is_recorded_as_a_link(repository: Path, tmp_path_factory: pytest.TempPathFactory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "large").write_bytes(b"x" * (LARGEST_FILE + 1))
    Path("data").symlink_to(elsewhere)
    Path("large").symlink_to(elsewhere / "large")
    code, difference = begun()
    assert code["left_out"] == {}
    assert difference.count("new file mode 120000") == 2
    assert f"+{elsewhere}" in difference


def test_a_file_that_cannot_be_read_does_not_cost_the_others(
    repository: Path, monkeypatch: pytest.MonkeyPatch
):
    write("closed.py")
    write("open.py", "open\n")
    # Root may read everything, so the answer is made up.
    monkeypatch.setattr(_untracked.os, "access", lambda path, mode: "closed" not in str(path))
    code, difference = begun()
    assert "+open" in difference
    assert code["left_out"] == {"closed.py": 1}


@pytest.mark.parametrize("name", ["*", ":(top)x", "[a].py", "--all"])
def test_a_name_is_no_pattern_and_no_option(repository: Path, name: str):
    write(name, "odd\n")
    write("a.py", "beside\n")
    write("env/pyvenv.cfg", "inside\n")
    code, difference = begun()
    assert code["left_out"] == {"env/": 1}
    assert "+odd" in difference
    assert "+beside" in difference
    assert "inside" not in difference


def test_a_name_in_another_encoding_is_recorded(repository: Path):
    Path(os.fsdecode(b"caf\xe9.py")).write_text("coffee\n")
    code, difference = begun()
    assert "+coffee" in difference
    assert code["left_out"] == {}


def test_a_folder_of_data_is_taken_whole_or_not_at_all(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_untracked, "MOST_FILES", 10)
    for number in range(8):
        write(f"data/{number}.png")
    for number in range(3):
        write(f"more/{number}.csv")
    write("settings.json")
    write("own/train.py")
    assert chosen(repository) == (
        ["more/0.csv", "more/1.csv", "more/2.csv", "own/train.py", "settings.json"],
        {f"data/{number}.png": 1 for number in range(8)},
    )
    for number in range(21):
        write(f"data/{number % 10}/deep/{number}.png")
    assert chosen(repository)[1] == {"data/": 29}
    assert "own/train.py" in chosen(repository)[0]


def test_code_comes_first_and_the_nearest_to_the_root(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_untracked, "MOST_BYTES", 30)
    write("a/b/far.py", b"x" * 10)
    write("near.YAML", b"x" * 10)
    write("a/middle.py", b"x" * 10)
    write("notes.txt", b"x")
    assert ".yaml" in CODE
    assert chosen(repository) == (["a/b/far.py", "a/middle.py", "near.YAML"], {"notes.txt": 1})
    write("new.py", b"x" * 10)
    assert chosen(repository) == (["a/middle.py", "near.YAML", "new.py"], {"a/b/far.py": 10, "notes.txt": 1})


def test_the_whole_is_bounded_in_files_and_bytes(repository: Path):
    for number in range(MOST_FILES + 5):
        write(f"own/{number}.py")
    kept, left_out = chosen(repository)
    assert (len(kept), len(left_out)) == (MOST_FILES, 5)
    for number in range(6):
        write(f"{number}.py", b"x" * LARGEST_FILE)
    kept, left_out = chosen(repository)
    assert sum(Path(name).stat().st_size for name in kept) == MOST_BYTES
    assert left_out == {"4.py": LARGEST_FILE, "5.py": LARGEST_FILE, "own/": MOST_FILES + 5}


def test_many_files_are_not_asked_for_their_sizes(repository: Path, monkeypatch: pytest.MonkeyPatch):
    names = [f"data/{number}.png" for number in range(MOST_FILES + 1)] + ["near.py"]
    asked = []
    monkeypatch.setattr(Path, "lstat", lambda path: asked.append(path.name) or os.lstat(path))
    write("near.py")
    assert choose_new_files(repository, names) == (["near.py"], {"data/": MOST_FILES + 1})
    assert asked == ["near.py"]


@pytest.mark.parametrize(
    ("files", "left_out"),
    [
        ([f"{i}.afit" for i in range(30)], {"./": 30}),
        ([f"{i}/m.afit" for i in range(30)], {"./": 30}),
        ([f"m/{i}/m.afit" for i in range(30)], {"m/": 30}),
        ([f"m/{i}/{j}.afit" for i in range(2) for j in range(30)], {"m/0/": 30, "m/1/": 30}),
        ([f"{i}/{j}.afit" for i in range(3) for j in range(10)], {"0/": 10, "1/": 10, "2/": 10}),
        ([f"m/{i}.afit" for i in range(30)] + ["one/x.afit"], {"m/": 30, "one/x.afit": 1}),
    ],
)
def test_what_was_left_out_is_told_in_few_words(repository: Path, files: list[str], left_out: dict[str, int]):
    for name in files:
        write(name)
    assert chosen(repository) == ([], left_out)


def test_a_file_that_vanishes_meanwhile_is_neither_recorded_nor_said(repository: Path):
    assert choose_new_files(repository, ["gone.py", "gone.afit"]) == ([], {})
