from __future__ import annotations

import datetime as dt
import hashlib
import json
import multiprocessing
import re
import stat

import pytest

from afterfit.errors import ArgumentError
from afterfit.serving._security import KeyLimits, create_key, read_keys, revoke_key
from afterfit.serving._security._keys import MAX_KEYS


def test_a_key_is_256_random_bits_and_the_file_has_its_digest_alone(tmp_path):
    path = tmp_path / "keys.json"
    secret, key = create_key(path, "mobile", "predict", limits=KeyLimits(requests_per_second=2.5, burst=10))
    assert re.fullmatch(r"afit_[A-Za-z0-9_-]{43}", secret)
    assert key.sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert read_keys(path) == [key]
    assert secret not in path.read_text()
    assert secret.removeprefix("afit_") not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert create_key(path, "other", "admin")[0] != secret
    assert [one.name for one in read_keys(path)] == ["mobile", "other"]


def test_a_key_is_revoked_and_the_rights_of_the_file_stay(tmp_path):
    path = tmp_path / "keys.json"
    for name in ("a", "b"):
        create_key(path, name, "predict")
    path.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    assert revoke_key(link, "a").name == "a"
    assert link.is_symlink()
    assert [key.name for key in read_keys(path)] == ["b"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with pytest.raises(ArgumentError, match="has no key 'a'; it has b"):
        revoke_key(path, "a")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["keys.json", "link.json"]


@pytest.mark.parametrize("name", ["", "a b", "é", "-a", "a" * 65, "a\n", 'x"y', "../x"])
def test_names_are_plain(tmp_path, name):
    with pytest.raises(ArgumentError, match="a name has letters"):
        create_key(tmp_path / "keys.json", name, "predict")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_made(tmp_path):
    path = tmp_path / "keys.json"
    create_key(path, "a", "predict")
    before = path.read_bytes()
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    with pytest.raises(ArgumentError, match="already; revoke it first"):
        create_key(path, "a", "admin")
    with pytest.raises(ArgumentError, match="expired already"):
        create_key(path, "b", "predict", expires=past)
    for wrong in ({"requests_per_second": 0.0}, {"concurrent": 0}, {"rows_per_day": -1}):
        with pytest.raises(ArgumentError, match="cannot be made a key"):
            create_key(path, "b", "predict", limits=KeyLimits(**wrong))
    with pytest.raises(ArgumentError, match="cannot be written"):
        create_key(tmp_path / "none" / "keys.json", "b", "predict")
    assert path.read_bytes() == before


GOOD = {"name": "a", "scope": "predict", "sha256": "0" * 64, "created": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no file of keys"),
        (b"\xff", "no file of keys"),
        (b"[" * 100_000, "no file of keys"),
        ([], "no file of keys"),
        ({"format": 2, "keys": []}, "no file of keys"),
        ({"format": 1}, "no file of keys"),
        ({"format": 1, "keys": [], "more": 1}, "more"),
        ({"format": 1, "keys": [GOOD | {"scope": "root"}]}, "scope"),
        ({"format": 1, "keys": [GOOD | {"sha256": "0" * 63}]}, "sha256"),
        ({"format": 1, "keys": [GOOD | {"sha256": "0" * 64 + "\n"}]}, "sha256"),
        ({"format": 1, "keys": [GOOD | {"expires": "2026-01-01T00:00:00"}]}, "expires"),
        ({"format": 1, "keys": [GOOD | {"expired": "2026-01-01T00:00:00Z"}]}, "expired"),
        ({"format": 1, "keys": [GOOD | {"limits": {"rows_a_day": 1}}]}, "rows_a_day"),
        ({"format": 1, "keys": [GOOD | {"limits": {"burst": 3}}]}, "burst needs"),
        ({"format": 1, "keys": [GOOD, GOOD | {"name": "b"}]}, "one key twice"),
        ({"format": 1, "keys": [GOOD, GOOD | {"sha256": "1" * 64}]}, "one name twice: a"),
        (
            {
                "format": 1,
                "keys": [GOOD | {"name": f"k{n}", "sha256": f"{n:064x}"} for n in range(MAX_KEYS + 1)],
            },
            "at most 1,000",
        ),
    ],
)
def test_files_that_are_refused(tmp_path, content, said):
    path = tmp_path / "keys.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ArgumentError, match=re.escape(said)):
        read_keys(path)


def test_a_file_that_everybody_may_write_to_is_refused(tmp_path):
    path = tmp_path / "keys.json"
    create_key(path, "a", "predict")
    path.chmod(0o666)
    with pytest.raises(ArgumentError, match="chmod o-w"):
        read_keys(path)
    with pytest.raises(ArgumentError, match="cannot be read"):
        read_keys(tmp_path / "none.json")
    with pytest.raises(ArgumentError, match="cannot be read"):
        read_keys(tmp_path)


def _create_ten(path, prefix):
    for number in range(10):
        create_key(path, f"{prefix}{number}", "predict")


def test_keys_made_at_the_same_moment_are_all_kept(tmp_path):
    context = multiprocessing.get_context("fork")
    path = tmp_path / "keys.json"
    makers = [context.Process(target=_create_ten, args=(path, prefix)) for prefix in "abc"]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
        assert maker.exitcode == 0
    assert len(read_keys(path)) == 30
