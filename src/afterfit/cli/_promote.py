"""`afterfit promote`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from afterfit.cli._sources import by_option, json_option, open_store, store_option
from afterfit.cli._terminal import echo_json, printable


@click.command(
    epilog="""\b
Examples:
  afterfit promote flights@4 --to production --because "AUC up on July"
  afterfit promote flights --to staging --because nightly --gate "auc >= 0.8"
  afterfit promote flights@4 --to production --because retrained --gate "auc >= current - 0.01\""""
)
@click.argument("reference", metavar="REF")
@click.option("--to", "alias", required=True, metavar="ALIAS", help="Alias to move, such as production.")
@click.option("--because", required=True, metavar="WHY", help="The reason, kept in the history.")
@click.option(
    "--gate",
    "gates",
    multiple=True,
    metavar="TEXT",
    help="What a metric of the bundle must be; may be given several times.",
)
@click.option(
    "--require-signature",
    "trusted",
    multiple=True,
    metavar="PEM",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="Public key, or root certificate, that must have signed the version (one of them).",
)
@by_option
@store_option
@json_option
@click.pass_context
def promote(
    ctx: click.Context,
    reference: str,
    *,
    alias: str,
    because: str,
    gates: tuple[str, ...],
    trusted: tuple[Path, ...],
    by: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Move an alias to the version REF, once every gate holds.

    The gates: the bundle's audit, its golden rows replayed, a schema that takes what the version it replaces
    takes, --require-signature, and --gate for metrics in training/metrics.json (METRIC, then >=, <=, >, < or ==,
    then a number or 'current', the replaced version's, plus or minus a number). Nothing is moved, and the exit
    code is 1, where one fails or somebody else moved the alias meanwhile.
    """
    from afterfit.cli._show import describe_move
    from afterfit.errors import AliasMovedError
    from afterfit.promotion import parse_gate
    from afterfit.promotion import promote as run
    from afterfit.signing import read_trust

    parsed = [parse_gate(text) for text in gates]
    trust = read_trust(trusted) if trusted else None
    with open_store(url) as store:
        try:
            done = run(store, reference, alias, because=because, gates=parsed, trust=trust, by=by)
        except AliasMovedError as error:
            if as_json:
                echo_json({"ok": False, "moved": False, "conflict": str(error)})
            click.echo(f"Error: {printable(str(error))}", err=True)
            ctx.exit(1)
    target = f"{done.challenger.name}@{alias}"
    if as_json:
        echo_json(
            {
                "ok": done.ok,
                "moved": done.move is not None,
                "version": str(done.challenger),
                "replaces": None if done.current is None else str(done.current),
                "checks": [asdict(check) for check in done.checks],
                "move": None if done.move is None else describe_move(done.move),
            }
        )
    else:
        for check in done.checks:
            mark = click.style("✓", fg="green") if check.holds else click.style("✗", fg="red", bold=True)
            first, *details = check.detail.splitlines()
            click.echo(f"{mark} {printable(check.check)}: {printable(first)}")
            for detail in details:
                click.echo(f"    {printable(detail)}")
        if done.move is not None:
            before = "nothing" if done.current is None else str(done.current)
            click.echo(f"{target} is now {done.challenger}; it was {before}")
        elif done.ok:
            click.echo(f"{target} is {done.challenger} already")
    if not done.ok:
        if not as_json:
            click.echo(f"Error: {done.challenger} was not promoted; {target} is as it was", err=True)
        ctx.exit(1)
