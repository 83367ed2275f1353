"""`afterfit pull`."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from afterfit.cli._sources import json_option, open_store, store_option
from afterfit.cli._terminal import echo_json, printable


@click.command(
    epilog="""\b
Examples:
  afterfit pull flights@production -o flights.afit
  afterfit pull flights@3 -o old.afit --force"""
)
@click.argument("reference", metavar="REF")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.  [default: NAME.afit]",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@store_option
@json_option
def pull(reference: str, *, output: Path | None, force: bool, url: str | None, as_json: bool) -> None:
    """Write the bundle that REF names to a file, once its bytes were compared with those that were pushed.

    REF is NAME (its latest version), NAME@3, NAME@ALIAS or NAME@sha256:DIGEST.
    """
    from afterfit.runtime._files import AtomicFile

    with open_store(url) as store:
        version = store.resolve(reference)
        target = output or Path(f"{version.name}.afit")
        if target.exists() and not force:
            raise click.UsageError(f"{target} exists already; replace it with --force")
        file = AtomicFile(target)
        try:
            with store.fetch(version).open("rb") as content:
                shutil.copyfileobj(content, file.file, 1 << 20)
            file.commit()
        finally:
            file.discard()
    if as_json:
        from afterfit.cli._show import describe_version

        echo_json({**describe_version(version), "path": str(target)})
    else:
        click.echo(f"{version} is in {printable(str(target))}")
