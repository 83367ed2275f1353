"""`afterfit pull`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from afterfit.cli._sources import json_option, open_store, read_signature, signature_beside, store_option
from afterfit.cli._terminal import echo_json, printable, progress_bar, shows_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterfit.signing import Trust

KEY_VARIABLE = "AFTERFIT_API_KEY"


@click.command(
    epilog="""\b
Examples:
  afterfit pull flights@production -o flights.afit
  afterfit pull flights@3 -o old.afit --force
  afterfit pull http://models.example:8000/store/flights@production -o flights.afit --key public.pem"""
)
@click.argument("reference", metavar="REF|URL")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.  [default: NAME.afit]",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option(
    "--key",
    "trusted",
    multiple=True,
    metavar="PEM",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="Public key, or root certificate, that must have signed it (one of them).",
)
@click.option("--api-key", envvar=KEY_VARIABLE, show_envvar=True, help="Key for the server at URL.")
@store_option
@json_option
def pull(
    reference: str,
    *,
    output: Path | None,
    force: bool,
    trusted: tuple[Path, ...],
    api_key: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Write the bundle that REF names to a file, once its bytes were compared with those that were pushed.

    REF is NAME (its latest version), NAME@3, NAME@ALIAS or NAME@sha256:DIGEST. Its signatures go to FILE.sig.

    From a URL, http://HOST:PORT/store/REF of `afterfit serve REF`, nothing is fetched where FILE is current, a
    download that broke off goes on, and a bundle at FILE is replaced at once when all was checked. With --key, what
    nobody trusted signed is not written, and the exit code is 1.
    """
    from afterfit.signing import read_trust

    trust = read_trust(trusted) if trusted else None
    if "://" in reference:
        facts = _pull_from_server(reference, output, trust, api_key, force=force)
    else:
        facts = _pull_from_store(reference, output, trust, url, force=force)
    if as_json:
        echo_json(facts)
        return
    current = facts.get("fetched") == 0
    signed = f", signed by {facts['signed_by']}" if facts["signed_by"] else ""
    place = printable(facts["path"])
    click.echo(f"{facts['ref']} is in {place}{' already' if current else ''}{printable(signed)}")


def _pull_from_store(
    reference: str, output: Path | None, trust: Trust | None, url: str | None, *, force: bool
) -> dict[str, Any]:
    from afterfit.cli._show import describe_version
    from afterfit.runtime._files import AtomicFile

    with open_store(url) as store:
        version = store.resolve(reference)
        target = output or Path(f"{version.name}.afit")
        if target.exists() and not force:
            raise click.UsageError(f"{target} exists already; replace it with --force")
        signatures = store.signatures(version)
        who = None if trust is None else trust.verify_any(signatures, version.blob, str(version))
        file = AtomicFile(target)
        try:
            with store.fetch(version).open("rb") as content:
                shutil.copyfileobj(content, file.file, 1 << 20)
            # Before the file: whoever watches it finds them there.
            _write_signatures(target, signatures, trust, version.blob)
            file.commit()
        finally:
            file.discard()
    return {**describe_version(version), "path": str(target), "signed_by": who}


def _pull_from_server(
    url: str, output: Path | None, trust: Trust | None, api_key: str | None, *, force: bool
) -> dict[str, Any]:
    from afterfit.bundle import read_bundle
    from afterfit.errors import BundleError
    from afterfit.store import Remote

    parts = urlsplit(url)
    if api_key and parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        click.echo(f"the API key goes to {printable(str(parts.hostname))} unencrypted; use https", err=True)
    with progress_bar("pulling", shown=shows_progress()) as move:
        remote = Remote(url, api_key=api_key, move=move)
        target = output or Path(f"{remote.reference.name}.afit")
        if target.exists() and not force:
            try:
                read_bundle(target)
            except BundleError:
                raise click.UsageError(f"{target} exists and is no bundle; replace it with --force") from None
        pulled = remote.pull(
            target, trust, before=lambda found: _write_signatures(target, found.signatures, trust, found.blob)
        )
    return {
        "ref": pulled.version,
        "digest": pulled.digest.removeprefix("sha256:"),
        "blob": pulled.blob,
        "path": str(target),
        "fetched": pulled.fetched,
        "signed_by": pulled.signed_by,
    }


def _write_signatures(target: Path, signatures: Sequence[bytes], trust: Trust | None, blob: str) -> None:
    """The signatures beside the file: the one that is trusted first, then FILE.2.sig and so on.

    One that was there stays among them if it is of this file, and goes if it is of another.
    """
    from afterfit.errors import SignatureError
    from afterfit.runtime._files import AtomicFile
    from afterfit.signing import read_statement

    def is_trusted(signature: bytes) -> bool:
        if trust is None:
            return False
        try:
            trust.verify(signature, blob)
        except SignatureError:
            return False
        return True

    beside = signature_beside(target)
    found = list(signatures)
    if beside.is_file():
        there = read_signature(beside)
        try:
            stated = read_statement(there).digest
        except SignatureError as error:
            click.echo(f"{beside} is left as it is, and no signature is written: {error}", err=True)
            return
        if stated == blob and there not in found:
            found.append(there)
    if not found:
        beside.unlink(missing_ok=True)
    for number, content in enumerate(sorted(found, key=lambda one: not is_trusted(one)), 1):
        name = f"{target.name}.{number}" if number > 1 else target.name
        file = AtomicFile(signature_beside(target.with_name(name)))
        try:
            file.file.write(content)
            file.commit()
        finally:
            file.discard()
