"""The server against what most people write, against other servers, and against the bare HTTP server, in one run.

    apt-get install wrk nginx-light && pip install ".[demo,bench]" && python benchmarks/serving.py

Trains impute + scale + one-hot + logistic regression on the flights of January to June, saves it with afterfit and
with joblib, and serves it with one worker held to core 0; wrk, held to core 1, sends one real flight of July to
December per request, the servers taking turns in every round:

- afterfit, which validates, counts and batches, and once more with an access log;
- FastAPI + pydantic + the pickled pipeline under uvicorn;
- a granian ASGI app that reads the body and answers a constant of the same size, the same over granian's own interface
  RSGI, and nginx that answers one without reading: the most that this HTTP layer, and any, can do;
- with `--peers mlflow,bentoml,mlserver,litserve`, these, each in a virtual environment of its own that is made in
  `--cache` and kept; BentoML and LitServe as they come, and with their batching.

Before anything is timed, the answers of all of them to `CHECKED` flights are compared with the pipeline in memory;
`--check` does only that. Then 1,000 flights in one request, as JSON and as Arrow, against FastAPI + pandas + joblib on
the same body; then cold start (from the start of the process to the first right answer) and resident memory of the
whole process tree.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from _peers import PACKAGES, Row, Server, peer
from _processes import free_port, held_to, resident, stop_tree
from _wrk import Load, load, write_requests

HERE = Path(__file__).parent
SERVER_CORE = 0
OURS, LOGGED = "afterfit", "afterfit, access log"
BARER = "bare granian RSGI app"
THEIRS, BARE, CEILING = "FastAPI + pydantic + joblib", "bare granian ASGI app", "nginx, return 200"
FRAMES = "FastAPI + pandas + joblib"
CHECKED = 20
SENT = 500
ROWS = 1000
BULK_REQUESTS = 8
REST = f"{'p50':>11} {'p99':>11} {'CPU/request':>11} errors"
ARROW = "application/vnd.apache.arrow.stream"
SCHEMA = [
    ("sched_dep_time", "INT64"),
    ("sched_arr_time", "INT64"),
    ("dep_delay", "FP64"),
    ("distance", "INT64"),
    ("carrier", "BYTES"),
    ("origin", "BYTES"),
    ("dest", "BYTES"),
]
START_SECONDS = 120
NGINX = """
daemon off; worker_processes 1; pid %(folder)s/nginx.pid; error_log stderr crit;
events { worker_connections 2048; }
http {
  access_log off; keepalive_requests 1000000000; client_body_temp_path %(folder)s/body;
  proxy_temp_path %(folder)s/a; fastcgi_temp_path %(folder)s/b;
  uwsgi_temp_path %(folder)s/c; scgi_temp_path %(folder)s/d;
  server { listen 127.0.0.1:PORT; location / { default_type application/json; return 200 "%(answer)s"; } }
}
"""


@dataclass(frozen=True)
class Prepared:
    """What is served and sent. `tables` are the bulk requests as data frames, `expected` the pipeline's answers."""

    folder: Path
    bundle: Path
    pickle: Path
    rows: list[Row]
    expected: Any
    tables: list[Any]
    expected_tables: list[Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", nargs="*", type=int, default=[1, 32, 128])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--starts", type=int, default=5, help="cold starts of each kind; 0 leaves them out")
    parser.add_argument(
        "--bulk", type=int, default=4, help="connections that send 1,000 rows; 0 leaves them out"
    )
    parser.add_argument("--peers", default="", help=f"some of {','.join(PACKAGES)}, or all")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "afterfit-peers")
    parser.add_argument("--check", action="store_true", help="compare the answers, measure nothing")
    arguments = parser.parse_args()
    peers = (
        list(PACKAGES) if arguments.peers == "all" else [name for name in arguments.peers.split(",") if name]
    )
    if not set(peers) <= set(PACKAGES):
        sys.exit(f"--peers takes {', '.join(PACKAGES)}, or all")
    wrk = shutil.which("wrk")
    if wrk is None or shutil.which("nginx") is None:
        sys.exit("benchmarks/serving.py needs wrk and nginx: apt-get install wrk nginx-light")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("benchmarks/serving.py needs two cores: one for the servers, one for wrk")
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(Path(folder))
        servers = row_servers(prepared)
        for name in peers:
            servers += peer(name, arguments.cache, prepared.folder, prepared.pickle, SCHEMA)
        print_versions(servers)
        for server in servers:
            check(server, prepared)
        if arguments.check:
            return
        if arguments.connections:
            measure_load(servers, wrk, prepared, arguments)
        if arguments.bulk:
            measure_bulk(wrk, prepared, arguments)
        if arguments.starts:
            measure_starts(servers, prepared, arguments.starts)


def prepare(folder: Path) -> Prepared:
    """Train, save both ways, and choose the flights that are sent."""
    import joblib

    import afterfit
    from afterfit.cli._demo_model import load_flights, train_pipeline

    flights = load_flights()
    pipeline = train_pipeline(flights)
    bundle, pickle = folder / "flights.afit", folder / "flights.joblib"
    afterfit.save(pipeline, bundle, X=flights.train, y=flights.late, name="flights")
    joblib.dump(pipeline, pickle)
    sample = flights.held_out.sample(SENT, random_state=0)
    tables = [flights.held_out.sample(ROWS, random_state=1 + at) for at in range(BULK_REQUESTS)]
    return Prepared(
        folder,
        bundle,
        pickle,
        records(sample),
        pipeline.predict_proba(sample),
        tables,
        [pipeline.predict_proba(table) for table in tables],
    )


def records(table: Any) -> list[Row]:
    rows: list[Row] = table.astype(object).where(table.notna(), None).to_dict("records")
    return rows


def row_servers(prepared: Prepared) -> list[Server]:
    """Those that need no environment of their own."""
    python = sys.executable
    answer = afterfit_answer(prepared.bundle, json.dumps({"rows": prepared.rows[:1]}).encode())
    own = prepared.folder / "nginx"
    own.mkdir()
    (own / "nginx.conf").write_text(NGINX % {"folder": own, "answer": answer.decode().replace('"', '\\"')})
    ours = afterfit_server(prepared)
    logged = [*ours.command, "--access-log", str(prepared.folder / "access.log")]
    return [
        Server(
            CEILING,
            [str(shutil.which("nginx")), "-p", str(own), "-c", str(own / "now.conf")],
            probabilities=None,
            size=len(answer),
            folder=own,
            versions=_nginx_version(),
        ),
        Server(
            BARE,
            [python, str(HERE / "_bare_app.py"), "PORT", "asginl"],
            {"BARE_SIZE": str(len(answer))},
            probabilities=None,
            size=len(answer),
            versions=_versions("granian"),
        ),
        Server(
            BARER,
            [python, str(HERE / "_bare_app.py"), "PORT", "rsgi"],
            {"BARE_SIZE": str(len(answer))},
            probabilities=None,
            size=len(answer),
            versions=_versions("granian"),
        ),
        ours,
        replace(ours, name=LOGGED, command=logged),
        fastapi(prepared.pickle),
    ]


def afterfit_server(prepared: Prepared) -> Server:
    command = [sys.executable, "-m", "afterfit", "serve", str(prepared.bundle), "--port", "PORT"]
    return Server(OURS, command, versions=_versions("granian", "onnxruntime", "msgspec"))


def fastapi(pickle: Path) -> Server:
    command = [sys.executable, "-m", "uvicorn", "_fastapi_app:app", "--app-dir", str(HERE)]
    return Server(
        THEIRS,
        [*command, "--port", "PORT", "--log-level", "error"],
        {"FLIGHTS_JOBLIB": str(pickle)},
        versions=_versions("fastapi", "pydantic", "uvicorn", "joblib", "scikit-learn", "pandas"),
    )


def afterfit_answer(bundle: Path, body: bytes) -> bytes:
    """The bytes our server answers a body with, to make the constant answers as long."""
    import afterfit
    from afterfit.serving._batching import Batch
    from afterfit.serving.contracts._native import shaper

    model = afterfit.load(bundle, threads=1)
    return shaper(model)(Batch(model.run(model.decoder.decode_json(body)), unusual=False), 0, 1)


@contextmanager
def running(server: Server, body: bytes) -> Iterator[tuple[int, subprocess.Popen[bytes], float]]:
    """A server held to its core: its port, its process, and the seconds until its first answer with status 200."""
    ports = {name: str(free_port()) for name in ("PORT", "OTHER", "ANOTHER")}
    port = int(ports["PORT"])
    command = [ports.get(part, part) for part in server.command]
    environment = {name: ports.get(value, value) for name, value in server.environment.items()}
    if server.name == CEILING and server.folder is not None:
        (server.folder / "now.conf").write_text(
            (server.folder / "nginx.conf").read_text().replace("PORT", ports["PORT"])
        )
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        with held_to(SERVER_CORE):
            process = subprocess.Popen(
                command, env={**os.environ, **environment}, cwd=server.folder, stdout=log, stderr=log
            )
        try:
            while post(port, server.path, body) is None:
                if process.poll() is not None or time.perf_counter() - started > START_SECONDS:
                    log.seek(0)
                    sys.exit(f"{server.name} did not start:\n{log.read().decode(errors='replace')[-3000:]}")
                time.sleep(0.002)
            yield port, process, time.perf_counter() - started
        finally:
            stop_tree(process)


def post(
    port: int, path: str, body: bytes, media_type: str = "application/json", accept: str = "*/*"
) -> bytes | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body, {"Content-Type": media_type, "Accept": accept})
        response = connection.getresponse()
        return response.read() if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def check(server: Server, prepared: Prepared) -> None:
    """Compare answers with those of the pipeline in memory; ends the run where one differs."""
    import numpy as np

    with running(server, server.body(prepared.rows[:1])) as (port, _, _):
        for at in range(CHECKED):
            answer = post(port, server.path, server.body([prepared.rows[at]])) or b""
            if server.probabilities is None:
                right = len(answer) == server.size
            else:
                got = np.array(server.probabilities(answer), dtype=float)
                right = got.shape == (1, 2) and bool(np.abs(got - prepared.expected[at]).max() <= 1e-12)
            if not right:
                sys.exit(f"{server.name} gives a wrong answer: {answer[:500]!r}, not {prepared.expected[at]}")
    what = "a constant" if server.probabilities is None else f"{CHECKED} flights right"
    print(f"{server.name:<28} {what}", file=sys.stderr)


def measure_load(servers: list[Server], wrk: str, prepared: Prepared, arguments: argparse.Namespace) -> None:
    taken: dict[tuple[int, str], list[Load]] = {}
    with ExitStack() as stack:
        up = []
        for number, server in enumerate(servers):
            bodies = [server.body([row]) for row in prepared.rows]
            script = write_requests(prepared.folder / f"rows-{number}", bodies, server.path)
            port, process, _ = stack.enter_context(running(server, bodies[0]))
            up.append((server.name, script, port, process.pid))
            load(wrk, script, port, process.pid, 32, 1)
        for round_ in range(arguments.rounds):
            for connections in arguments.connections:
                for name, *where in up:
                    _say(f"round {round_ + 1} of {arguments.rounds}, {connections} connections, {name}")
                    one = load(wrk, *where, connections, arguments.seconds)
                    taken.setdefault((connections, name), []).append(one)
    _say("")
    print(f"\n{'connections':>11}  {'server':<28} {'requests/s':>10} {'of bare':>8} {'ours / it':>9} {REST}")
    for (connections, name), loads in taken.items():
        ours, bare = taken[connections, OURS], taken[connections, BARE]
        share = statistics.median(one.rate / other.rate for one, other in zip(loads, bare, strict=True))
        times = statistics.median(other.rate / one.rate for one, other in zip(loads, ours, strict=True))
        print(
            f"{connections:>11}  {name:<28} {median(loads, 'rate'):>10,.0f} {share:>8.1%} {times:>8.1f}x {_rest(loads)}"
        )
    if arguments.connections:
        first = min(arguments.connections)
        ratio = statistics.median(
            one.p99 / other.p99 for one, other in zip(taken[first, OURS], taken[first, BARE], strict=True)
        )
        print(f"p99 at {first} connection{'s'[: first > 1]}: {ratio:.2f} times that of the bare app.")
    print(
        f"Medians of {arguments.rounds} rounds of {arguments.seconds} s; ratios: medians of those within a round."
    )


def measure_bulk(wrk: str, prepared: Prepared, arguments: argparse.Namespace) -> None:
    """1,000 rows in one request, as JSON and as Arrow."""
    ours = afterfit_server(prepared)
    frames = replace(fastapi(prepared.pickle), name=FRAMES, path="/frame")
    forms = {
        "JSON": (
            [json.dumps({"rows": records(table)}).encode() for table in prepared.tables],
            "application/json",
        ),
        "Arrow": ([arrow_stream(table) for table in prepared.tables], ARROW),
    }
    taken: dict[tuple[str, str], list[Load]] = {}
    with ExitStack() as stack:
        up = []
        for number, server in enumerate((ours, frames)):
            port, process, _ = stack.enter_context(running(server, forms["JSON"][0][0]))
            for form, (bodies, media_type) in forms.items():
                accept = ARROW if form == "Arrow" else "*/*"
                check_bulk(server, port, prepared, bodies, media_type, accept)
                where = prepared.folder / f"bulk-{number}-{form}"
                script = write_requests(where, bodies, server.path, media_type, accept)
                up.append((form, server.name, script, port, process.pid))
        for round_ in range(arguments.rounds):
            for form, name, *where in up:
                _say(f"round {round_ + 1} of {arguments.rounds}, {ROWS} rows as {form}, {name}")
                one = load(wrk, *where, arguments.bulk, arguments.seconds)
                taken.setdefault((form, name), []).append(one)
    _say("")
    print(f"\n{ROWS:,} rows in one request, {arguments.bulk} connections")
    print(
        f"{'body':<6} {'server':<28} {'rows/s':>10} {'ours / it':>9} {'p50':>11} {'p99':>11} {'CPU/request':>11} errors"
    )
    for (form, name), loads in taken.items():
        times = statistics.median(
            other.rate / one.rate for one, other in zip(loads, taken[form, OURS], strict=True)
        )
        print(f"{form:<6} {name:<28} {ROWS * median(loads, 'rate'):>10,.0f} {times:>8.1f}x {_rest(loads)}")


def check_bulk(
    server: Server, port: int, prepared: Prepared, bodies: list[bytes], media_type: str, accept: str
) -> None:
    import numpy as np
    import pyarrow as pa

    for body, expected in zip(bodies, prepared.expected_tables, strict=True):
        answer = post(port, server.path, body, media_type, accept)
        if answer is None:
            sys.exit(f"{server.name} does not answer {ROWS} rows of {media_type}")
        if media_type == ARROW:
            table = pa.ipc.open_stream(io.BytesIO(answer)).read_all()
            names = [name for name in table.column_names if name.startswith("probability_")]
            got = np.column_stack([table.column(name).to_numpy() for name in names])
        else:
            got = np.array(json.loads(answer)["probabilities"])
        if got.shape != expected.shape or not np.abs(got - expected).max() <= 1e-12:
            sys.exit(f"{server.name} gives wrong answers to {ROWS} rows of {media_type}")


def arrow_stream(table: Any) -> bytes:
    import pyarrow as pa

    made = pa.Table.from_pandas(table, preserve_index=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, made.schema) as writer:
        writer.write_table(made)
    return bytes(sink.getvalue().to_pybytes())


def measure_starts(servers: list[Server], prepared: Prepared, starts: int) -> None:
    row = repr(prepared.rows[0])
    commands = {
        "afterfit.load + predict_proba": [
            sys.executable,
            "-c",
            f"import afterfit; print(afterfit.load({str(prepared.bundle)!r}).predict_proba([{row}]))",
        ],
        "joblib.load + predict_proba": [
            sys.executable,
            "-c",
            f"import joblib, pandas; "
            f"print(joblib.load({str(prepared.pickle)!r}).predict_proba(pandas.DataFrame([{row}])))",
        ],
    }
    seconds: dict[str, list[float]] = {}
    memory: dict[str, tuple[int, int]] = {}
    for _ in range(starts):
        for name, command in commands.items():
            started = time.perf_counter()
            with held_to(SERVER_CORE):
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds.setdefault(name, []).append(time.perf_counter() - started)
        for server in servers:
            if server.name in {CEILING, LOGGED, BARER}:
                continue
            with running(server, server.body(prepared.rows[:1])) as (_, process, took):
                seconds.setdefault(f"server: {server.name}", []).append(took)
                memory[f"server: {server.name}"] = resident(process.pid)
    for name, command in commands.items():
        memory[name] = _resident_after(command)
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


def _resident_after(command: list[str]) -> tuple[int, int]:
    """Memory of a process once it has answered."""
    waiting = [*command[:2], command[2] + "; import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a process without pipes")
        process.stdout.read(1)
        for line in process.stdout:
            if not line.strip():
                break
        found = resident(process.pid)
        process.stdin.close()
    return found


def median(loads: Sequence[Load], name: str) -> float:
    return statistics.median(getattr(one, name) for one in loads)


def _rest(loads: Sequence[Load]) -> str:
    p50, p99, cpu = (median(loads, name) for name in ("p50", "p99", "cpu"))
    bad = sum(one.bad for one in loads)
    return f"{p50 * 1e3:>8.2f} ms {p99 * 1e3:>8.2f} ms {cpu * 1e6:>8,.1f} µs {bad:>6}"


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _versions(*packages: str) -> str:
    return ", ".join(f"{name} {version(name)}" for name in packages)


def _nginx_version() -> str:
    return (
        subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True)
        .stderr.split(": ")[1]
        .strip()
    )


def print_versions(servers: Sequence[Server]) -> None:
    print(f"Python {sys.version.split()[0]}, afterfit {version('afterfit')}")
    for server in servers:
        print(f"{server.name:<28} {server.versions}")


if __name__ == "__main__":
    main()
