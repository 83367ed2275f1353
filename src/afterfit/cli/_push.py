"""`afterfit push`."""

from __future__ import annotations

from pathlib import Path

import click

from afterfit.cli._sources import by_option, json_option, open_store, store_option
from afterfit.cli._terminal import echo_json, printable


@click.command(
    epilog="""\b
Examples:
  afterfit push flights.afit
  afterfit push model.afit --name flights
  afterfit push flights.afit --store postgresql://db/models?blobs=s3://models"""
)
@click.argument("bundle", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--name", help="Name in the store.  [default: the model's own]")
@by_option
@store_option
@json_option
def push(bundle: Path, *, name: str | None, by: str | None, url: str | None, as_json: bool) -> None:
    """Audit BUNDLE and keep it in the store as the next version of its name.

    Makes the store, the folder .afterfit, if there is none here or above. A bundle that is there already keeps
    its number.
    """
    with open_store(url, create=True) as store:
        version = store.push(bundle, name=name, by=by)
        place = str(store.place)
    if as_json:
        from afterfit.cli._show import describe_version

        echo_json({**describe_version(version), "store": place})
    else:
        click.echo(f"{version} is sha256:{version.digest} in {printable(place)}")
