"""`afterfit sign`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from afterfit.cli._sources import (
    BundleSource,
    by_option,
    json_option,
    open_store,
    password_of_key,
    signature_beside,
    store_option,
)
from afterfit.cli._terminal import echo_json, printable

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.command(
    epilog="""\b
Examples:
  afterfit sign flights.afit --key private.pem
  afterfit verify flights.afit --key public.pem
  afterfit sign flights@3 --key private.pem
  afterfit sign flights.afit --key team.key --certificate team.pem --chain ca.pem

\b
A pair of keys:
  openssl ecparam -name prime256v1 -genkey -noout -out private.pem
  openssl ec -in private.pem -pubout -out public.pem"""
)
@click.argument("bundle", type=BundleSource())
@click.option("--key", required=True, type=_FILE, help="Private key (PEM, P-256, P-384 or P-521).")
@click.option("--certificate", type=_FILE, help="Certificate of the key (PEM).")
@click.option("--chain", multiple=True, type=_FILE, help="Certificates up to the root; may be repeated.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.  [default: BUNDLE.sig, or the store]",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@by_option
@store_option
@json_option
def sign(
    bundle: object,
    *,
    key: Path,
    certificate: Path | None,
    chain: tuple[Path, ...],
    output: Path | None,
    force: bool,
    by: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Audit BUNDLE and sign its bytes: a detached signature in the format of OpenSSF model signing.

    The signature of a file goes beside it, that of a version in the store into the store, where a bundle may have
    several. A key that is encrypted asks for its password, or takes it from AFTERFIT_KEY_PASSWORD. Who verifies needs
    the public key, or the root of the certificates, from you, by a way they trust: nothing in the file is trusted.
    """
    from afterfit.bundle import read_bundle
    from afterfit.signing import read_signer
    from afterfit.store import Reference

    signer = read_signer(key, certificate=certificate, chain=chain, password=password_of_key)
    if isinstance(bundle, Reference):
        with open_store(url) as store:
            version = store.resolve(bundle)
            read_bundle(store.fetch(version))
            content = signer.sign(f"{version.name}.afit", version.blob)
            if output is None:
                store.sign(version, [content], by=by)
        name, digest, target = str(version), version.blob, output
    else:
        path = Path(str(bundle))
        read_bundle(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        content = signer.sign(path.name, digest)
        name, target = str(path), output or signature_beside(path)
    if target is not None:
        _write(target, content, force=force)
    place = "the store" if target is None else str(target)
    if as_json:
        path_of = None if target is None else str(target)
        echo_json({"bundle": name, "sha256": digest, "signed_by": signer.who, "path": path_of})
    else:
        click.echo(
            f"{printable(name)} is signed by {printable(signer.who)}; the signature is in {printable(place)}"
        )


def _write(target: Path, content: bytes, *, force: bool) -> None:
    from afterfit.runtime._files import AtomicFile

    if target.exists() and not force:
        raise click.UsageError(f"{target} exists already; replace it with --force")
    file = AtomicFile(target)
    try:
        file.file.write(content)
        file.commit()
    finally:
        file.discard()
