"""Counters that every worker writes for itself and any worker can add up.

Each worker has two files in a folder that all share: `.series` says what is counted, one line for each series,
and `.values` holds the numbers, mapped into memory, so that counting is one addition and a number outlives
the worker that counted it, even one that was killed.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import secrets
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[tuple[str, str], ...]

SLOTS: Final = 1 << 16
"""Numbers that one worker can hold; the file is sparse, so unused ones take no room."""

MAX_SERIES: Final = 3_000
"""Series of one worker. More would come of labels that clients choose; they are counted together instead."""

OVERFLOW: Final[Labels] = (("overflow", "true"),)


class Counter:
    """A number that only grows, or that is set (a gauge)."""

    __slots__ = ("_slot", "_values")

    def __init__(self, values: memoryview[float], slot: int) -> None:
        self._values = values
        self._slot = slot

    def add(self, amount: float = 1.0) -> None:
        """Count `amount` more."""
        self._values[self._slot] += amount

    def set(self, value: float) -> None:
        """Make it `value`."""
        self._values[self._slot] = value


class Histogram:
    """How often values fell into each bucket, and their sum."""

    __slots__ = ("_bounds", "_slot", "_sum", "_values")

    def __init__(self, values: memoryview[float], slot: int, bounds: Sequence[float]) -> None:
        self._values = values
        self._slot = slot
        self._bounds = tuple(bounds)
        self._sum = slot + len(self._bounds) + 1

    def observe(self, value: float) -> None:
        """Count `value` in the first bucket whose bound is not below it."""
        self._values[self._slot + bisect_left(self._bounds, value)] += 1.0
        self._values[self._sum] += value

    def observe_all(self, values: Sequence[float]) -> None:
        """Count several values, at the price of little more than one: those that came together are much alike."""
        bounds = self._bounds
        buckets = [bisect_left(bounds, value) for value in values]
        for bucket in set(buckets):
            self._values[self._slot + bucket] += buckets.count(bucket)
        self._values[self._sum] += sum(values)


class Board:
    """The series of one worker. Not thread-safe: two threads that count in one series may lose a count."""

    def __init__(self, folder: Path) -> None:
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._series = (folder / f"{name}.series").open("ab", buffering=0)
        with (folder / f"{name}.values").open("w+b") as file:
            file.truncate(SLOTS * 8)
            self._map = mmap.mmap(file.fileno(), SLOTS * 8)
        self._values = memoryview(self._map).cast("d")
        self._used = 0
        self._made: dict[tuple[str, Labels], Counter | Histogram] = {}

    def counter(self, name: str, /, **labels: str) -> Counter:
        """The counter of this name and these labels, made on its first use."""
        return self._scalar("counter", name, labels)

    def gauge(self, name: str, /, **labels: str) -> Counter:
        """The gauge of this name and these labels; gauges of workers that are gone are not shown."""
        return self._scalar("gauge", name, labels)

    def histogram(self, name: str, bounds: Sequence[float], /, **labels: str) -> Histogram:
        """The histogram of this name and these labels; `bounds` are the upper ends of its buckets, ascending."""
        key = self._key(name, labels)
        made = self._made.get(key)
        if not isinstance(made, Histogram):
            slot = self._claim("histogram", key, len(bounds) + 2, bounds)
            made = self._made[key] = Histogram(self._values, slot, bounds)
        return made

    def _scalar(self, kind: Kind, name: str, labels: dict[str, str]) -> Counter:
        key = self._key(name, labels)
        made = self._made.get(key)
        if not isinstance(made, Counter):
            made = self._made[key] = Counter(self._values, self._claim(kind, key, 1, ()))
        return made

    def _key(self, name: str, labels: dict[str, str]) -> tuple[str, Labels]:
        key = (name, tuple(sorted(labels.items())))
        return key if key in self._made or len(self._made) < MAX_SERIES else (name, OVERFLOW)

    def _claim(self, kind: Kind, key: tuple[str, Labels], width: int, bounds: Sequence[float]) -> int:
        slot = self._used
        self._used += width
        line = [slot, kind, key[0], key[1], list(bounds)]
        self._series.write(json.dumps(line).encode() + b"\n")
        return slot

    def close(self) -> None:
        """Let go of the files, which stay."""
        self._values.release()
        self._map.close()
        self._series.close()


@dataclass(slots=True)
class Series:
    """One series, added up over all workers. `numbers`: the buckets of a histogram and its sum, or one number."""

    kind: Kind
    name: str
    labels: Labels
    bounds: tuple[float, ...]
    numbers: list[float]


def add_up(folder: Path) -> list[Series]:
    """Every series of every worker in the folder, by name and labels; gauges of those that live alone."""
    total: dict[tuple[str, Labels], Series] = {}
    for path in sorted(folder.glob("*.series")):
        alive = is_alive(int(path.name.partition("-")[0]))
        for one in _read(path):
            if one.kind == "gauge" and not alive:
                continue
            known = total.setdefault((one.name, one.labels), one)
            if known is not one:
                known.numbers = [a + b for a, b in zip(known.numbers, one.numbers, strict=True)]
    return [total[key] for key in sorted(total)]


def _read(path: Path) -> Iterable[Series]:
    # The last line is empty, or has not been written whole yet.
    lines = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    if not lines:
        return
    # Slots are claimed in the order of the lines, and most of the file is never used.
    used = lines[-1][0] + _width(lines[-1])
    with path.with_suffix(".values").open("rb") as file:
        numbers = memoryview(file.read(8 * used)).cast("d")
    for line in lines:
        slot, kind, name, labels, bounds = line
        yield Series(
            kind,
            name,
            tuple((key, value) for key, value in labels),
            tuple(bounds),
            [float(number) for number in numbers[slot : slot + _width(line)]],
        )


def _width(line: list[Any]) -> int:
    """The slots that a series takes."""
    return len(line[4]) + 2 if line[1] == "histogram" else 1


def is_alive(process: int) -> bool:
    """Whether a process of this number runs, whoever it belongs to."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def exposition(series: Iterable[Series], descriptions: dict[str, str]) -> bytes:
    """The series in the Prometheus text format 0.0.4, those of one name together."""
    lines: list[str] = []
    shown = ""
    for one in series:
        if one.name != shown:
            shown = one.name
            lines += [f"# HELP {shown} {descriptions[shown]}", f"# TYPE {shown} {one.kind}"]
        if one.kind != "histogram":
            lines.append(f"{one.name}{_labels(one.labels)} {_number(one.numbers[0])}")
            continue
        counted = 0.0
        for bound, number in zip((*one.bounds, math.inf), one.numbers, strict=False):
            counted += number
            labels = _labels((*one.labels, ("le", _number(bound))))
            lines.append(f"{one.name}_bucket{labels} {_number(counted)}")
        lines.append(f"{one.name}_sum{_labels(one.labels)} {_number(one.numbers[-1])}")
        lines.append(f"{one.name}_count{_labels(one.labels)} {_number(counted)}")
    return ("\n".join(lines) + "\n").encode()


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    written = (f'{name}="{_escaped(value)}"' for name, value in labels)
    return "{" + ",".join(written) + "}"


def _escaped(value: str) -> str:
    text = value.encode("utf-8", "backslashreplace").decode()
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
