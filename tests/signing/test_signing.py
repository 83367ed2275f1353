"""Signatures: made here and verified by OpenSSF's own tool, the other way round, and every way to be false."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from afterfit.errors import ArgumentError, SignatureError
from afterfit.signing import LIMIT, read_signer, read_statement, read_trust

PEM = serialization.Encoding.PEM
CURVES = [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()]


def write_key(folder: Path, name: str, key=None, password: bytes | None = None) -> tuple[Path, Path]:
    key = key or ec.generate_private_key(ec.SECP256R1())
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, hidden))
    public.write_bytes(key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


class Authority:
    """A root certificate that issues others."""

    def __init__(self, folder: Path, name: str = "root") -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.path = folder / f"{name}.crt"
        self.certificate = self._build(
            self.name, self.key, [(x509.BasicConstraints(ca=True, path_length=None), True)]
        )
        self.path.write_bytes(self.certificate.public_bytes(PEM))

    def issue(self, name: str, *, days=(-1, 10), extensions=None, key=None) -> tuple[Path, Path]:
        """The private key and the certificate of a signer, valid from the first of `days` from now to the last."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        if extensions is None:
            extensions = [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._build(subject, key, extensions, days)
        private, _ = write_key(self.folder, name, key)
        path = self.folder / f"{name}.crt"
        path.write_bytes(certificate.public_bytes(PEM))
        return private, path

    def _build(self, subject, key, extensions, days=(-20, 20)) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "flights.afit"
    path.write_bytes(b"what is signed is bytes, whatever they are")
    return path


@pytest.fixture(scope="module")
def digest(model) -> str:
    return hashlib.sha256(model.read_bytes()).hexdigest()


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority(tmp_path)


def openssf(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The unmodified tool."""
    pytest.importorskip("model_signing", reason="model-signing is not installed")
    return subprocess.run(
        [sys.executable, "-m", "model_signing", *map(str, arguments)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_keys_both_ways_with_the_tool_of_openssf(tmp_path, model, digest, curve):
    private, public = write_key(tmp_path, "own", ec.generate_private_key(curve))
    ours, theirs = tmp_path / "ours.sig", tmp_path / "theirs.sig"
    ours.write_bytes(read_signer(private).sign(model.name, digest))
    done = openssf("verify", "key", model, "--public_key", public, "--signature", ours)
    assert done.returncode == 0, done.stdout + done.stderr
    done = openssf("sign", "key", model, "--private_key", private, "--signature", theirs)
    assert done.returncode == 0, done.stdout + done.stderr
    trust = read_trust([public])
    who = trust.verify(theirs.read_bytes(), digest)
    assert who == trust.verify(ours.read_bytes(), digest)
    assert who == f"key {hashlib.sha256(public.read_bytes()).hexdigest()[:12]}"


def test_certificates_both_ways_with_the_tool_of_openssf(tmp_path, model, digest, authority):
    private, certificate = authority.issue("team")
    ours, theirs = tmp_path / "ours.sig", tmp_path / "theirs.sig"
    ours.write_bytes(
        read_signer(private, certificate=certificate, chain=[authority.path]).sign(model.name, digest)
    )
    done = openssf("verify", "certificate", model, "--certificate_chain", authority.path, "--signature", ours)
    assert done.returncode == 0, done.stdout + done.stderr
    done = openssf(
        "sign", "certificate", model, "--private_key", private, "--signing_certificate", certificate,
        "--certificate_chain", authority.path, "--signature", theirs,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    trust = read_trust([authority.path])
    assert trust.verify(theirs.read_bytes(), digest) == trust.verify(ours.read_bytes(), digest) == "CN=team"


def test_what_the_tool_of_openssf_refuses_is_refused(tmp_path, model, digest):
    private, public = write_key(tmp_path, "own")
    changed = tmp_path / "changed.afit"
    changed.write_bytes(model.read_bytes() + b" ")
    signature = tmp_path / "s.sig"
    signature.write_bytes(read_signer(private).sign(model.name, digest))
    assert openssf("verify", "key", changed, "--public_key", public, "--signature", signature).returncode == 1
    with pytest.raises(SignatureError, match="another file"):
        read_trust([public]).verify(signature.read_bytes(), hashlib.sha256(changed.read_bytes()).hexdigest())


def test_a_file_that_was_changed(tmp_path, digest):
    private, public = write_key(tmp_path, "own")
    signature = read_signer(private).sign("m", digest)
    with pytest.raises(SignatureError, match="changed after it was signed"):
        read_trust([public]).verify(signature, "0" * 64)


def test_a_key_that_is_not_trusted(tmp_path, digest):
    private, _ = write_key(tmp_path, "own")
    _, other = write_key(tmp_path, "other")
    signature = read_signer(private).sign("m", digest)
    with pytest.raises(SignatureError, match=r"it was signed with key .*, and trusted is"):
        read_trust([other]).verify(signature, digest)
    # The key that signed it may be named, and even carried along: it is not trusted for that.
    document = json.loads(signature)
    _, mine = write_key(tmp_path, "mine")
    document["verificationMaterial"]["publicKey"]["hint"] = hashlib.sha256(other.read_bytes()).hexdigest()
    document["verificationMaterial"]["publicKey"]["rawBytes"] = base64.b64encode(mine.read_bytes()).decode()
    with pytest.raises(SignatureError, match="it was changed"):
        read_trust([other]).verify(json.dumps(document).encode(), digest)


def test_one_of_several_keys_is_enough(tmp_path, digest):
    private, public = write_key(tmp_path, "own")
    _, other = write_key(tmp_path, "other")
    foreign, _ = write_key(tmp_path, "foreign")
    trust = read_trust([other, public])
    good, bad = read_signer(private).sign("m", digest), read_signer(foreign).sign("m", digest)
    assert trust.verify_any([bad, good], digest, "m").startswith("key ")
    with pytest.raises(SignatureError, match="m is not signed by anybody trusted"):
        trust.verify_any([bad], digest, "m")
    with pytest.raises(SignatureError, match="m is not signed"):
        trust.verify_any([], digest, "m")


def test_a_payload_that_was_changed(tmp_path, digest):
    private, public = write_key(tmp_path, "own")
    document = json.loads(read_signer(private).sign("m", digest))
    other = json.loads(read_signer(private).sign("m", "0" * 64))
    document["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"]
    with pytest.raises(SignatureError, match="it was changed"):
        read_trust([public]).verify(json.dumps(document).encode(), "0" * 64)


@pytest.mark.parametrize(
    ("days", "message"), [((-10, -1), "expired on"), ((1, 2), "valid only from")], ids=["over", "early"]
)
def test_a_certificate_out_of_its_time(digest, authority, days, message):
    private, certificate = authority.issue("team", days=days)
    signature = read_signer(private, certificate=certificate).sign("m", digest)
    with pytest.raises(SignatureError, match=message):
        read_trust([authority.path]).verify(signature, digest)


def test_a_certificate_of_another_authority(tmp_path, digest, authority):
    private, certificate = authority.issue("team")
    signature = read_signer(private, certificate=certificate, chain=[authority.path]).sign("m", digest)
    other = tmp_path / "other"
    other.mkdir()
    # The same name, another key: and the root that the signature carries is not trusted for being there.
    with pytest.raises(SignatureError, match="leads to none that is trusted"):
        read_trust([Authority(other).path]).verify(signature, digest)
    _, public = write_key(tmp_path, "team-key")
    with pytest.raises(SignatureError, match="only keys are trusted"):
        read_trust([public]).verify(signature, digest)


def test_a_chain_over_an_intermediate(tmp_path, digest, authority):
    below = tmp_path / "below"
    below.mkdir()
    intermediate = Authority(below, "intermediate")
    intermediate.certificate = authority._build(
        intermediate.name,
        intermediate.key,
        [(x509.BasicConstraints(ca=True, path_length=0), True)],
    )
    intermediate.path.write_bytes(intermediate.certificate.public_bytes(PEM))
    private, certificate = intermediate.issue("team")
    trust = read_trust([authority.path])
    whole = read_signer(private, certificate=certificate, chain=[intermediate.path]).sign("m", digest)
    assert trust.verify(whole, digest) == "CN=team"
    with pytest.raises(SignatureError, match="leads to none"):
        trust.verify(read_signer(private, certificate=certificate).sign("m", digest), digest)


def usage(**given: bool) -> x509.KeyUsage:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: given.get(name, False) for name in names})


@pytest.mark.parametrize(
    ("extensions", "allowed"),
    [
        ([(usage(digital_signature=True), True)], False),
        ([(usage(digital_signature=True), True), (x509.BasicConstraints(False, None), True)], False),
        ([(usage(digital_signature=True), True), (x509.BasicConstraints(True, None), True)], False),
        (
            [
                (usage(digital_signature=True, key_cert_sign=True), True),
                (x509.BasicConstraints(True, 0), True),
            ],
            True,
        ),
    ],
    ids=["signer", "no authority", "may not sign certificates", "authority"],
)
def test_who_may_make_signers(tmp_path, digest, authority, extensions, allowed):
    """Who may sign models may not make other signers."""
    private, certificate = authority.issue("team", extensions=extensions)
    minor = Authority(tmp_path, "minor")
    minor.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "team")])
    minor.key = serialization.load_pem_private_key(private.read_bytes(), None)
    own, own_certificate = minor.issue("intruder")
    signature = read_signer(own, certificate=own_certificate, chain=[certificate]).sign("m", digest)
    trust = read_trust([authority.path])
    if allowed:
        assert trust.verify(signature, digest) == "CN=intruder"
    else:
        with pytest.raises(SignatureError, match="leads to none"):
            trust.verify(signature, digest)


def test_a_certificate_that_may_not_sign(digest, authority):
    for name, extensions in {
        "none": [],
        "server": [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)],
    }.items():
        private, certificate = authority.issue(name, extensions=extensions)
        with pytest.raises(ArgumentError, match="may not sign"):
            read_signer(private, certificate=certificate)
    good, allowed = authority.issue("allowed")
    document = json.loads(read_signer(good, certificate=allowed).sign("m", digest))
    key = serialization.load_pem_private_key(good.read_bytes(), None)
    _, bare = authority.issue("bare", extensions=[], key=key)
    raw = x509.load_pem_x509_certificate(bare.read_bytes()).public_bytes(serialization.Encoding.DER)
    chain = document["verificationMaterial"]["x509CertificateChain"]["certificates"]
    chain[0]["rawBytes"] = base64.b64encode(raw).decode()
    with pytest.raises(SignatureError, match="may not sign"):
        read_trust([authority.path]).verify(json.dumps(document).encode(), digest)


def test_a_critical_extension_that_nobody_knows(digest, authority):
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
    private, certificate = authority.issue("team", extensions=[(usage, False), (strange, True)])
    signature = read_signer(private, certificate=certificate).sign("m", digest)
    with pytest.raises(SignatureError):
        read_trust([authority.path]).verify(signature, digest)


def test_an_encrypted_key_asks_for_its_password(tmp_path, digest):
    private, public = write_key(tmp_path, "own", password=b"secret")
    signature = read_signer(private, password=lambda: "secret").sign("m", digest)
    assert read_trust([public]).verify(signature, digest)
    with pytest.raises(ArgumentError, match="AFTERFIT_KEY_PASSWORD"):
        read_signer(private)
    with pytest.raises(ArgumentError, match="password is another"):
        read_signer(private, password=lambda: "wrong")


def test_files_that_are_no_keys(tmp_path, authority):
    private, public = write_key(tmp_path, "own")
    nothing = tmp_path / "nothing"
    nothing.write_text("no key")
    for path in (nothing, tmp_path / "missing"):
        with pytest.raises(ArgumentError):
            read_trust([path])
        with pytest.raises(ArgumentError):
            read_signer(path)
    with pytest.raises(ArgumentError, match="private key"):
        read_trust([private])
    with pytest.raises(ArgumentError, match="no private key"):
        read_signer(public)
    for name, key in {
        "rsa": rsa.generate_private_key(65537, 2048),
        "ed": ed25519.Ed25519PrivateKey.generate(),
        "k1": ec.generate_private_key(ec.SECP256K1()),
    }.items():
        own, shared = write_key(tmp_path, name, key)
        with pytest.raises(ArgumentError, match="P-256"):
            read_signer(own)
        with pytest.raises(ArgumentError, match="P-256"):
            read_trust([shared])
    with pytest.raises(ArgumentError, match="another key"):
        read_signer(private, certificate=authority.issue("team")[1])
    with pytest.raises(ArgumentError, match="without the certificate"):
        read_signer(private, chain=[authority.path])


def changed(signature: bytes, **payload: object) -> bytes:
    """A signature with another payload, unsigned: what it states is parsed before anything is verified."""
    document = json.loads(signature)
    stated = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    stated["predicate"] |= payload
    document["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(stated).encode()).decode()
    return json.dumps(document).encode()


def test_statements_that_are_not_of_one_file(tmp_path, digest):
    private, _ = write_key(tmp_path, "own")
    signature = read_signer(private).sign("m", digest)
    one = {"name": ".", "algorithm": "sha256", "digest": digest}
    for resources in ([], [one, one], [{**one, "name": "weights"}]):
        with pytest.raises(SignatureError, match="sign the bundle's file itself"):
            read_statement(changed(signature, resources=resources))
    with pytest.raises(SignatureError, match="blake3"):
        read_statement(changed(signature, resources=[{**one, "algorithm": "blake3"}]))
    with pytest.raises(SignatureError, match="contradicts itself"):
        read_statement(changed(signature, resources=[{**one, "digest": "0" * 64}]))
    with pytest.raises(SignatureError, match="at most"):
        read_statement(signature + b" " * LIMIT)
    for content in (
        b"",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        b'{"mediaType": 1}',
        signature.replace(b"v0.3", b"v9.9"),
    ):
        with pytest.raises(SignatureError):
            read_statement(content)


@pytest.fixture(scope="module")
def signed_both_ways(tmp_path_factory, digest):
    folder = tmp_path_factory.mktemp("signed")
    private, public = write_key(folder, "own")
    authority = Authority(folder)
    team, certificate = authority.issue("team")
    trust = read_trust([public, authority.path])
    chain = read_signer(team, certificate=certificate, chain=[authority.path])
    return trust, [read_signer(private).sign("m", digest), chain.sign("m", digest)]


@pytest.mark.filterwarnings("ignore:Parsed a")  # of serial numbers that a change made negative
@settings(deadline=None)
@given(st.integers(0, 1), st.integers(0, 10_000), st.binary(min_size=1, max_size=3))
def test_no_change_of_a_signature_verifies_another_file(signed_both_ways, digest, which, place, content):
    trust, signatures = signed_both_ways
    damaged = bytearray(signatures[which])
    place %= len(damaged)
    damaged[place : place + len(content)] = content
    with contextlib.suppress(SignatureError):
        trust.verify(bytes(damaged), digest)
    with pytest.raises(SignatureError):
        trust.verify(bytes(damaged), "0" * 64)


@pytest.mark.filterwarnings("ignore:Parsed a")
@settings(deadline=None)
@given(st.integers(0, 1), st.integers(0, 1000), st.integers(0, 255))
def test_a_certificate_that_was_changed_is_an_error(signed_both_ways, digest, which, place, value):
    trust, (_, signature) = signed_both_ways
    document = json.loads(signature)
    chain = document["verificationMaterial"]["x509CertificateChain"]["certificates"]
    raw = bytearray(base64.b64decode(chain[which]["rawBytes"]))
    place %= len(raw)
    unchanged = raw[place] == value
    raw[place] = value
    chain[which]["rawBytes"] = base64.b64encode(raw).decode()
    # The root that a signature carries is not looked at: the caller's own is.
    try:
        assert trust.verify(json.dumps(document).encode(), digest) == "CN=team"
    except SignatureError:
        assert not unchanged
    else:
        assert unchanged or which == 1


def test_importing_signatures_imports_no_cryptography():
    code = "import sys, afterfit.signing, afterfit.store; assert 'cryptography' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
