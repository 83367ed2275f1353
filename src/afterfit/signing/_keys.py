"""Elliptic curve keys, as OpenSSF model signing takes them."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    import os

    from cryptography.hazmat.primitives.asymmetric import ec

NEW_KEY = (
    "openssl ecparam -name prime256v1 -genkey -noout -out private.pem && "
    "openssl ec -in private.pem -pubout -out public.pem"
)
_CURVES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}
LARGEST_PEM = 1 << 20


def need_cryptography() -> None:
    """Raises `ArgumentError` where the extra is not installed."""
    if importlib.util.find_spec("cryptography") is None:
        raise ArgumentError('signatures need cryptography: pip install "afterfit[signing]"')


def read_pem(path: str | os.PathLike[str]) -> bytes:
    """A file of keys or certificates. Raises `ArgumentError` where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_PEM + 1)
    except OSError as error:
        raise ArgumentError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(content) > LARGEST_PEM or b"-----BEGIN " not in content:
        raise ArgumentError(f"{path} is no key or certificate in PEM. To make a pair of keys: {NEW_KEY}")
    return content


def public_key_of(key: object, where: str) -> ec.EllipticCurvePublicKey:
    """`key`, if it can verify. Raises `ArgumentError` otherwise."""
    from cryptography.hazmat.primitives.asymmetric import ec

    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise ArgumentError(
            f"{where} is of a kind that OpenSSF model signing does not take; it takes the elliptic curves P-256, "
            f"P-384 and P-521: {NEW_KEY}"
        )
    return key


def algorithm_of(key: ec.EllipticCurvePublicKey) -> ec.ECDSA:
    """ECDSA over the hash that goes with the curve."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.ECDSA(getattr(hashes, _CURVES[key.curve.name])())


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """The SHA-256 of the key in PEM, which signatures carry as a hint."""
    from cryptography.hazmat.primitives import serialization

    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()
