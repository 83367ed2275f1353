"""The server under everything at once, for minutes: does it stay right, up and small?

    pip install ".[demo]" && python benchmarks/soak.py --minutes 10

Serves a model of real flights with `afterfit serve`, measures its peak, and then sends 70 % of that with `afterfit
loadtest`'s engine: golden rows and mutations, 5 % malformed, 1 % larger than the server takes, 1 % abandoned half way.
Meanwhile the bundle is swapped for another version and back every 20 s, and a worker is killed (SIGKILL) every 60 s; a
run of less than 10 minutes does both more often. It fails unless

- every answer is the one that the version it names gives in this process, and every bad request is refused by the right
  status;
- no status is 5xx but 503, by which the server sheds load, and no request stays unanswered; connections that a killed
  worker took along are counted apart;
- memory is flat: the RSS of all processes of the server together, and that of the worker that is never killed, has in
  the last fifth of the time a median at most 5 % above that of the fifth after the first, which is for warming up;
- every swap went live, every killed worker was replaced, and the server's own count of answers, over dead workers too,
  is that of the client.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from _processes import children, descendants, resident_bytes

import afterfit
from afterfit.loadtest import Pace, Shares, Tally, Target, ask_once, deck_of_models, run, started_server
from afterfit.runtime import available_cores

MAX_BODY = 100_000
SHARES = Shares(malformed=0.05, oversized=0.01, abandoned=0.01)
GROWTH = 0.05


@dataclass
class Disturbances:
    """What is done to the server meanwhile, and how large it is, by seconds since the start."""

    swaps: int = 0
    kills: int = 0
    memory: list[tuple[float, int, int]] = field(default_factory=list)
    """Seconds, RSS of the whole tree, RSS of the eldest worker; not while a worker is being replaced."""


@dataclass
class Verdict:
    minutes: float
    workers: int
    connections: int
    peak: float
    rate: float
    swaps: int
    kills: int
    tree_growth: float
    eldest_growth: float
    counted: int
    report: dict[str, object]
    failures: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=min(2, available_cores()))
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--share", type=float, default=0.7, help="of the measured peak")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        verdict = soak(
            Path(folder), arguments.minutes, arguments.workers, arguments.connections, arguments.share
        )
    print(json.dumps(asdict(verdict), indent=2) if arguments.json else _told(verdict))
    sys.exit(1 if verdict.failures else 0)


def soak(folder: Path, minutes: float, workers: int, connections: int, share: float) -> Verdict:
    """Run the soak; what came of it."""
    models, paths = train(folder)
    live = folder / "live.afit"
    shutil.copyfile(paths[0], live)
    seconds = 60 * minutes
    options = ["--workers", str(workers), "--max-body", str(MAX_BODY)]
    with started_server([live], options) as (url, process):
        target = Target.parse(url)
        good = deck_of_models(target, models)
        _say("measuring the peak")
        peak = run(target, good, Pace(connections, max(2.0, min(10.0, seconds / 10))))
        rate = share * peak.rate
        deck = deck_of_models(target, models, shares=SHARES, max_body=MAX_BODY)
        disturbances, stopped = Disturbances(), threading.Event()
        disturber = threading.Thread(
            target=disturb, args=(process.pid, paths, live, seconds, disturbances, stopped)
        )
        disturber.start()
        try:
            tally = run(
                target, deck, Pace(connections, seconds, rate=rate), lambda now: _progress(now, seconds)
            )
        finally:
            stopped.set()
            disturber.join()
        alive = len(children(process.pid))
        counted = count_of_server(target)
    tree, eldest = growth(disturbances.memory, seconds)
    failures = judge(tally, peak, disturbances, (tree, eldest), counted, connections)
    if alive != workers:
        failures.append(f"{alive} workers are left of {workers}")
    return Verdict(
        minutes,
        workers,
        connections,
        peak.rate,
        rate,
        disturbances.swaps,
        disturbances.kills,
        tree,
        eldest,
        counted,
        tally.report(),
        failures,
    )


def train(folder: Path) -> tuple[list[afterfit.Model], list[Path]]:
    """Two versions of one model, which regularise more and less."""
    from afterfit.cli._demo_model import load_flights, train_pipeline

    flights = load_flights()
    models, paths = [], [folder / "first.afit", folder / "second.afit"]
    for path, C in zip(paths, (1.0, 0.01), strict=True):
        _say(f"training {path.stem}")
        pipeline = train_pipeline(flights, C=C)
        models.append(afterfit.save(pipeline, path, X=flights.train, y=flights.late, name="flights"))
    return models, paths


def disturb(
    pid: int, paths: list[Path], live: Path, seconds: float, done: Disturbances, stopped: threading.Event
) -> None:
    """Swap, kill and measure until stopped. The eldest worker is never killed: a leak shows in it."""
    swap_every = min(20.0, max(4.0, seconds / 30))
    # granian takes two deaths within 5.5 s for a loop of crashes, and ends.
    kill_every = min(60.0, max(12.0, seconds / 10))
    started = time.monotonic()
    next_swap, next_kill = swap_every, kill_every
    workers = len(children(pid))
    while not stopped.wait(0.5):
        now = time.monotonic() - started
        if now >= next_swap:
            next_swap += swap_every
            done.swaps += 1
            draft = live.with_suffix(".draft")
            shutil.copyfile(paths[done.swaps % 2], draft)
            draft.replace(live)
        if now >= next_kill and len(children(pid)) == workers > 1:
            next_kill += kill_every
            done.kills += 1
            os.kill(children(pid)[-1], signal.SIGKILL)
            continue
        found = children(pid)
        if len(found) == workers:
            tree = sum(map(resident_bytes, [pid, *descendants(pid)]))
            done.memory.append((now, tree, resident_bytes(found[0])))


def growth(memory: list[tuple[float, int, int]], seconds: float) -> tuple[float, float]:
    """By what share the whole tree, and its eldest worker, grew from the second fifth of the time to the last."""
    second = [one for one in memory if seconds / 5 <= one[0] < 2 * seconds / 5]
    last = [one for one in memory if one[0] >= 4 * seconds / 5]
    if not second or not last:
        return float("inf"), float("inf")

    def grown(which: int) -> float:
        before, after = (statistics.median(one[which] for one in part) for part in (second, last))
        return after / before - 1

    return grown(1), grown(2)


def count_of_server(target: Target) -> int:
    """How many answers with status 200 the server says its workers gave, dead ones too."""
    text = ask_once(target, target.request("GET", "/metrics")).body.decode()
    pattern = r'afterfit_requests_total\{method="POST",route="/models/flights/predict",status="200"\} (\d+)'
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def judge(
    tally: Tally,
    peak: Tally,
    disturbances: Disturbances,
    grown: tuple[float, float],
    counted: int,
    connections: int,
) -> list[str]:
    """What did not hold."""
    failures = [f"{tally.wrong + peak.wrong} wrong answers"] if tally.wrong + peak.wrong else []
    failures += [
        f"{one.kind}: {one.why}; sent {one.sent[:200]!r}, got {one.got[:200]!r}"
        for one in tally.wrong_answers[:5]
    ]
    errors = {status: count for status, count in tally.statuses.items() if status >= 500 and status != 503}
    failures += [f"{count} answers of status {status}" for status, count in errors.items()]
    if tally.late:
        failures.append(f"{tally.late} requests were not answered")
    # Every connection may be cut by every kill, and some of the connections that wait in the backlog.
    most = disturbances.kills * 2 * connections
    if tally.cut > most:
        failures.append(f"{tally.cut} connections were cut, more than {disturbances.kills} kills can explain")
    for name, share in zip(("all processes", "the eldest worker"), grown, strict=True):
        if not share <= GROWTH:
            failures.append(f"memory of {name} grew by {share:.1%}")
    if disturbances.swaps and len(tally.versions) < 2:
        failures.append("the other version never went live")
    known = tally.statuses[200] + peak.statuses[200]
    if not known - most <= counted <= known + most + tally.left:
        failures.append(f"the server counted {counted} answers, the client {known}")
    return failures


def _progress(tally: Tally, seconds: float) -> None:
    _say(
        f"{tally.seconds:.0f} of {seconds:.0f} s, {tally.total:,} answers, {tally.wrong} wrong, {tally.shed} shed, "
        f"{tally.cut} cut"
    )


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _told(verdict: Verdict) -> str:
    _say("")
    report = verdict.report
    times = report["milliseconds"]
    lines = [
        f"{verdict.minutes:g} minutes, {verdict.workers} workers, {verdict.connections} connections",
        f"peak {verdict.peak:,.0f} requests/s (this client on the same cores); sent {verdict.rate:,.0f}",
        f"{report['requests']:,} answers, {report['abandoned']:,} requests abandoned",
        f"by status: {report['by_status']}",
        f"by version: {report['by_version']}",
        "ms: " + ", ".join(f"{name} {value:.2f}" for name, value in times.items() if value is not None),
        f"{verdict.swaps} swaps, {verdict.kills} workers killed; {report['cut']} connections cut and "
        f"{report['refused']} refused by that",
        f"wrong answers {report['wrong']}, shed with 503 {report['shed']}, unanswered {report['late']}",
        f"memory: all processes {verdict.tree_growth:+.1%}, the worker never killed {verdict.eldest_growth:+.1%}",
        f"the server counted {verdict.counted:,} answers of status 200, with the peak's",
        *(f"FAILED: {failure}" for failure in verdict.failures),
        "failed" if verdict.failures else "held",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
