"""What a signature costs: here, and with the tool of OpenSSF.

    pip install ".[bench-signing]" && python benchmarks/signing.py

Signs and verifies one bundle with one key, side by side, each in a fresh process as a command or a worker would, and
takes the median over rounds; counts the distributions that each side needs.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

BUNDLE = Path(__file__).parents[1] / "tests" / "compat" / "format1" / "scaler.afit"

OURS = """
import hashlib, sys
from afterfit.signing import read_signer, read_trust
bundle, folder = sys.argv[1:]
digest = hashlib.sha256(open(bundle, "rb").read()).hexdigest()
signature = read_signer(f"{folder}/private.pem").sign("bundle", digest)
read_trust([f"{folder}/public.pem"]).verify(signature, digest)
"""
THEIRS = """
import sys
from model_signing import signing, verifying
bundle, folder = sys.argv[1:]
private, public, signature = (f"{folder}/{name}" for name in ("private.pem", "public.pem", "signature"))
signing.Config().use_elliptic_key_signer(private_key=private).sign(bundle, signature)
verifying.Config().use_elliptic_key_verifier(public_key=public).verify(bundle, signature)
"""
MEASURE = """
import resource, time
started = time.perf_counter()
{code}
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def run(code: str, folder: Path) -> tuple[float, float]:
    """Seconds, imports included, and resident memory at its peak in MB."""
    command = [sys.executable, "-c", MEASURE.format(code=code), str(BUNDLE), str(folder)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(said[-2]), int(said[-1]) / 1024


def distributions(name: str, found: set[str] | None = None) -> set[str]:
    """The names of everything that installing `name` brings along, itself included."""
    found = set() if found is None else found
    name = re.sub(r"[-_.]+", "-", name).lower()
    try:
        needed = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return found
    if name not in found:
        found.add(name)
        for one in needed:
            if "extra ==" not in one:
                distributions(re.split(r"[^A-Za-z0-9._-]", one)[0], found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for command in (
            ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "private.pem"],
            ["ec", "-in", "private.pem", "-pubout", "-out", "public.pem"],
        ):
            subprocess.run(["openssl", *command], check=True, capture_output=True, cwd=folder)
        figures = {"afterfit": [], "model-signing": []}
        for _ in range(rounds):
            figures["afterfit"].append(run(OURS, folder))
            figures["model-signing"].append(run(THEIRS, folder))
    needs = {"afterfit": "cryptography", "model-signing": "model-signing"}
    for side, taken in figures.items():
        seconds, memory = (statistics.median(column) for column in zip(*taken, strict=True))
        count = len(distributions(needs[side]))
        print(f"{side:<14} {seconds:6.3f} s  {memory:6.1f} MB  {count:3} distributions for it")


if __name__ == "__main__":
    main()
