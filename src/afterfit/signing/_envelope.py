"""The wire format: a Sigstore bundle around a DSSE envelope around an in-toto statement.

OpenSSF model signing 1.0: https://github.com/sigstore/model-transparency. A bundle is one file, so its statement has
one resource, called `.`, with the SHA-256 of the file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from afterfit.errors import SignatureError

LIMIT = 1 << 20
"""Most bytes of a signature; one with a certificate chain has a few thousand."""

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
_SHA256 = re.compile(r"[0-9a-f]{64}")

_Kind = TypeVar("_Kind", bound=msgspec.Struct)


class _PublicKey(msgspec.Struct):
    hint: str | None = None


class _Certificate(msgspec.Struct):
    raw_bytes: str = msgspec.field(name="rawBytes")


class _Chain(msgspec.Struct):
    certificates: list[_Certificate]


class _Material(msgspec.Struct, rename="camel"):
    public_key: _PublicKey | None = None
    x509_certificate_chain: _Chain | None = None


class _Signature(msgspec.Struct):
    sig: str


class _Envelope(msgspec.Struct, rename="camel"):
    payload: str
    payload_type: str
    signatures: list[_Signature]


class _Bundle(msgspec.Struct, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: _Envelope


class _Subject(msgspec.Struct):
    name: str
    digest: dict[str, str]


class _Resource(msgspec.Struct):
    name: str
    algorithm: str
    digest: str


class _Predicate(msgspec.Struct):
    serialization: dict[str, Any]
    resources: list[_Resource]


class _Statement(msgspec.Struct):
    type: str = msgspec.field(name="_type")
    subject: list[_Subject]
    predicate_type: str = msgspec.field(name="predicateType")
    predicate: _Predicate


@dataclass(frozen=True, slots=True)
class Statement:
    """What a signature states, and what it is to be verified with. Nothing of it is true because it is written here.

    `digest`: the SHA-256 of the file. `signed`: the bytes that were signed, and `signature` over them. `hint`: the
    SHA-256 of the signer's public key in PEM. `certificates`: in DER, the signer's first.
    """

    digest: str
    signed: bytes
    signature: bytes
    hint: str | None
    certificates: tuple[bytes, ...]


def read_statement(content: bytes) -> Statement:
    """Parse a signature file, and verify nothing. Raises `SignatureError` where it is not one of a single file."""
    if len(content) > LIMIT:
        raise SignatureError(f"the signature has {len(content):,} bytes; at most {LIMIT:,} are read")
    outer = _decode(content, _Bundle)
    envelope = outer.dsse_envelope
    if outer.media_type != MEDIA_TYPE or envelope.payload_type != PAYLOAD_TYPE:
        raise SignatureError(
            f"the signature is of type {outer.media_type[:100]!a}, {envelope.payload_type[:100]!a}; "
            f"{MEDIA_TYPE} around {PAYLOAD_TYPE} is read"
        )
    if len(envelope.signatures) != 1:
        raise SignatureError(
            f"the signature file has {len(envelope.signatures)} signatures; it must have one"
        )
    payload = _decode_base64(envelope.payload)
    material = outer.verification_material
    chain = material.x509_certificate_chain
    return Statement(
        digest=_digest_of(_decode(payload, _Statement)),
        signed=authenticated(payload),
        signature=_decode_base64(envelope.signatures[0].sig),
        hint=None if material.public_key is None else material.public_key.hint,
        certificates=()
        if chain is None
        else tuple(_decode_base64(one.raw_bytes) for one in chain.certificates),
    )


def authenticated(payload: bytes) -> bytes:
    """What is signed of a payload: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def encode_statement(name: str, digest: str) -> bytes:
    """The payload that states that the file `name` has the SHA-256 `digest`."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": _root(digest)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": [{"name": ".", "algorithm": "sha256", "digest": digest}],
        },
    }
    return msgspec.json.encode(statement)


def encode_bundle(payload: bytes, signature: bytes, material: dict[str, Any]) -> bytes:
    """The signature file. `material`: `publicKey` or `x509CertificateChain`."""
    document = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {**material, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return msgspec.json.encode(document) + b"\n"


def _digest_of(statement: _Statement) -> str:
    if statement.type != STATEMENT_TYPE or statement.predicate_type != PREDICATE_TYPE:
        raise SignatureError(
            f"the signature states {statement.type[:100]!a}, {statement.predicate_type[:100]!a}; "
            f"{STATEMENT_TYPE} of {PREDICATE_TYPE} is read"
        )
    resources = statement.predicate.resources
    method = statement.predicate.serialization.get("method")
    if len(resources) != 1 or resources[0].name != "." or method != "files":
        raise SignatureError(
            "the signature is of a folder or of parts of a file; sign the bundle's file itself"
        )
    resource = resources[0]
    if resource.algorithm != "sha256" or not _SHA256.fullmatch(resource.digest):
        raise SignatureError(
            f"the signature is over a digest of {resource.algorithm[:40]!a}; sign the bundle hashed by sha256"
        )
    if [one.digest.get("sha256") for one in statement.subject] != [_root(resource.digest)]:
        raise SignatureError(
            "the signature contradicts itself: its subject is not the digest of its resource"
        )
    return resource.digest


def _root(digest: str) -> str:
    """The digest of all resources: of the bytes of their digests."""
    return hashlib.sha256(bytes.fromhex(digest)).hexdigest()


def _decode(content: bytes, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise SignatureError(f"this is no signature of OpenSSF model signing: {str(error)[:200]}") from None


def _decode_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SignatureError(
            "this is no signature of OpenSSF model signing: its base64 is malformed"
        ) from None
