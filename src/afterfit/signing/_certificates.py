"""Certificates: whether a signer's leads to one that the caller trusts, now, and may sign."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from afterfit.errors import ArgumentError, SignatureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

LONGEST_CHAIN = 8


def load_certificates(content: bytes, where: str) -> list[x509.Certificate]:
    """The certificates of a PEM file. Raises `ArgumentError` where there is none, or one is malformed."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise ArgumentError(f"{where} holds no certificates in PEM that can be read") from None


def may_sign(certificate: x509.Certificate) -> str | None:
    """Why a certificate may not sign, or None: its use must be digital signatures, or code signing."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    for extension in certificate.extensions:
        if isinstance(extension.value, x509.KeyUsage) and extension.value.digital_signature:
            return None
        if (
            isinstance(extension.value, x509.ExtendedKeyUsage)
            and ExtendedKeyUsageOID.CODE_SIGNING in extension.value
        ):
            return None
    return "may not sign: neither keyUsage digitalSignature nor extendedKeyUsage codeSigning is set"


def verify_chain(certificates: Sequence[bytes], roots: Sequence[x509.Certificate]) -> x509.Certificate:
    """The signer's certificate, the first one in DER, if a path of valid ones leads from it to one of `roots`.

    Valid now: a signature of these kinds has no witnessed time, so what has expired proves nothing. Raises
    `SignatureError` otherwise.
    """
    from cryptography import x509
    from cryptography.x509 import verification

    signer, *others = _read_untrusted(certificates[: LONGEST_CHAIN + 1])
    now = datetime.now(UTC)
    who = signer.subject.rfc4514_string()
    if now > signer.not_valid_after_utc:
        raise SignatureError(
            f"the certificate of the signer ({who}) expired on {signer.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        )
    if now < signer.not_valid_before_utc:
        raise SignatureError(
            f"the certificate of the signer ({who}) is valid only from {signer.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        )
    authorities = verification.ExtensionPolicy.permit_all().require_present(
        x509.BasicConstraints, verification.Criticality.AGNOSTIC, None
    )
    authorities = authorities.may_be_present(
        x509.KeyUsage, verification.Criticality.AGNOSTIC, _signs_certificates
    )
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store(list(roots)))
        .time(now)
        .max_chain_depth(LONGEST_CHAIN)
        .extension_policies(ca_policy=authorities, ee_policy=verification.ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    try:
        verifier.verify(signer, others)
    except verification.VerificationError as error:
        reason = str(error).partition(" (encountered")[0].removeprefix("validation failed: ")[:200]
        raise SignatureError(
            f"the certificate of the signer ({who}) leads to none that is trusted: {reason}"
        ) from None
    refused = may_sign(signer)
    if refused:
        raise SignatureError(f"the certificate of the signer ({who}) {refused}")
    return signer


def _read_untrusted(certificates: Sequence[bytes]) -> list[x509.Certificate]:
    """Certificates of which all that is used later can be read: it is parsed only when it is asked for."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        found = [x509.load_der_x509_certificate(one) for one in certificates]
        for one in found:
            one.subject.rfc4514_string()
            one.issuer.rfc4514_string()
            _ = (
                one.version,
                one.extensions,
                one.not_valid_before_utc,
                one.not_valid_after_utc,
                one.public_key(),
            )
    except (
        ValueError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ) as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise SignatureError(f"the signature carries a certificate that cannot be read: {reason}") from None
    return found


def _signs_certificates(policy: object, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    del policy
    if usage is not None and not usage.key_cert_sign:
        raise ValueError(f"{certificate.subject.rfc4514_string()} may not sign certificates")
