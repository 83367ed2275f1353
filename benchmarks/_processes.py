"""What the benchmarks of the server ask of processes; Linux alone tells it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


@contextmanager
def held_to(core: int) -> Iterator[None]:
    """Start processes on one core: they inherit it."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def children(pid: int) -> list[int]:
    """The processes that a process started, the eldest first."""
    try:
        found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    born: dict[int, int] = {}
    for one in found:
        with suppress(FileNotFoundError, ProcessLookupError):
            born[one] = int(_stat(one)[19])
    return sorted(born, key=born.__getitem__)


def descendants(pid: int) -> list[int]:
    found = children(pid)
    return found + [one for child in found for one in descendants(child)]


def stop_tree(process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    """Stop a process, and what it leaves behind of those that it started."""
    below = descendants(process.pid)
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for one in below:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and all below it so far; other work on the machine hardly moves it."""
    ticks = 0
    for one in [pid, *descendants(pid)]:
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = _stat(one)
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """RSS of one process; 0 once it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (FileNotFoundError, ProcessLookupError):
        return 0


def resident(pid: int) -> tuple[int, int]:
    """RSS and PSS, in MB, of a process and all below it."""
    rss = pss = 0
    for one in [pid, *descendants(pid)]:
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                rss += int(line.split()[1])
            elif line.startswith("Pss:"):
                pss += int(line.split()[1])
    return rss // 1024, pss // 1024


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
