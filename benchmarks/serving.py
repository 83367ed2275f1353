"""The server against what most people write and against the bare HTTP server, in one run.

    apt-get install wrk && pip install ".[demo,bench]" && python benchmarks/serving.py

Trains impute + scale + one-hot + logistic regression on the flights of January to June, saves it with afterfit and
with joblib, and serves it three ways, each with one worker held to core 0: afterfit; FastAPI + pydantic + the
pickled pipeline under uvicorn; a granian ASGI app that reads the body and answers a constant of the same size. wrk,
held to core 1, sends one real flight of July to December per request, the servers taking turns in every round. The
answers of the first two are compared with the pipeline in memory before anything is timed. Then cold start (from the
start of the process to the first right answer) and resident memory of the whole process tree.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SERVER_CORE, CLIENT_CORE = 0, 1
OURS, THEIRS, BARE = "afterfit", "FastAPI + pydantic + joblib", "bare granian ASGI app"
WRK_SCRIPT = """
local requests = {}
init = function()
  for body in io.lines("%s") do
    requests[#requests + 1] = wrk.format("POST", "/predict", {["Content-Type"] = "application/json"}, body)
  end
end
local turn = 0
request = function()
  turn = turn %% #requests + 1
  return requests[turn]
end
"""


@dataclass(frozen=True)
class Server:
    name: str
    command: Sequence[str]
    environment: dict[str, str]
    right: Callable[[bytes], bool]


@dataclass(frozen=True)
class Load:
    rate: float
    cpu: float
    p50: float
    p99: float
    bad: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", nargs="*", type=int, default=[1, 32, 128])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--starts", type=int, default=5, help="cold starts of each kind; 0 leaves them out")
    arguments = parser.parse_args()
    wrk = shutil.which("wrk")
    if wrk is None:
        sys.exit("benchmarks/serving.py needs the load generator wrk: apt-get install wrk")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("benchmarks/serving.py needs two cores: one for the servers, one for wrk")
    with tempfile.TemporaryDirectory() as folder:
        servers, commands = prepare(Path(folder))
        _print_versions()
        if arguments.connections:
            measure_load(servers, wrk, Path(folder), arguments)
        if arguments.starts:
            measure_starts(servers, commands, Path(folder), arguments.starts)


def prepare(folder: Path) -> tuple[list[Server], dict[str, list[str]]]:
    """Train, save both ways, and write the requests; the servers, and the two plain processes."""
    import joblib
    import numpy as np

    import afterfit
    from afterfit.cli._demo_model import load_flights, train_pipeline

    flights = load_flights()
    pipeline = train_pipeline(flights)
    bundle, pickle = folder / "flights.afit", folder / "flights.joblib"
    afterfit.save(pipeline, bundle, X=flights.train, y=flights.late, name="flights")
    joblib.dump(pipeline, pickle)
    sample = flights.held_out.sample(500, random_state=0)
    expected = pipeline.predict_proba(sample)
    rows = sample.astype(object).where(sample.notna(), None).to_dict("records")
    bodies = [json.dumps({"rows": [row]}) for row in rows]
    (folder / "bodies.jsonl").write_text("\n".join(bodies) + "\n")
    (folder / "wrk.lua").write_text(WRK_SCRIPT % (folder / "bodies.jsonl"))

    def right(answer: bytes) -> bool:
        got = np.array(json.loads(answer)["probabilities"])
        return bool(np.abs(got - expected[:1]).max() <= 1e-12)

    size = len(afterfit_answer(bundle, bodies[0]))
    python = sys.executable
    servers = [
        Server(
            BARE,
            [python, str(HERE / "_bare_app.py"), "PORT"],
            {"BARE_SIZE": str(size)},
            lambda answer: len(answer) == size,
        ),
        Server(OURS, [python, "-m", "afterfit", "serve", str(bundle), "--port", "PORT"], {}, right),
        Server(
            THEIRS,
            [
                python,
                "-m",
                "uvicorn",
                "_fastapi_app:app",
                "--app-dir",
                str(HERE),
                "--port",
                "PORT",
                "--log-level",
                "error",
            ],
            {"FLIGHTS_JOBLIB": str(pickle)},
            right,
        ),
    ]
    row = repr(rows[0])
    commands = {
        "afterfit.load + predict_proba": [
            python,
            "-c",
            f"import afterfit; print(afterfit.load({str(bundle)!r}).predict_proba([{row}]))",
        ],
        "joblib.load + predict_proba": [
            python,
            "-c",
            f"import joblib, pandas; print(joblib.load({str(pickle)!r}).predict_proba(pandas.DataFrame([{row}])))",
        ],
    }
    return servers, commands


def afterfit_answer(bundle: Path, body: str) -> bytes:
    """The bytes our server answers a body with, to make the bare server's as long."""
    import afterfit
    from afterfit.serving._batching import Batch
    from afterfit.serving.contracts._native import shaper

    model = afterfit.load(bundle, threads=1)
    return shaper(model)(Batch(model.run(model.decoder.decode_json(body.encode()))), 0, 1)


@contextmanager
def running(server: Server, body: bytes) -> Iterator[tuple[int, subprocess.Popen[bytes], float]]:
    """A server held to its core: its port, its process, and the seconds until its first right answer."""
    port = free_port()
    command = [part.replace("PORT", str(port)) if part == "PORT" else part for part in server.command]
    started = time.perf_counter()
    with held_to(SERVER_CORE):
        process = subprocess.Popen(
            command, env={**os.environ, **server.environment}, stdout=subprocess.DEVNULL
        )
    try:
        while True:
            if process.poll() is not None:
                sys.exit(f"{server.name} ended with code {process.returncode} before it answered")
            answer = post(port, body)
            if answer is not None:
                break
            time.sleep(0.002)
        seconds = time.perf_counter() - started
        if not server.right(answer):
            sys.exit(f"{server.name} gives a wrong answer: {answer[:500]!r}")
        yield port, process, seconds
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def held_to(core: int) -> Iterator[None]:
    """Start processes on one core: they inherit it."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def post(port: int, body: bytes) -> bytes | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.read() if response.status == 200 else None
    except OSError:
        return None
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure_load(servers: list[Server], wrk: str, folder: Path, arguments: argparse.Namespace) -> None:
    body = (folder / "bodies.jsonl").read_bytes().split(b"\n")[0]
    taken: dict[tuple[int, str], list[Load]] = {}
    with ExitStack() as stack:
        up = {server.name: stack.enter_context(running(server, body))[:2] for server in servers}
        for server in servers:
            load(wrk, folder, *up[server.name], 32, 1)
        for round_ in range(arguments.rounds):
            for connections in arguments.connections:
                for server in servers:
                    print(f"\rround {round_ + 1} of {arguments.rounds} ", end="", file=sys.stderr, flush=True)
                    one = load(wrk, folder, *up[server.name], connections, arguments.seconds)
                    taken.setdefault((connections, server.name), []).append(one)
    print("\r" + " " * 30 + "\r", end="", file=sys.stderr)
    columns = (
        f"{'requests/s':>10} {'of bare':>7} {'ours / it':>9} {'p50':>10} {'p99':>10} {'CPU/request':>11}"
    )
    print(f"\n{'connections':>11}  {'server':<28} {columns}")
    for (connections, name), loads in taken.items():
        bad = sum(one.bad for one in loads)
        if bad:
            sys.exit(f"{name} answered {bad} requests with errors")
        ours, bare = taken[connections, OURS], taken[connections, BARE]
        share = statistics.median(one.rate / other.rate for one, other in zip(loads, bare, strict=True))
        times = statistics.median(other.rate / one.rate for one, other in zip(loads, ours, strict=True))
        rate, p50, p99, cpu = (
            statistics.median(getattr(one, key) for one in loads) for key in ("rate", "p50", "p99", "cpu")
        )
        print(
            f"{connections:>11}  {name:<28} {rate:>10,.0f} {share:>7.1%} {times:>8.1f}x {p50 * 1e3:>7.2f} ms "
            f"{p99 * 1e3:>7.2f} ms {cpu * 1e6:>8.1f} µs"
        )
    print(
        f"Medians of {arguments.rounds} rounds of {arguments.seconds} s; ratios: medians of those within a round."
    )


def load(
    wrk: str, folder: Path, port: int, process: subprocess.Popen[bytes], connections: int, seconds: int
) -> Load:
    before = cpu_seconds(process.pid)
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    command += ["-s", str(folder / "wrk.lua"), f"http://127.0.0.1:{port}/predict"]
    with held_to(CLIENT_CORE):
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    answered = int(_found(r"(\d+) requests in", said))
    if answered == 0:
        return load(wrk, folder, port, process, connections, 2 * seconds)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    return Load(
        rate=float(_found(r"Requests/sec:\s+([\d.]+)", said)),
        cpu=(cpu_seconds(process.pid) - before) / answered,
        p50=_seconds(_found(r"50%\s+([\d.]+\w+)", said)),
        p99=_seconds(_found(r"99%\s+([\d.]+\w+)", said)),
        bad=(int(bad[1]) if bad else 0) + (sum(map(int, errors.groups())) if errors else 0),
    )


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and all below it so far; other work on the machine hardly moves it."""
    ticks = 0
    for one in [pid, *descendants(pid)]:
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        sys.exit(f"wrk said something unexpected:\n{text}")
    return match[1]


def _seconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}[unit]


def measure_starts(servers: list[Server], commands: dict[str, list[str]], folder: Path, starts: int) -> None:
    body = (folder / "bodies.jsonl").read_bytes().split(b"\n")[0]
    seconds: dict[str, list[float]] = {}
    memory: dict[str, tuple[int, int]] = {}
    for _ in range(starts):
        for name, command in commands.items():
            started = time.perf_counter()
            with held_to(SERVER_CORE):
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds.setdefault(name, []).append(time.perf_counter() - started)
        for server in servers:
            with running(server, body) as (_, process, took):
                seconds.setdefault(f"server: {server.name}", []).append(took)
                memory[f"server: {server.name}"] = resident(process.pid)
    for name, command in commands.items():
        waiting = [*command[:2], command[2] + "; import sys; print(flush=True); sys.stdin.read()"]
        with subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdout.read(1)
            for line in process.stdout:
                if not line.strip():
                    break
            memory[name] = resident(process.pid)
            process.stdin.close()
    print(f"\n{'cold start':<40} {'first answer':>12} {'RSS':>8} {'PSS':>8}")
    for name, taken in seconds.items():
        rss, pss = memory[name]
        print(f"{name:<40} {statistics.median(taken):>10.3f} s {rss:>5} MB {pss:>5} MB")
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    plain = medians["joblib.load + predict_proba"] / medians["afterfit.load + predict_proba"]
    served = medians[f"server: {THEIRS}"] / medians[f"server: {OURS}"]
    print(
        f"To the first answer joblib takes {plain:.1f} times as long in a plain process, {served:.1f} as a server.\n"
        f"Medians of {starts}. Memory of the whole process tree; PSS counts pages that processes share once."
    )


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


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [one for child in children for one in descendants(child)]


def _print_versions() -> None:
    from importlib.metadata import version

    packages = [
        "granian",
        "onnxruntime",
        "msgspec",
        "fastapi",
        "pydantic",
        "uvicorn",
        "scikit-learn",
        "joblib",
    ]
    print("Python", sys.version.split()[0], *[f"{name} {version(name)}" for name in packages], sep=", ")


if __name__ == "__main__":
    main()
