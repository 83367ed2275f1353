"""Freeze a store of the present schema: `python tests/compat/freeze_store.py`. One that is there is never changed."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from afterfit.signing import read_signer
from afterfit.store import Answers, Store
from afterfit.store._records import SCHEMA_VERSION

HERE = Path(__file__).parent


def freeze(target: Path) -> None:
    """Two versions, an alias that was promoted twice and rolled back once, a signature, and answers of a server."""
    if target.exists():
        sys.exit(f"{target} is frozen already")
    with tempfile.TemporaryDirectory() as folder:
        with Store(Path(folder) / "store", create=True) as store:
            for name in ("scaler", "boosted"):
                store.push(HERE / "format1" / f"{name}.afit", name="scaler", by="ann")
            store.promote("scaler", "production", 1, because="first", by="ann", evidence={"auc": 0.5})
            store.promote("scaler", "production", 2, because="better", by="ben")
            store.rollback("scaler", "production", because="worse", by="ann")
            first = store.resolve("scaler@1")
            store.sign(first, [sign(first.blob, Path(folder) / "store" / "public.pem")], by="ann")
            times = ("2026-01-01T00:00:00.000000+00:00", "2026-01-02T00:00:00.000000+00:00")
            store.record_answers([Answers("host:1", "scaler", first.digest[:12], *times, 1000)])
        shutil.copytree(Path(folder) / "store", target, ignore=shutil.ignore_patterns("drafts"))


def sign(digest: str, public: Path) -> bytes:
    """A signature by a new key, of which only the public half is kept."""
    key = ec.generate_private_key(ec.SECP256R1())
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        private = Path(folder) / "private.pem"
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return read_signer(private).sign("scaler.afit", digest)


if __name__ == "__main__":
    freeze(HERE / f"store{SCHEMA_VERSION}")
