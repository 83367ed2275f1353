"""`afterfit predict`."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from afterfit.cli._sources import BundlePath
from afterfit.cli._terminal import echo_json, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@click.command(
    epilog="""\b
Examples:
  afterfit predict flights.afit july.csv -o july-answers.csv
  afterfit predict flights.afit july.parquet -o answers.parquet --only-predictions
  afterfit predict flights.afit july.jsonl -o answers.jsonl --on-error skip
  zcat july.csv.gz | afterfit predict flights.afit - > answers.csv"""
)
@click.argument("bundle", type=BundlePath())
@click.argument("source", metavar="INPUT", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; its suffix is its format.",
)
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="What to do with rows that cannot be scored.",
)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where skipped rows go.  [default: OUTPUT with the suffix .rejected.jsonl]",
)
@click.option("--only-predictions", is_flag=True, help="Leave out the columns of the input.")
@click.option(
    "--prefix", default="", metavar="TEXT", help="Put TEXT before the names of the answers' columns."
)
@click.option(
    "--batch-rows",
    type=click.IntRange(1, 10_000_000),
    default=65_536,
    show_default=True,
    help="Most rows to hold in memory at a time.",
)
@click.option(
    "--delimiter",
    metavar="CHAR",
    help="What parts the cells of a CSV.  [default: a comma; a tab in .tsv]",
)
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print a report as JSON; needs -o.")
@click.pass_context
def predict(
    ctx: click.Context,
    *,
    bundle: Path,
    source: str,
    output: Path | None,
    on_error: str,
    rejects: Path | None,
    only_predictions: bool,
    prefix: str,
    batch_rows: int,
    delimiter: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Score every row of INPUT with the model in BUNDLE.

    INPUT is CSV (.csv, .tsv), JSON lines (.jsonl, .ndjson), Parquet (.parquet) or Arrow (.arrow, .feather,
    .ipc), may be larger than memory, and the texts may end in .gz; - reads CSV from standard input. The
    output has the columns of the input, then prediction and one probability_CLASS for every class. Without
    -o it is CSV on standard output. It is written under a temporary name and renamed when it is complete.

    In CSV an empty cell is a missing value; in a column of text, "" in quotes is empty text. The types
    of cells are those of the model's columns, so 001 stays text where the model takes text.
    """
    if as_json and output is None:
        raise click.UsageError(
            "--json prints a report, so the answers need a file of their own: add -o OUTPUT"
        )
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n' or ord(delimiter) > 127):
        raise click.UsageError("--delimiter takes one ASCII character, neither a quote nor a line break")
    from afterfit.cli._scoring_job import Job, NotScoredError

    job = Job(
        bundle=bundle,
        source=None if source == "-" else Path(source),
        output=output,
        rejects=_find_rejects(output, rejects, skip=on_error == "skip"),
        only_predictions=only_predictions,
        prefix=prefix,
        batch_rows=batch_rows,
        delimiter=delimiter,
        force=force,
    )
    with _terminated_cleanly():
        try:
            report = job.run()
        except NotScoredError as error:
            if as_json:
                echo_json(error.report)
            raise
    if as_json:
        echo_json(report)
    else:
        click.echo(_summarize(report), err=True)
    ctx.exit(0)


def _find_rejects(output: Path | None, rejects: Path | None, *, skip: bool) -> Path | None:
    """The file that skipped rows go to; None if rows are not skipped."""
    if not skip:
        if rejects is not None:
            raise click.UsageError("--rejects is for rows that are skipped: add --on-error skip")
        return None
    if rejects is not None:
        return rejects
    if output is None:
        raise click.UsageError("skipped rows need a file to go to: add -o OUTPUT or --rejects FILE")
    stem = output.name.removesuffix(".gz")
    return output.with_name(Path(stem).stem + ".rejected.jsonl")


def _summarize(report: dict[str, Any]) -> str:
    seconds = report["seconds"]
    rows = report["rows_scored"]
    text = f"{rows:,} rows scored in {seconds:.1f} s ({rows / max(seconds, 1e-9):,.0f} rows a second)"
    if report["rows_rejected"]:
        text += f"; {report['rows_rejected']:,} could not be, see {report['rejects']}"
    return printable(text)


@contextmanager
def _terminated_cleanly() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that files half written are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        del frame
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
