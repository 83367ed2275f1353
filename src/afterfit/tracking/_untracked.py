"""Which of the files that git does not know yet are code of a run, and how the others are told in few words."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

LARGEST_FILE = 1 << 20
MOST_FILES = 1_000
MOST_BYTES = 4 << 20

CODE = frozenset({
    ".py", ".pyi", ".pyx", ".pxd", ".ipynb", ".toml", ".cfg", ".ini", ".yaml", ".yml", ".sh", ".sql", ".r", ".jl", ".c",
    ".h", ".cc", ".cpp", ".hpp", ".cu", ".cuh", ".rs", ".js", ".ts",
})  # fmt: skip
"""The suffixes of files that are taken before any others."""

BUNDLE = ".afit"

_NAMED = frozenset({"node_modules", "site-packages", "__pycache__", ".ipynb_checkpoints"})
_MARKERS = ("pyvenv.cfg", "conda-meta", "CACHEDIR.TAG")
"""What lies in the folder of an environment (venv, conda) or of a cache (https://bford.info/cachedir/)."""

_MOST_ENTRIES = 20


def choose_new_files(root: Path, names: Sequence[str]) -> tuple[list[str], dict[str, int | None]]:
    """Of the files that git does not know and does not ignore, those to record; and what was left out.

    `names`: as git tells them, relative to `root`; one that ends in a slash is a repository of its own.

    Recorded: regular files and links that can be read, of at most `LARGEST_FILE` bytes, no bundles, `MOST_FILES` of
    them and `MOST_BYTES` bytes altogether. Code, told by the suffixes in `CODE`, comes first, the nearest to the root
    before others. Then come the rest, by folders at the root, those with the fewest files first, and each as a whole
    or not at all: half a folder of data would train another model than the whole one did, without an error. No file is
    opened.

    Not looked at: repositories of their own, and what lies below `node_modules`, `site-packages`, `__pycache__`,
    `.ipynb_checkpoints`, or a folder other than the root that holds `pyvenv.cfg`, `conda-meta` or `CACHEDIR.TAG`.

    Left out, at most 20 entries: a file with its size in bytes; a folder, whose name ends in a slash, with the number
    of files below it that were left out, None where they were not counted; `**/NAME/` for all folders of a name.
    """
    places = _Places(root)
    folders: dict[str, int | None] = {}
    candidates = []
    for name in names:
        place = places.excluding(name)
        if place:
            folders[place] = (folders.get(place) or 0) + 1
        elif name.endswith("/"):
            folders[name] = None
        else:
            candidates.append(name)
    kept = _kept(root, candidates)
    left = set(candidates).difference(kept)
    return kept, _told(root, folders, left)


def describe_left_out(left_out: Mapping[str, int | None]) -> list[str]:
    """A phrase for each entry, such as `data/ (30,000 files)` and `big.bin (2,097,152 bytes)`."""
    phrases = []
    for name, count in left_out.items():
        unit = "file" if name.endswith("/") else "byte"
        phrases.append(name if count is None else f"{name} ({count:,} {unit}{'' if count == 1 else 's'})")
    return phrases


class _Places:
    """Tells by which folder a file is not looked at; asks the disk once for each folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known = {"": ""}

    def excluding(self, name: str) -> str:
        """The entry of `left_out` that a file belongs to, empty for a file of its own."""
        return self._of_folder(name.rstrip("/").rpartition("/")[0])

    def _of_folder(self, folder: str) -> str:
        known = self._known.get(folder)
        if known is None:
            above, _, last = folder.rpartition("/")
            known = self._of_folder(above)
            if not known and last in _NAMED:
                known = f"**/{last}/"
            if not known and any((self._root / folder / marker).exists() for marker in _MARKERS):
                known = f"{folder}/"
            self._known[folder] = known
        return known


def _kept(root: Path, candidates: Iterable[str]) -> list[str]:
    code, others = [], dict[str, list[str]]()
    for name in candidates:
        path = PurePosixPath(name)
        if path.suffix.lower() in CODE:
            code.append(name)
        elif path.suffix != BUNDLE:
            others.setdefault(path.parts[0], []).append(name)
    code.sort(key=lambda name: (name.count("/"), name))
    groups = [[name] for name in code] + sorted(others.values(), key=lambda group: (len(group), group[0]))
    kept: list[str] = []
    total = 0
    for group in groups:
        # Before their sizes are asked for, which takes long for many files.
        if len(kept) == MOST_FILES:
            break
        if len(group) > MOST_FILES:
            continue
        sizes = {name: size for name, size in _readable(root, group).items() if size <= LARGEST_FILE}
        size = sum(sizes.values())
        if len(kept) + len(sizes) <= MOST_FILES and total + size <= MOST_BYTES:
            kept += sizes
            total += size
    return sorted(kept)


def _readable(root: Path, names: Iterable[str]) -> dict[str, int]:
    """The sizes of the files and links that git can read."""
    return {
        name: found.st_size
        for name, found in _status(root, names)
        if stat.S_ISLNK(found.st_mode) or (stat.S_ISREG(found.st_mode) and os.access(root / name, os.R_OK))
    }


def _status(root: Path, names: Iterable[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Of those that are there: other processes may remove files meanwhile."""
    for name in names:
        try:
            yield name, (root / name).lstat()
        except FileNotFoundError:
            continue


def _told(root: Path, folders: Mapping[str, int | None], left: Iterable[str]) -> dict[str, int | None]:
    """The entries of what was left out, files folded into folders until they are few."""
    named = {name: count for name, count in folders.items() if name.startswith("**/")}
    entries = {name: count for name, count in folders.items() if name not in named} | dict.fromkeys(left, 1)
    most = _MOST_ENTRIES - len(named)
    for depth in range(max(map(_depth, entries), default=0), 0, -1):
        entries = _folded(entries, depth, most)
    if len(entries) > most:
        entries = _folded(entries, 1, 1)
    if len(entries) > most:
        entries = {"./": _sum(entries.values())}
    whole = {name: count for name, count in entries.items() if name.endswith("/")}
    sizes = {name: found.st_size for name, found in _status(root, entries.keys() - whole)}
    return dict(sorted({**named, **whole, **sizes}.items()))


def _depth(name: str) -> int:
    return name.rstrip("/").count("/")


def _folded(entries: Mapping[str, int | None], depth: int, most: int) -> dict[str, int | None]:
    """With one entry for each folder at a depth that has more than `most` below it."""
    below: dict[str, list[str]] = {}
    for name in entries:
        if _depth(name) >= depth:
            below.setdefault("/".join(name.split("/")[:depth]) + "/", []).append(name)
    folded = dict(entries)
    for folder, names in below.items():
        if len(names) > most:
            folded[folder] = _sum([folded.pop(name) for name in names])
    return folded


def _sum(counts: Iterable[int | None]) -> int | None:
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total
