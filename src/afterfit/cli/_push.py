"""`afterfit push`."""

from __future__ import annotations

from pathlib import Path

import click

from afterfit.cli._sources import (
    by_option,
    json_option,
    open_store,
    read_signature,
    signature_beside,
    store_option,
)
from afterfit.cli._terminal import echo_json, printable


@click.command(
    epilog="""\b
Examples:
  afterfit push flights.afit
  afterfit push model.afit --name flights
  afterfit push flights.afit --signature release.sig
  afterfit push flights.afit --store postgresql://db/models?blobs=s3://models"""
)
@click.argument("bundle", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--name", help="Name in the store.  [default: the model's own]")
@click.option(
    "--signature",
    "given",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="Signature to keep with it; may be repeated.  [default: BUNDLE.sig, if there is one]",
)
@by_option
@store_option
@json_option
def push(
    bundle: Path,
    *,
    name: str | None,
    given: tuple[Path, ...],
    by: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Audit BUNDLE and keep it in the store as the next version of its name.

    Makes the store, the folder .afterfit, if there is none here or above. A bundle that is there already keeps
    its number, and gets the signatures that are new. A signature of another file is refused.
    """
    beside = signature_beside(bundle)
    signatures = [read_signature(path) for path in given or [beside] if given or path.is_file()]
    with open_store(url, create=True) as store:
        version = store.push(bundle, name=name, by=by, signatures=signatures)
        place = str(store.place)
    if as_json:
        from afterfit.cli._show import describe_version

        echo_json({**describe_version(version), "store": place, "signatures": len(signatures)})
    else:
        signed = f", with {len(signatures)} signature{'s'[: len(signatures) > 1]}" if signatures else ""
        click.echo(f"{version} is sha256:{version.digest} in {printable(place)}{signed}")
