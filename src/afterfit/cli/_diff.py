"""`afterfit diff`."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

import click

from afterfit.cli._sources import BundlePath, json_option
from afterfit.cli._terminal import add_row, console, echo_json, shorten, table

if TYPE_CHECKING:
    from pathlib import Path

_CELL = 48
_ROWS = 40


@click.command(
    epilog="""\b
Examples:
  afterfit diff flights@3 flights@production
  afterfit diff old.afit new.afit --json"""
)
@click.argument("before", metavar="A", type=BundlePath())
@click.argument("after", metavar="B", type=BundlePath())
@json_option
def diff(before: Path, after: Path, *, as_json: bool) -> None:
    """Show in what the bundles A and B differ, and whether B can take the place of A.

    Compares schema, parameters, metrics, environment and the distribution of the training rows, and answers the
    golden rows of both with both. The exit code is 0 whatever is found.
    """
    from afterfit.bundle import read_bundle
    from afterfit.promotion import compare_bundles, incompatibilities

    a, b = read_bundle(before), read_bundle(after)
    found = compare_bundles(a, b)
    reasons = incompatibilities(a, b)
    if as_json:
        echo_json(
            {
                "before": a.digest,
                "after": b.digest,
                "equal": a.digest == b.digest,
                "compatible": not reasons,
                "incompatibilities": reasons,
                "differences": [asdict(one) for one in found],
            }
        )
        return
    out = console()
    for part, members in groupby(found, key=lambda one: one.part):
        listed = list(members)
        drawn = table(f"{part[:1].upper()}{part[1:]} ({len(listed)})", "", "A", "B", "")
        for one in listed[:_ROWS]:
            add_row(drawn, shorten(one.what, _CELL), _cell(one.before), _cell(one.after), one.note)
        if len(listed) > _ROWS:
            add_row(drawn, "...", "", "", f"{len(listed) - _ROWS:,} more with --json")
        out.print(drawn)
    if a.digest == b.digest:
        click.echo("A and B are the same bundle")
    elif reasons:
        click.echo("B cannot take the place of A:")
        for reason in reasons:
            click.echo(f"  {shorten(reason, 300)}")
    else:
        click.echo("B takes what A takes, and answers in the same form")


def _cell(value: object) -> str:
    if value is None:
        return ""
    return shorten(f"{value:.6g}" if isinstance(value, float) else str(value), _CELL)
