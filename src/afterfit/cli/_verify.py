"""`afterfit verify`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from afterfit.cli._sources import BundlePath
from afterfit.cli._terminal import echo_json, printable

if TYPE_CHECKING:
    from pathlib import Path

    from afterfit.runtime import Model, Report

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was checked, whether it holds, and its figure in words."""

    check: str
    holds: bool
    detail: str


@click.command(
    epilog="""\b
Examples:
  afterfit verify flights.afit
  afterfit verify flights.afit --json
  afterfit verify flights.afit && cp flights.afit /srv/models/"""
)
@click.argument("bundle", type=BundlePath())
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
@click.pass_context
def verify(ctx: click.Context, bundle: Path, as_json: bool) -> None:
    """Prove again that BUNDLE is whole and answers as it did when it was saved.

    Audits every rule of the format, compares every digest, and replays the golden rows. Runs no code from the
    file and needs nothing of the framework the model was trained with. The exit code is 0 only if all holds.
    """
    from afterfit.errors import BundleError
    from afterfit.runtime import load

    try:
        model = load(bundle)
    except BundleError as error:
        checks = [Check("audit", holds=False, detail=str(error))]
        _show(checks, as_json=as_json, bundle=str(bundle), rule=getattr(error, "rule", None))
        ctx.exit(1)
    report = model.verify()
    checks = _list_checks(model, report)
    holds = all(check.holds for check in checks)
    _show(
        checks,
        as_json=as_json,
        bundle=str(bundle),
        name=model.name,
        version=model.version,
        golden_rows=report.golden_rows,
        max_error=report.max_error,
        tolerance=report.tolerance,
        failures=report.failures,
    )
    ctx.exit(0 if holds else 1)


def _list_checks(model: Model, report: Report) -> list[Check]:
    files = model.manifest.files
    size = sum(record.size for record in files.values())
    error = f"largest error {report.max_error:.1e}, {report.tolerance:.0e} is allowed"
    replay = f"{report.golden_rows} rows answered as saved, {error}"
    if not report.ok:
        more = len(report.failures) - SHOWN
        lines = [*report.failures[:SHOWN], *([f"and {more} more"] if more > 0 else [])]
        replay = f"{len(report.failures)} answers differ from those saved\n" + "\n".join(lines)
    return [
        Check("audit", holds=True, detail=f"format {model.manifest.format}; no rule is broken"),
        Check("digests", holds=True, detail=f"{len(files)} entries, {size:,} bytes, match their SHA-256"),
        Check("golden rows", holds=report.ok, detail=replay),
    ]


def _show(checks: list[Check], *, as_json: bool, **facts: object) -> None:
    holds = all(check.holds for check in checks)
    if as_json:
        echo_json({**facts, "ok": holds, "checks": [asdict(check) for check in checks]})
        return
    for check in checks:
        mark = click.style("✓", fg="green") if check.holds else click.style("✗", fg="red", bold=True)
        first, *details = check.detail.splitlines()
        click.echo(f"{mark} {check.check}: {printable(first)}")
        for detail in details:
            click.echo(f"    {printable(detail)}")
    if holds:
        click.echo(f"{printable(str(facts['name']))} {facts['version']} holds")
    else:
        click.echo(f"Error: {printable(str(facts['bundle']))} does not hold", err=True)
