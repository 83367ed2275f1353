"""Signing."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from afterfit.errors import ArgumentError
from afterfit.signing._certificates import load_certificates, may_sign
from afterfit.signing._envelope import authenticated, encode_bundle, encode_statement
from afterfit.signing._keys import (
    NEW_KEY,
    algorithm_of,
    fingerprint,
    need_cryptography,
    public_key_of,
    read_pem,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

PASSWORD_VARIABLE = "AFTERFIT_KEY_PASSWORD"  # noqa: S105 - the name of the variable
"""The environment variable with the password of a private key that is encrypted."""


@dataclass(frozen=True)
class Signer:
    """A private key, and what a signature says about it. Made by `read_signer`."""

    key: ec.EllipticCurvePrivateKey
    material: dict[str, Any]
    who: str

    def sign(self, name: str, digest: str) -> bytes:
        """The signature file for the file called `name` whose SHA-256 is `digest`."""
        payload = encode_statement(name, digest)
        signature = self.key.sign(authenticated(payload), algorithm_of(self.key.public_key()))
        return encode_bundle(payload, signature, self.material)


def read_signer(
    key: str | os.PathLike[str],
    *,
    certificate: str | os.PathLike[str] | None = None,
    chain: Sequence[str | os.PathLike[str]] = (),
    password: Callable[[], str | None] = lambda: None,
) -> Signer:
    """A signer with the private key in the PEM file `key`.

    With `certificate`, signatures carry it and the certificates of `chain`, and are verified by who trusts the root of
    these. `password` is asked where the key is encrypted. Raises `ArgumentError` where these cannot be used together.
    """
    need_cryptography()
    private = _load_private(key, password)
    public = public_key_of(private.public_key(), str(key))
    if certificate is None:
        if chain:
            raise ArgumentError("a chain of certificates was given without the certificate that it is for")
        mark = fingerprint(public)
        return Signer(private, {"publicKey": {"hint": mark}}, f"key {mark[:12]}")
    from cryptography.hazmat.primitives import serialization

    own = load_certificates(read_pem(certificate), str(certificate))
    if own[0].public_key() != public:
        raise ArgumentError(f"{certificate} is a certificate of another key than {key}")
    refused = may_sign(own[0])
    if refused:
        raise ArgumentError(f"{certificate} {refused}")
    for path in chain:
        own += load_certificates(read_pem(path), str(path))
    encoded = [base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode() for one in own]
    material = {"x509CertificateChain": {"certificates": [{"rawBytes": one} for one in encoded]}}
    return Signer(private, material, own[0].subject.rfc4514_string())


def _load_private(
    path: str | os.PathLike[str], password: Callable[[], str | None]
) -> ec.EllipticCurvePrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    content = read_pem(path)
    if b"PRIVATE KEY" not in content:
        raise ArgumentError(f"{path} is no private key; signing needs one. To make a pair: {NEW_KEY}")
    try:
        try:
            found = serialization.load_pem_private_key(content, None)
        except TypeError:  # it is encrypted
            secret = password()
            if not secret:
                raise ArgumentError(f"{path} is encrypted; {PASSWORD_VARIABLE} gives its password") from None
            found = serialization.load_pem_private_key(content, secret.encode())
    except ArgumentError:
        raise
    except (ValueError, UnsupportedAlgorithm):
        raise ArgumentError(
            f"{path} is no private key that can be read, or its password is another"
        ) from None
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        public_key_of(found, str(path))
        raise TypeError("a public key instead of a private one")
    return found
