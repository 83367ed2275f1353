"""`afterfit demo`: the main job on real data, end to end."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from afterfit import Model
    from afterfit.cli._demo_model import Flights

ROWS_PER_REQUEST = 1000
SINGLE_REQUESTS = 200
_BLOCKER = (
    "import sys\n"
    "for name in ('sklearn', 'scipy', 'pandas', 'spox', 'onnx'): sys.modules[name] = None\n"
    "from afterfit.cli import main\n"
    "main()\n"
)


class Facts:
    """Prints one measured fact a line, and remembers whether all of them hold."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.facts: list[dict[str, Any]] = []

    def state(self, text: str, *, holds: bool = True, **figures: Any) -> None:
        """State a fact, with its figures for `--json`; `holds` says whether it is as it should be."""
        self.facts.append({"fact": text, "holds": holds, **figures})
        if not self.as_json:
            mark = click.style("✓", fg="green") if holds else click.style("✗", fg="red", bold=True)
            click.echo(f"{mark} {text}")

    def show(self, text: str) -> None:
        """Show something that is not a fact of its own."""
        if not self.as_json:
            click.echo(click.style(text, dim=True))

    @property
    def all_hold(self) -> bool:
        return all(fact["holds"] for fact in self.facts)


@click.command(
    epilog="\b\nExamples:\n  afterfit demo\n  afterfit demo --keep      # leaves the server running until Ctrl-C\n"
    "  afterfit demo --json | jq '.facts[] | select(.holds | not)'"
)
@click.option("--keep", is_flag=True, help="Leave the server running at the end, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
def demo(keep: bool, as_json: bool) -> None:
    """Save, prove, serve, question, replace and put back a model of 336,776 real flights.

    Trains on January to June of 2013 and asks about every flight of July to December. Every line is a measured
    fact; the exit code is 0 only if all of them hold. Takes under two minutes on two cores.
    """
    facts = Facts(as_json=as_json)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="afterfit-demo-") as folder:
        _run(facts, Path(folder) / "flights.afit", keep=keep)
    if as_json:
        click.echo(json.dumps({"facts": facts.facts, "ok": facts.all_hold}, indent=2))
    else:
        held = "all facts hold" if facts.all_hold else "NOT all facts hold"
        click.echo(f"\n{held}, in {time.perf_counter() - started:.0f} s")
    if not facts.all_hold:
        raise SystemExit(1)


def _run(facts: Facts, path: Path, *, keep: bool) -> None:
    try:
        from afterfit.cli._demo_model import load_flights, train_pipeline

        flights = load_flights()
    except ModuleNotFoundError as error:
        raise click.UsageError(f'the demo needs {error.name}: pip install "afterfit[demo]"') from error
    facts.state(f"{flights.total:,} real flights of 2013", rows=flights.total)
    _refusal(facts, flights, path)
    started = time.perf_counter()
    pipeline = train_pipeline(flights)
    facts.state(
        f"trained impute + scale + one-hot + logistic regression on the {len(flights.train):,} flights of "
        f"January to June that arrived, in {time.perf_counter() - started:.1f} s",
        rows=len(flights.train),
    )
    model = _save(facts, flights, pipeline, path)
    _verify_elsewhere(facts, path)
    expected = {
        "labels": pipeline.predict(flights.held_out),
        "probabilities": pipeline.predict_proba(flights.held_out),
    }
    _accuracy(facts, flights, expected["labels"])
    with _server(path) as (url, _):
        facts.state(f"serving on {url}", url=url)
        _ask_over_http(facts, flights, url, expected)
        _four_mistakes(facts, flights, url)
        _latency(facts, flights, pipeline, model, url)
        _remember(facts, flights, path)
        if keep:
            _wait(flights, url)


def _refusal(facts: Facts, flights: Flights, path: Path) -> None:
    import afterfit
    from afterfit.cli._demo_model import NUMBERS, train_by_hand

    scaler, bare = train_by_hand(flights)
    raw = flights.train[NUMBERS]
    rows = raw[raw.notna().all(axis=1)]
    try:
        afterfit.save(bare, path, X=rows)
    except afterfit.ForgottenPreprocessingError as error:
        facts.state(
            f"saving a model without the scaler that was fitted before it is refused: {error.evidence[0]}",
            holds=not path.exists(),
        )
    else:
        facts.state("saving a model without the scaler that was fitted before it is refused", holds=False)
    saved = afterfit.save(bare, path, X=rows, preprocess=scaler)
    facts.state(
        f"with preprocess=scaler it is saved, and answers the {saved.report.rows:,} rows replayed as in memory "
        f"(largest difference {saved.report.max_error:.1e})",
        holds=saved.verify().ok,
    )


def _save(facts: Facts, flights: Flights, pipeline: Any, path: Path) -> Model:
    import afterfit

    started = time.perf_counter()
    model = afterfit.save(pipeline, path, X=flights.train, y=flights.late, name="flights")
    report = model.report
    facts.state(
        f"saved and proved in {time.perf_counter() - started:.1f} s: {report.rows:,} of {report.rows_given:,} training "
        f"rows and {report.golden_rows} golden rows replayed, {report.labels_different} labels different "
        f"({report.ties} exact ties), largest difference {report.max_error:.1e}",
        holds=report.labels_different == 0 and report.max_error <= report.tolerance,
    )
    size = path.stat().st_size
    facts.state(f"the bundle is one file of {size / 1000:,.0f} kB that holds data and no code", bytes=size)
    return model


def _verify_elsewhere(facts: Facts, path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BLOCKER, "verify", str(path), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    facts.state(
        "a fresh process that can import neither sklearn, scipy, pandas nor onnx verifies it: audit, digests, "
        "golden replay",
        holds=done.returncode == 0,
        answer=done.stdout[-2000:] + done.stderr[-2000:],
    )


def _accuracy(facts: Facts, flights: Flights, labels: Any) -> None:
    arrived = flights.arrived_then
    right = float((labels[arrived] == flights.late_then[arrived]).mean())
    usual = float((flights.late_then[arrived] == "on time").mean())
    facts.state(
        f"accuracy {right:.1%} on the {int(arrived.sum()):,} flights of July to December that arrived "
        f"(always answering 'on time': {usual:.1%})",
        holds=right > usual,
        accuracy=right,
    )


@contextmanager
def _server(source: Path | str, environment: dict[str, str] | None = None) -> Iterator[tuple[str, int]]:
    """A server on a free port of loopback: its URL and process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "afterfit", "serve", str(source), "--port", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdout is None:
            raise AssertionError("standard output was asked for")
        for line in process.stdout:
            if "http://" in line:
                yield line[line.index("http://") :].split()[0].rstrip("/"), process.pid
                return
        raise click.ClickException("the server ended before it was ready")
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _post(connection: http.client.HTTPConnection, rows: list[dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    body = json.dumps({"rows": rows})
    connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def _connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)


def _rows(frame: Any) -> list[dict[str, Any]]:
    objects = frame.astype(object).where(frame.notna(), None)
    rows: list[dict[str, Any]] = objects.to_dict("records")
    return rows


def _ask_over_http(facts: Facts, flights: Flights, url: str, expected: dict[str, Any]) -> None:
    rows = _rows(flights.held_out)
    different, worst, refused = 0, 0.0, 0
    connection = _connect(url)
    started = time.perf_counter()
    for start in range(0, len(rows), ROWS_PER_REQUEST):
        status, answer = _post(connection, rows[start : start + ROWS_PER_REQUEST])
        if status != 200:
            refused += 1
            continue
        stop = start + len(answer["predictions"])
        different += int((expected["labels"][start:stop] != answer["predictions"]).sum())
        worst = max(worst, float(abs(expected["probabilities"][start:stop] - answer["probabilities"]).max()))
    seconds = time.perf_counter() - started
    connection.close()
    facts.state(
        f"every one of the {len(rows):,} flights of July to December was answered over HTTP as by the model in "
        f"memory: {different} labels different, largest difference of a probability {worst:.1e} "
        f"({len(rows) / seconds:,.0f} rows a second through one connection)",
        holds=different == 0 and refused == 0 and worst <= 1e-12,
    )


def _remember(facts: Facts, flights: Flights, path: Path) -> None:
    from afterfit.cli._demo_store import remember

    row = _rows(flights.held_out.head(1))

    def ask(url: str) -> tuple[int, dict[str, Any]]:
        connection = _connect(url)
        answered = _post(connection, row)
        connection.close()
        return answered

    remember(facts, flights, path, _server, ask)


def _four_mistakes(facts: Facts, flights: Flights, url: str) -> None:
    row = _rows(flights.held_out.head(1))[0]
    row["carier"] = row.pop("carrier")
    row["distance"] = "1400 miles"
    row["origin"] = 7
    row["sched_dep_time"] = 515.5
    connection = _connect(url)
    status, answer = _post(connection, [row])
    connection.close()
    mistakes = answer.get("errors", [])
    facts.state(
        f"a row with four mistakes is answered with HTTP {status} and {len(mistakes)} errors at once:",
        holds=status == 422 and len(mistakes) == 4,
    )
    for mistake in mistakes:
        facts.show(
            f"    {mistake['column']}: expected {mistake['expected']}, got {mistake['got']}; {mistake['fix']}"
        )


def _latency(facts: Facts, flights: Flights, pipeline: Any, model: Model, url: str) -> None:
    frame = flights.held_out.head(1)
    row = _rows(frame)
    connection = _connect(url)
    ours = _median_seconds(lambda: model.predict_proba(row), SINGLE_REQUESTS)
    over_http = _median_seconds(lambda: _post(connection, row), SINGLE_REQUESTS)
    theirs = _median_seconds(lambda: pipeline.predict_proba(frame), SINGLE_REQUESTS)
    connection.close()
    facts.state(
        f"one row: {ours * 1e6:,.0f} µs from the bundle, {over_http * 1e6:,.0f} µs over HTTP, "
        f"{theirs * 1e6:,.0f} µs by the sklearn pipeline in memory ({theirs / ours:,.0f} times as long)",
        holds=ours < over_http < theirs,
    )


def _median_seconds(call: Callable[[], Any], times: int) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return sorted(taken)[len(taken) // 2]


def _wait(flights: Flights, url: str) -> None:
    row = json.dumps({"rows": _rows(flights.held_out.head(1))})
    click.echo(f"\nTry it: {url}/")
    click.echo(f"curl -s {url}/predict -H 'Content-Type: application/json' -d '{row}'")
    click.echo("Ctrl-C stops the server.")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        click.echo()
