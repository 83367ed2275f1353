"""Where a server may listen, and what it refuses to start with."""

from __future__ import annotations

import json

import pytest

from afterfit.errors import ArgumentError
from afterfit.serving import Protection, serve
from afterfit.serving._security import check_protection, create_key, is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "8.8.8.8"])
def test_without_keys_nobody_else_may_reach_the_server(host, toy_bundle):
    with pytest.raises(ArgumentError, match=r"can be reached from other machines.*keys create.*--insecure"):
        check_protection(Protection(), host, 1)
    with pytest.raises(ArgumentError, match="can be reached"):
        serve([toy_bundle], host=host, port=0)
    check_protection(Protection(insecure=True), host, 1)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.9.1"])
def test_on_loopback_no_keys_are_needed(host):
    assert is_loopback(host)
    check_protection(Protection(), host, 1)


def test_keys_that_cannot_be_used_are_said_before_anything_starts(tmp_path):
    path = tmp_path / "keys.json"
    with pytest.raises(ArgumentError, match="cannot be read"):
        check_protection(Protection(keys=str(path)), "0.0.0.0", 1)
    path.write_text(json.dumps({"format": 1, "keys": []}))
    with pytest.raises(ArgumentError, match="has no keys, so nobody could call"):
        check_protection(Protection(keys=str(path)), "0.0.0.0", 1)
    create_key(path, "a", "predict")
    check_protection(Protection(keys=str(path)), "0.0.0.0", 4)


@pytest.mark.parametrize(
    "origin", ["example.org", "https://", "https://a.example/path", "https://a b", "null", ""]
)
def test_what_is_no_origin(origin):
    with pytest.raises(ArgumentError, match="no origin"):
        check_protection(Protection(origins=(origin,)), "127.0.0.1", 1)


def test_origins():
    check_protection(Protection(origins=("https://a.example", "http://localhost:3000", "*")), "127.0.0.1", 1)


def test_certificates_that_cannot_be_used(tmp_path):
    file = tmp_path / "x.pem"
    for certificate, private_key, said in (
        (str(file), None, "both a certificate and its private key"),
        (None, str(file), "both a certificate and its private key"),
        (str(file), str(file), "there is no file"),
    ):
        with pytest.raises(ArgumentError, match=said):
            check_protection(Protection(certificate=certificate, private_key=private_key), "127.0.0.1", 1)
    file.write_text("nothing")
    with pytest.raises(ArgumentError, match="no certificate and its private key"):
        check_protection(Protection(certificate=str(file), private_key=str(file)), "127.0.0.1", 1)
