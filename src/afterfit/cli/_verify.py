"""`afterfit verify`."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from afterfit.cli._sources import BundleSource, open_store, read_signature, signature_beside, store_option
from afterfit.cli._terminal import echo_json, printable

if TYPE_CHECKING:
    from afterfit.runtime import Model, Report

SHOWN = 20
_PEM = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


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
  afterfit verify flights.afit --key public.pem
  afterfit verify flights@production --certificate-chain ca.pem
  afterfit verify flights.afit && cp flights.afit /srv/models/"""
)
@click.argument("bundle", type=BundleSource())
@click.option(
    "--key", "keys", multiple=True, type=_PEM, help="Public key that must have signed it (one of them)."
)
@click.option(
    "--certificate-chain",
    "roots",
    multiple=True,
    type=_PEM,
    help="Root that the signer's certificate must lead to (one of them).",
)
@click.option("--signature", type=_PEM, help="The signature.  [default: BUNDLE.sig, or those in the store]")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
@click.pass_context
def verify(
    ctx: click.Context,
    bundle: object,
    *,
    keys: tuple[Path, ...],
    roots: tuple[Path, ...],
    signature: Path | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Prove again that BUNDLE is whole and answers as it did when it was saved.

    Audits every rule of the format, compares every digest, and replays the golden rows. Runs no code from the
    file and needs nothing of the framework the model was trained with. With --key or --certificate-chain, its
    signature must be by one of these. The exit code is 0 only if all holds.
    """
    from afterfit.errors import BundleError
    from afterfit.runtime import load

    if signature is not None and not keys + roots:
        raise click.UsageError("--signature needs --key or --certificate-chain: whom you trust")
    path, signatures = _find(bundle, signature, url)
    signed = [_check_signature(path, signatures, keys + roots)] if keys + roots else []
    try:
        model = load(path)
    except BundleError as error:
        checks = [*signed, Check("audit", holds=False, detail=str(error))]
        _show(checks, as_json=as_json, bundle=str(bundle), rule=getattr(error, "rule", None))
        ctx.exit(1)
    report = model.verify()
    checks = [*signed, *_list_checks(model, report)]
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
    if signatures and not signed:
        click.echo("its signature was not checked; say by --key whom you trust", err=True)
    ctx.exit(0 if holds else 1)


def _find(bundle: object, signature: Path | None, url: str | None) -> tuple[Path, list[bytes]]:
    """The file of a bundle and its signatures."""
    from afterfit.store import Reference

    if isinstance(bundle, Reference):
        with open_store(url) as store:
            version = store.resolve(bundle)
            path, signatures = store.fetch(version), store.signatures(version)
    else:
        path = Path(str(bundle))
        beside = signature_beside(path)
        signatures = [read_signature(beside)] if signature is None and beside.is_file() else []
    return path, signatures if signature is None else [read_signature(signature)]


def _check_signature(path: Path, signatures: list[bytes], trusted: tuple[Path, ...]) -> Check:
    from afterfit.errors import SignatureError
    from afterfit.signing import read_trust

    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        who = read_trust(trusted).verify_any(signatures, digest, "the bundle")
    except SignatureError as error:
        return Check("signature", holds=False, detail=str(error))
    return Check("signature", holds=True, detail=f"signed by {who}, whom you trust")


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
