"""Signing, verifying, and what the commands of the store do with signatures."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.promotion.test_promote import variant
from tests.signing.test_signing import write_key

from afterfit.cli import cli


def run(*args: str | Path, code: int = 0):
    done = CliRunner().invoke(cli, [str(arg) for arg in args])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def here(tmp_path, monkeypatch, hand_bundle) -> Path:
    """A folder with a bundle and two pairs of keys, which is the working directory."""
    monkeypatch.delenv("AFTERFIT_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    variant(hand_bundle, tmp_path / "hand.afit", 0.8, name="hand")
    for name in ("own", "other"):
        write_key(tmp_path, name)
    return tmp_path


def test_the_keys_that_the_help_makes(here):
    """The line of openssl that the help and the documentation give makes keys that sign and verify."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    from afterfit.signing._keys import NEW_KEY

    subprocess.run(NEW_KEY, shell=True, check=True, capture_output=True, cwd=here)
    run("sign", "hand.afit", "--key", "private.pem")
    assert "✓ signature: signed by key " in run("verify", "hand.afit", "--key", "public.pem").stdout


def test_a_bundle_is_signed_beside_and_verified(here):
    said = run("sign", "hand.afit", "--key", "own.pem")
    assert said.stdout.startswith("hand.afit is signed by key ")
    assert run("verify", "hand.afit").stderr == "its signature was not checked; say by --key whom you trust\n"
    document = json.loads(
        run("verify", "hand.afit", "--key", "other.pub", "--key", "own.pub", "--json").stdout
    )
    assert document["ok"]
    assert document["checks"][0]["check"] == "signature"
    assert run("sign", "hand.afit", "--key", "own.pem", code=2).stderr.count("--force") == 1
    run("sign", "hand.afit", "--key", "own.pem", "--force")
    run("sign", "hand.afit", "--key", "own.pem", "-o", "release.sig")
    Path("hand.afit.sig").unlink()
    assert (
        "✗ signature: the bundle is not signed"
        in run("verify", "hand.afit", "--key", "own.pub", code=1).stdout
    )
    run("verify", "hand.afit", "--key", "own.pub", "--signature", "release.sig")
    run("verify", "hand.afit", "--signature", "release.sig", code=2)


def test_what_does_not_hold_has_exit_code_1(here, hand_bundle):
    run("sign", "hand.afit", "--key", "own.pem")
    signature = Path("hand.afit.sig").read_bytes()
    for damaged, reason in {
        b"{}": "no signature of OpenSSF model signing",
        signature.replace(b'"sig":"M', b'"sig":"N'): "it was changed",
    }.items():
        Path("hand.afit.sig").write_bytes(damaged)
        said = run("verify", "hand.afit", "--key", "own.pub", code=1)
        assert reason in said.stdout
        assert said.stderr == "Error: hand.afit does not hold\n"
    Path("hand.afit.sig").write_bytes(signature)
    assert "trusted is" in run("verify", "hand.afit", "--key", "other.pub", code=1).stdout
    shutil.copy(hand_bundle, "hand.afit")
    assert "another file" in run("verify", "hand.afit", "--key", "own.pub", code=1).stdout


def test_what_cannot_be_used_has_exit_code_2(here):
    run("sign", "hand.afit", "--key", "own.pub", code=2)
    run("sign", "own.pub", "--key", "own.pem", code=2)
    run("verify", "hand.afit", "--key", "own.pem", code=2)
    assert list(here.glob("*.sig")) == []


def test_an_encrypted_key_takes_its_password_from_the_environment(here, monkeypatch):
    write_key(here, "hidden", password=b"secret")
    assert "AFTERFIT_KEY_PASSWORD" in run("sign", "hand.afit", "--key", "hidden.pem", code=2).stderr
    monkeypatch.setenv("AFTERFIT_KEY_PASSWORD", "secret")
    run("sign", "hand.afit", "--key", "hidden.pem")
    run("verify", "hand.afit", "--key", "hidden.pub")


def test_the_store_keeps_signatures(here):
    run("sign", "hand.afit", "--key", "own.pem")
    assert run("push", "hand.afit").stdout.endswith(", with 1 signature\n")
    assert "✗ signature" in run("verify", "hand@1", "--key", "other.pub", code=1).stdout
    run("sign", "hand@1", "--key", "other.pem", "--by", "ben")
    assert json.loads(run("show", "hand@1", "--json").stdout)["signatures"] == 2
    assert "signatures  2; `afterfit verify hand@1 --key`" in run("show", "hand@1").stdout
    for key in ("own.pub", "other.pub"):
        run("verify", "hand@1", "--key", key)
    run("pull", "hand@1", "-o", "out.afit", "--key", "other.pub")
    run("verify", "out.afit", "--key", "other.pub")
    run("verify", "out.afit", "--key", "own.pub", "--signature", "out.afit.2.sig")
    # The same signature again is no other one.
    assert json.loads(run("push", "hand.afit", "--json").stdout)["signatures"] == 1
    run("pull", "hand@1", "-o", "again.afit")
    assert sorted(path.name for path in here.glob("again*")) == [
        "again.afit", "again.afit.2.sig", "again.afit.sig",
    ]  # fmt: skip
    write_key(here, "third")
    said = run("pull", "hand@1", "-o", "never.afit", "--key", "third.pub", code=1)
    assert said.stderr.startswith("Error: hand@1 is not signed by anybody trusted: ")
    assert not Path("never.afit").exists()


def test_signatures_that_are_there_are_not_lost(here, hand_bundle):
    run("push", "hand.afit")
    run("pull", "hand@1", "-o", "out.afit")
    run("sign", "out.afit", "--key", "own.pem")
    # It is of the file that is pulled, and the store has none.
    run("pull", "hand@1", "-o", "out.afit", "--force")
    run("verify", "out.afit", "--key", "own.pub")
    run("sign", "hand@1", "--key", "other.pem")
    run("pull", "hand@1", "-o", "out.afit", "--force", "--key", "other.pub")
    run("verify", "out.afit", "--key", "other.pub")
    run("verify", "out.afit", "--key", "own.pub", "--signature", "out.afit.2.sig")
    # One of another file goes; what another tool wrote stays.
    run("push", hand_bundle, "--name", "hand")
    run("pull", "hand@2", "-o", "out.afit", "--force")
    assert not Path("out.afit.sig").exists()
    Path("out.afit.sig").write_bytes(b"of another tool")
    assert "is left as it is" in run("pull", "hand@1", "-o", "out.afit", "--force").stderr
    assert Path("out.afit.sig").read_bytes() == b"of another tool"


def test_a_signature_of_another_file_is_not_pushed(here, hand_bundle):
    shutil.copy(hand_bundle, "second.afit")
    run("sign", "second.afit", "--key", "own.pem")
    said = run("push", "hand.afit", "--signature", "second.afit.sig", code=1)
    assert "of another file" in said.stderr
    Path("broken.sig").write_bytes(b"no")
    run("push", "hand.afit", "--signature", "broken.sig", code=1)
    assert json.loads(run("models", "--json").stdout)["models"] == []


def test_promotion_can_require_a_signature(here):
    run("push", "hand.afit")
    promote = (
        "promote",
        "hand@1",
        "--to",
        "production",
        "--because",
        "signed",
        "--require-signature",
        "own.pub",
    )
    said = run(*promote, code=1)
    assert "✗ signature: hand@1 is not signed" in said.stdout
    run("sign", "hand@1", "--key", "own.pem")
    assert "✓ signature: signed by key " in run(*promote).stdout
    evidence = json.loads(run("show", "hand@production", "--json").stdout)["history"][0]["evidence"]
    assert [check["check"] for check in evidence["checks"]] == ["audit", "golden rows", "schema", "signature"]
