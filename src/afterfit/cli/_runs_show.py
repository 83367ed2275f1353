"""`afterfit runs show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from afterfit.cli._runs import open_index
from afterfit.cli._runs import show as show_value
from afterfit.cli._runs_completion import complete_run
from afterfit.cli._terminal import add_row, console, echo_json, printable, shorten, table

if TYPE_CHECKING:
    from afterfit.tracking import RunRecord

_CELL = 90


@click.command(
    short_help="Show what is on record of a run.",
    epilog="""\b
Examples:
  afterfit runs show last
  afterfit runs show 20260131-120000-1a2b3c4d --json
  afterfit runs show last --requirements > requirements.txt""",
)
@click.argument("run", shell_complete=complete_run)
@click.option(
    "--json", "as_json", is_flag=True, help="Print everything as JSON, with every value of every metric."
)
@click.option(
    "--requirements", is_flag=True, help="Print the packages of the run, as `pip install -r` takes them."
)
def show(run: str, as_json: bool, requirements: bool) -> None:
    """Show what is on record of RUN: an id, a part of one, or `last`."""
    from afterfit.tracking import read_run, runs_folder

    index = open_index()
    record = read_run(runs_folder() / index.find(run))
    if requirements:
        for name, version in record.context["packages"].items():
            click.echo(printable(f"{name}=={version}"))
    elif as_json:
        echo_json(_document(record))
    else:
        _draw(record, index.select(f"parent = '{record.id}'", limit=1)[1])


def _document(record: RunRecord) -> dict[str, Any]:
    from afterfit.tracking import summary

    kept = [
        "id",
        "name",
        "parent",
        "rerun_of",
        "status",
        "started",
        "ended",
        "params",
        "tags",
        "data",
        "bundles",
        "exception",
        "exit_status",
        "context",
    ]
    series = {
        name: {"step": one.step.tolist(), "time": one.time.tolist(), "value": one.value.tolist()}
        for name, one in record.series.items()
    }
    facts = {name: getattr(record, name) for name in kept}
    return {**facts, "folder": str(record.folder), "summary": summary(record), "series": series}


def _draw(record: RunRecord, parts: int) -> None:
    from afterfit.tracking import describe_left_out, summary

    out = console()
    code = record.context.get("code") or {}
    head = {
        "run": f"{record.id} ({record.name})",
        "status": record.status,
        "started": show_value(record.started, "started"),
        "duration": "" if record.ended is None else show_value(record.ended - record.started, "duration"),
        "parent": record.parent or "",
        "parts": f'{parts:,}; afterfit runs --where "parent = {record.id}"' if parts else "",
        "rerun of": record.rerun_of or "",
        "command": " ".join(record.context["command"]),
        "code": code.get("commit") or code.get("script") or "not in git",
        "uncommitted": f"sha256:{code['diff_sha256']}" if code.get("diff_sha256") else "",
        "not on record": ", ".join(describe_left_out(code.get("left_out", {}))),
        "python": f"{record.context['python']}, {len(record.context['packages']):,} packages",
        "machine": " ".join(str(value) for value in record.context["machine"].values()),
        "torn": f"{record.torn:,} bytes of a record that was not finished" if record.torn else "",
    }
    drawn = table(record.name, "", "")
    drawn.show_header = False
    for name, value in head.items():
        if value:
            add_row(drawn, name, shorten(value, _CELL))
    out.print(drawn)
    _draw_pairs("Parameters", record.params)
    _draw_pairs("Tags", record.tags)
    if record.series:
        metrics = table("Metrics", "metric", ">count", ">last", ">lowest", ">at", ">highest", ">at")
        for name, entry in summary(record).items():
            keys = ("count", "last", "lowest", "lowest_step", "highest", "highest_step")
            add_row(metrics, name, *(show_value(entry.get(key)) for key in keys))
        out.print(metrics)
    for name, data in record.data.items():
        _draw_pairs(f"Data {name}: {data['rows']:,} rows", data["columns"])
    _draw_pairs("Bundles", {bundle["path"]: f"sha256:{bundle['digest']}" for bundle in record.bundles})
    if record.exception is not None:
        click.echo("\n".join(printable(line) for line in record.exception["traceback"].splitlines()))


def _draw_pairs(title: str, pairs: dict[str, Any]) -> None:
    if not pairs:
        return
    drawn = table(title, "", "")
    drawn.show_header = False
    for name, value in pairs.items():
        add_row(drawn, shorten(name, 60), shorten(str(value), _CELL))
    console().print(drawn)
