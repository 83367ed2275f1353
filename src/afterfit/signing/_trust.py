"""Whom the caller trusts, and whether they signed a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from afterfit.errors import ArgumentError, SignatureError
from afterfit.signing._certificates import load_certificates, verify_chain
from afterfit.signing._envelope import read_statement
from afterfit.signing._keys import algorithm_of, fingerprint, need_cryptography, public_key_of, read_pem

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    from afterfit.signing._envelope import Statement


@dataclass(frozen=True, slots=True)
class Trust:
    """Public keys and root certificates, each a PEM file's content with its path. Made by `read_trust`.

    Law: nothing that a signature carries is trusted, but for what leads to one of these. It holds bytes only, so that
    it crosses to other processes.
    """

    keys: tuple[tuple[str, bytes], ...] = ()
    roots: tuple[tuple[str, bytes], ...] = ()

    def verify(self, signature: bytes, digest: str) -> str:
        """Who signed the file whose SHA-256 is `digest`: the fingerprint of a key, or the subject of a certificate.

        Raises `SignatureError` where nobody who is trusted did.
        """
        need_cryptography()
        statement = read_statement(signature)
        who = self._verify_certificate(statement) if statement.certificates else self._verify_key(statement)
        if statement.digest != digest:
            raise SignatureError(
                f"{who} signed another file (sha256:{statement.digest[:12]}...), or this one "
                f"(sha256:{digest[:12]}...) was changed after it was signed"
            )
        return who

    def verify_any(self, signatures: Sequence[bytes], digest: str, what: str) -> str:
        """Who signed, by the first of `signatures` that proves it. `what` names the file in the error."""
        if not signatures:
            raise SignatureError(f"{what} is not signed")
        reasons = []
        for signature in signatures:
            try:
                return self.verify(signature, digest)
            except SignatureError as error:
                reasons.append(str(error))
        raise SignatureError(f"{what} is not signed by anybody trusted: " + "; ".join(dict.fromkeys(reasons)))

    def _verify_key(self, statement: Statement) -> str:
        keys = [_load_public(content, path) for path, content in self.keys]
        if not keys:
            raise SignatureError("it was signed with a key, and only certificates are trusted")
        for key in keys:
            if _holds(key, statement):
                return f"key {fingerprint(key)[:12]}"
        marks = {fingerprint(key) for key in keys}
        if statement.hint in marks:
            raise SignatureError(f"the signature of key {statement.hint[:12]} is false: it was changed")
        named = f"key {statement.hint[:12]!a}" if statement.hint else "a key it does not name"
        trusted = ", ".join(sorted(mark[:12] for mark in marks))
        raise SignatureError(f"it was signed with {named}, and trusted is {trusted}")

    def _verify_certificate(self, statement: Statement) -> str:
        roots: list[x509.Certificate] = []
        for path, content in self.roots:
            roots += load_certificates(content, path)
        if not roots:
            raise SignatureError("it was signed with a certificate, and only keys are trusted")
        certificate = verify_chain(statement.certificates, roots)
        who = certificate.subject.rfc4514_string()
        try:
            key = public_key_of(certificate.public_key(), f"the key of {who}")
        except ArgumentError as error:
            raise SignatureError(str(error)) from None
        if not _holds(key, statement):
            raise SignatureError(f"the signature of {who} is false: it was changed")
        return who


def read_trust(paths: Sequence[str | os.PathLike[str]]) -> Trust:
    """Trust in the public keys and the certificates of PEM files; each file holds one key, or certificates.

    Raises `ArgumentError` where one holds neither.
    """
    need_cryptography()
    keys, roots = [], []
    for path in paths:
        content = read_pem(path)
        if b"PRIVATE KEY" in content:
            raise ArgumentError(
                f"{path} is a private key; trust needs the public one, and nobody else this one"
            )
        if b"BEGIN CERTIFICATE" in content:
            load_certificates(content, str(path))
            roots.append((str(path), content))
        else:
            _load_public(content, str(path))
            keys.append((str(path), content))
    return Trust(tuple(keys), tuple(roots))


def _load_public(content: bytes, where: str) -> ec.EllipticCurvePublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        found = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise ArgumentError(f"{where} is no public key that can be read") from None
    return public_key_of(found, where)


def _holds(key: ec.EllipticCurvePublicKey, statement: Statement) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(statement.signature, statement.signed, algorithm_of(key))
    except InvalidSignature:
        return False
    return True
