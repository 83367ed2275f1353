"""`afterfit loadtest`."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from afterfit.cli._sources import BundlePath, json_option
from afterfit.cli._terminal import add_row, console, echo_json, printable, shows_progress, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.table import Table

    from afterfit.loadtest import Tally, Target


class ServerOrBundle(BundlePath):
    """The URL of a server, or a bundle to start one for."""

    name = "url or bundle"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Tell a URL from a bundle."""
        if isinstance(value, str) and value.startswith(("http://", "https://")):
            return value
        return super().convert(value, param, ctx)


@click.command(
    epilog="""\b
Examples:
  afterfit loadtest flights.afit
  afterfit loadtest flights.afit --connections 128 --seconds 30 --workers 2
  afterfit loadtest http://127.0.0.1:8000 --bundle flights.afit --rate 2000
  afterfit loadtest http://127.0.0.1:8000 --malformed 0.05 --json

Exit codes: 0 every answer was right, 1 there were wrong answers or none at all, 2 bad usage or input."""
)
@click.argument("target", type=ServerOrBundle(), metavar="URL|BUNDLE")
@click.option(
    "--bundle", type=BundlePath(), metavar="BUNDLE", help="What the server at URL has to answer as."
)
@click.option("--model", metavar="NAME", help="The model to ask, where the server at URL has several.")
@click.option(
    "--connections", default=32, show_default=True, type=click.IntRange(1, 10_000), help="Open connections."
)
@click.option(
    "--seconds",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0, 86_400, min_open=True),
    help="For how long.",
)
@click.option("--requests", type=click.IntRange(1), metavar="N", help="End after so many requests.")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="Requests a second; times count from when one was due.  [default: as fast as answers come]",
)
@click.option(
    "--rows", default=1, show_default=True, type=click.IntRange(1, 10_000), help="Rows of a request."
)
@click.option(
    "--malformed",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Share of requests with a mistake, which the server must refuse by the right status.",
)
@click.option("--workers", type=click.IntRange(1), help="Workers of the server that is started for BUNDLE.")
@click.option("--key", envvar="AFTERFIT_KEY", show_envvar=True, help="Key of the server at URL.")
@click.option("--seed", default=0, show_default=True, help="Decides the rows and their order.")
@json_option
def loadtest(
    target: str | Path,
    *,
    bundle: Path | None,
    model: str | None,
    connections: int,
    seconds: float,
    requests: int | None,
    rate: float | None,
    rows: int,
    malformed: float,
    workers: int | None,
    key: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Send load to a server, check every answer, and print what it took.

    Golden rows of the bundle and mutations of them are sent, and each answer has to be the one that the bundle gives
    here. For a BUNDLE a server is started on a free port, and stopped at the end. A server at a URL is held to
    --bundle, or where there is none to its own first answers, which were asked for in batches.
    """
    from afterfit.errors import ArgumentError
    from afterfit.loadtest import Pace, Shares, Target, ask_once, deck_of_models, deck_of_server, run
    from afterfit.runtime import load

    is_server = isinstance(target, str)
    if is_server and workers is not None:
        raise click.UsageError("--workers is for a server that is started here; the one at URL has its own")
    if not is_server and (bundle is not None or model is not None):
        raise click.UsageError("--bundle and --model are for a server at a URL")
    pace = Pace(connections, seconds, requests, rate)
    shares = Shares(malformed=malformed)
    reference = bundle if is_server else Path(target)
    expected = None if reference is None else load(reference)
    if expected is not None and model not in {None, expected.name}:
        raise ArgumentError(f"the bundle is {expected.name!r}, not {model!r}")
    with _server(target, workers) as url:
        at = Target.parse(url, key if is_server else None)

        def ask(message: bytes) -> Any:
            return ask_once(at, message)

        if expected is None:
            deck = deck_of_server(at, ask, name=model, shares=shares, rows=rows, seed=seed)
        else:
            deck = deck_of_models(at, [expected], shares=shares, rows=rows, seed=seed, ask=ask)
        with _live(at, pace.seconds, shown=shows_progress()) as show:
            tally = run(at, deck, pace, show)
    if as_json:
        echo_json({"url": at.url, "connections": connections, "left_out": deck.left_out, **tally.report()})
    else:
        _print(at, tally, deck.left_out)
    if tally.wrong or not tally.total:
        click.get_current_context().exit(1)


@contextmanager
def _server(target: str | Path, workers: int | None) -> Iterator[str]:
    if isinstance(target, str):
        yield target
        return
    from afterfit.loadtest import started_server

    with started_server([target], ["--workers", str(workers)] if workers else []) as (url, _):
        yield url


@contextmanager
def _live(target: Target, seconds: float, *, shown: bool) -> Iterator[Callable[[Tally], None] | None]:
    """A table on standard error that follows the test, and the function that draws it anew."""
    if not shown:
        yield None
        return
    from rich.live import Live

    with Live(console=console(stderr=True), transient=True, auto_refresh=False) as live:

        def show(tally: Tally) -> None:
            live.update(_drawn(target, tally, f"{tally.seconds:.0f} of {seconds:.0f}"), refresh=True)

        yield show


def _drawn(target: Target, tally: Tally, seconds: str) -> Table:
    drawn = table(target.url, "", ">")
    drawn.show_header = False
    add_row(drawn, "seconds", seconds)
    add_row(drawn, "requests", f"{tally.total:,}")
    add_row(drawn, "requests a second", f"{tally.rate:,.0f}")
    add_row(drawn, "rows", f"{tally.rows:,}")
    if tally.total:
        for percent in (50.0, 90.0, 99.0, 99.9):
            add_row(drawn, f"p{percent:g}", _time(tally.percentile(percent)))
        add_row(drawn, "slowest", _time(tally.slowest))
    for status, count in sorted(tally.statuses.items()):
        add_row(drawn, f"status {status}", f"{count:,}")
    for name, count in (
        ("shed (429, 503)", tally.shed),
        ("connections cut", tally.cut),
        ("connections refused", tally.refused),
        ("requests without an answer", tally.late),
    ):
        if count:
            add_row(drawn, name, f"{count:,}")
    add_row(drawn, "wrong answers", f"{tally.wrong:,}")
    return drawn


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f} ms"


def _print(target: Target, tally: Tally, left_out: int) -> None:
    out = console()
    out.print(_drawn(target, tally, f"{tally.seconds:.1f}"))
    if left_out:
        out.print(f"{left_out} rows that the server refused beforehand were not sent.")
    for wrong in tally.wrong_answers[:5]:
        out.print(f"{wrong.kind}: {printable(wrong.why)}", style="red")
        out.print(f"  sent {printable(wrong.sent)}\n  got  {printable(wrong.got)}")
    if not tally.total:
        out.print("No request was answered.", style="red")
