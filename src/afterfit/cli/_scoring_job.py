"""One run of `afterfit predict`: from the files named on the command line to those that are left behind."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click
import msgspec

from afterfit.cli._terminal import progress_bar, shows_progress
from afterfit.runtime import load
from afterfit.runtime._files import AtomicFile, FileFormat, find_format, open_sink, open_source
from afterfit.runtime._scoring import Answers, RejectedRow, ScoredBatch, score

if TYPE_CHECKING:
    from collections.abc import Iterator

    from afterfit.runtime._files import Sink, Source

SHOWN = 20
LISTED = 1000
"""Mistakes shown to a person, and listed in a report."""


class NotScoredError(click.ClickException):
    """Rows that could not be scored; `report` tells of them with --json."""

    def __init__(self, message: str, report: dict[str, Any]) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What was asked for on the command line.

    `source` is None for standard input, `output` for standard output. `rejects` is where rows go that cannot
    be scored; None if the first such row ends the job.
    """

    bundle: Path
    source: Path | None
    output: Path | None
    rejects: Path | None
    only_predictions: bool
    prefix: str
    batch_rows: int
    delimiter: str | None
    force: bool

    def run(self) -> dict[str, Any]:
        """Score the file; the report of what was done.

        The files named are complete when this returns, and as they were if it raises; except for `rejects`
        where no row could be scored, for it says why. Raises NotScoredError for rows, UsageError and the
        errors of afterfit for the rest.
        """
        started = time.perf_counter()
        into = FileFormat("csv") if self.output is None else find_format(str(self.output))
        self._check_paths()
        model = load(self.bundle)
        with ExitStack() as stack:
            source = self._open_source(model.schema, stack)
            answers = Answers(model.schema, self.prefix)
            columns = None if self.only_predictions else source.schema
            if columns is not None:
                answers.check_free(columns)
            output, file = self._open_output(stack)
            rejects = AtomicFile(self.rejects) if self.rejects else None
            if rejects is not None:
                stack.callback(rejects.discard)
            sink = open_sink(file, into, columns, answers.schema)
            stack.callback(sink.close)
            batches = score(model, source, answers, sift=rejects is not None)
            scored, rejected = self._copy(batches, sink, rejects)
            report = {
                "ok": True,
                "model": model.name,
                "version": model.version,
                "rows_scored": scored,
                "rows_rejected": rejected,
                "output": None if self.output is None else str(self.output),
                "rejects": str(self.rejects) if rejected else None,
                "seconds": time.perf_counter() - started,
            }
            self._commit(output, rejects, report)
        return report

    def _copy(
        self, batches: Iterator[ScoredBatch], sink: Sink, rejects: AtomicFile | None
    ) -> tuple[int, int]:
        """Write all batches; how many rows were scored, and how many rejected."""
        started = time.perf_counter()
        scored = rejected = 0
        label = "standard input" if self.source is None else self.source.name
        shown = shows_progress() and (self.output is not None or not sys.stdout.isatty())
        with progress_bar(label, shown=shown) as move:
            for batch in batches:
                if batch.rejected and rejects is None:
                    raise self._stop(batch, scored)
                if batch.scored:
                    sink.write(batch.batch, batch.rows, batch.answers)
                if batch.rejected and rejects is not None:
                    rejects.file.write(msgspec.json.Encoder().encode_lines(map(_as_document, batch.rejected)))
                scored += batch.scored
                rejected += len(batch.rejected)
                rate = scored / max(1e-9, time.perf_counter() - started)
                move(batch.fraction, f"{scored:,} rows, {rate:,.0f} a second")
            sink.finish()
        return scored, rejected

    def _commit(self, output: AtomicFile | None, rejects: AtomicFile | None, report: dict[str, Any]) -> None:
        if rejects is not None:
            rejects.commit()
            if not report["rows_rejected"] and self.force:
                # One of an earlier run would be taken for the rows of this one.
                rejects.path.unlink(missing_ok=True)
        if report["rows_rejected"] and not report["rows_scored"]:
            message = f"none of the {report['rows_rejected']:,} rows could be scored; {self.rejects} says why"
            raise NotScoredError(message, {**report, "ok": False, "output": None})
        if output is not None:
            output.commit()
        else:
            sys.stdout.buffer.flush()

    def _stop(self, batch: ScoredBatch, scored: int) -> NotScoredError:
        """The error for the first batch with bad rows."""
        label = "standard input" if self.source is None else str(self.source)
        count = len(batch.rejected)
        more = "" if batch.complete else "at least "
        kept = "the output is cut short" if self.output is None and scored else "nothing was written"
        lines = [f"{more}{count:,} row{'s' * (count > 1)} of {label} cannot be scored; {kept}"]
        mistakes = [(row, error) for row in batch.rejected for error in row.errors]
        for row, error in mistakes[:SHOWN]:
            place = f"row {row.number}" + (f" (line {row.line})" if row.line is not None else "")
            column = "" if error.column is None else f", column {error.column!r}"
            lines.append(f"  {place}{column}: expected {error.expected}, got {error.got}; {error.fix}")
        if len(mistakes) > SHOWN:
            lines.append(f"  and {len(mistakes) - SHOWN:,} more; --json lists them")
        lines.append("  With --on-error skip such rows go to a file of their own, and the others are scored.")
        documents = map(_as_document, islice(batch.rejected, LISTED))
        report = {"ok": False, "error": lines[0], "complete": batch.complete, "rejected": list(documents)}
        return NotScoredError("\n".join(lines), report)

    def _open_source(self, schema: Any, stack: ExitStack) -> Source:
        form = FileFormat("csv") if self.source is None else find_format(str(self.source))
        if self.delimiter is not None:
            if form.kind != "csv":
                raise click.UsageError("--delimiter is for CSV")
            form = FileFormat("csv", self.delimiter, form.gzip)
        path, label = self.source, None
        if path is None:
            # Kept in a file meanwhile, so that Ctrl-C works while we wait for more, and lines can be counted.
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="afterfit-"))) / "input.csv"
            label = "standard input"
            with path.open("wb") as kept:
                shutil.copyfileobj(sys.stdin.buffer, kept, 1 << 20)
        source = open_source(path, form, schema, batch_rows=self.batch_rows, label=label)
        stack.callback(source.close)
        return source

    def _open_output(self, stack: ExitStack) -> tuple[AtomicFile | None, BinaryIO]:
        if self.output is None:
            return None, sys.stdout.buffer
        output = AtomicFile(self.output)
        stack.callback(output.discard)
        return output, output.file

    def _check_paths(self) -> None:
        """Refuse paths that would destroy something, before anything is read."""
        written = [path for path in (self.output, self.rejects) if path is not None]
        if len({path.resolve() for path in written}) < len(written):
            raise click.UsageError(f"the answers and the skipped rows cannot both go to {written[0]}")
        for path in written:
            if not path.parent.is_dir():
                raise click.UsageError(f"the folder {path.parent} does not exist")
            if not path.exists():
                continue
            for given in (self.bundle, self.source):
                if given is not None and path.samefile(given):
                    raise click.UsageError(f"{path} is read, so it cannot be written too")
            if not path.is_file():
                raise click.UsageError(f"{path} is not an ordinary file")
            if not self.force:
                raise click.UsageError(f"{path} exists already; replace it with --force")
            if not os.access(path.parent, os.W_OK):
                raise click.UsageError(f"the folder {path.parent} cannot be written to")


def _as_document(row: RejectedRow) -> dict[str, Any]:
    """A rejected row for a file: where it is, its mistakes, what stands there."""
    document: dict[str, Any] = {
        "row": row.number,
        "line": row.line,
        "errors": [
            {"column": e.column, "expected": e.expected, "got": e.got, "fix": e.fix} for e in row.errors
        ],
    }
    return {**document, "values": row.values} if row.text is None else {**document, "text": row.text}
