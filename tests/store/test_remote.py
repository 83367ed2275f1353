"""Pulling from servers that behave in every way."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.signing.test_signing import write_key

from afterfit.bundle import read_bundle
from afterfit.errors import (
    AfterfitError,
    ArgumentError,
    BundleError,
    SignatureError,
    StoreError,
    UnknownReferenceError,
)
from afterfit.signing import read_signer, read_trust
from afterfit.store import Remote


@dataclass
class Shelf:
    """What a server has, how it is to behave, and what it was asked. `cuts`: bytes after which answers break off."""

    content: bytes
    url: str = ""
    digest: str = ""
    signatures: list[bytes] = field(default_factory=list)
    key: str | None = None
    cuts: list[int] = field(default_factory=list)
    status: int | None = None
    location: str | None = None
    lie: bytes | None = None
    listed: str | None = None
    ranges: list[str | None] = field(default_factory=list)
    sent: int = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        shelf: Shelf = self.server.shelf
        etag = hashlib.sha256(shelf.content).hexdigest()
        if shelf.key is not None and self.headers.get("authorization") != f"Bearer {shelf.key}":
            self.say(401, json.dumps({"detail": "A key is needed."}).encode())
        elif shelf.status is not None:
            self.say(shelf.status, b"no JSON", location=shelf.location or "")
        elif not self.path.startswith("/store/line@production"):
            self.say(404, json.dumps({"detail": "This server does not offer it."}).encode())
        elif self.path.endswith("/signatures"):
            found = {
                "sha256": shelf.listed or etag,
                "signatures": [json.loads(one) for one in shelf.signatures],
            }
            self.say(200, json.dumps(found).encode())
        else:
            self.send(shelf, etag)

    def send(self, shelf: Shelf, etag: str) -> None:
        content = shelf.lie or shelf.content
        head = {
            "etag": f'"sha256-{etag}"',
            "afterfit-version": "line@7",
            "afterfit-digest": f"sha256:{shelf.digest}",
        }
        shelf.ranges.append(self.headers.get("range"))
        if self.headers.get("if-none-match") == head["etag"]:
            self.say(304, b"", **head)
            return
        start, status = 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range") or "")
        if asked and self.headers.get("if-range") == head["etag"]:
            start, status = int(asked[1]), 206
            if start >= len(content):
                self.say(416, b"{}")
                return
            head["content-range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        stop = min(len(content), start + shelf.cuts.pop(0)) if shelf.cuts else len(content)
        shelf.sent += stop - start
        self.say(status, content[start:stop], length=len(content) - start, **head)

    def say(self, status: int, body: bytes, *, length: int | None = None, **head: str) -> None:
        self.send_response(status)
        for name, value in head.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        if length is not None and length != len(body):
            self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def shelf(bundles: list[Path]) -> Iterator[Shelf]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = server.shelf = Shelf(bundles[0].read_bytes(), digest=read_bundle(bundles[0]).digest)
        found.url = f"http://127.0.0.1:{server.server_port}/store/line@production"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "line.afit"


def test_nothing_is_fetched_when_it_is_current(shelf, target, bundles):
    first = Remote(shelf.url).pull(target)
    assert target.read_bytes() == shelf.content
    assert (first.version, first.fetched, first.digest) == (
        "line@7",
        len(shelf.content),
        f"sha256:{read_bundle(bundles[0]).digest}",
    )
    assert Remote(shelf.url).pull(target).fetched == 0
    assert shelf.sent == len(shelf.content)
    shelf.content, shelf.digest = bundles[1].read_bytes(), read_bundle(bundles[1]).digest
    assert Remote(shelf.url).pull(target).fetched == len(shelf.content)
    assert target.read_bytes() == shelf.content
    assert [path.name for path in target.parent.iterdir()] == ["line.afit"]


def test_a_download_that_breaks_off_goes_on(shelf, target):
    shelf.cuts = [1000, 500]
    seen = []
    pulled = Remote(shelf.url, move=lambda fraction, _: seen.append(fraction)).pull(target)
    assert pulled.fetched == shelf.sent == len(shelf.content)
    assert shelf.ranges == [None, "bytes=1000-", "bytes=1500-"]
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert target.read_bytes() == shelf.content


def test_the_next_call_goes_on_where_the_last_gave_up(shelf, target):
    shelf.cuts = [700, 0]
    with pytest.raises(StoreError, match="goes on where it broke off"):
        Remote(shelf.url).pull(target)
    assert not target.exists()
    assert Remote(shelf.url).pull(target).fetched == len(shelf.content) - 700
    assert target.read_bytes() == shelf.content
    assert [path.name for path in target.parent.iterdir()] == ["line.afit"]


def test_what_was_left_of_another_version_is_not_gone_on_with(shelf, target, bundles):
    shelf.cuts = [700, 0]
    with pytest.raises(StoreError):
        Remote(shelf.url).pull(target)
    shelf.content, shelf.digest = bundles[1].read_bytes(), read_bundle(bundles[1]).digest
    assert Remote(shelf.url).pull(target).fetched == len(shelf.content)
    assert target.read_bytes() == shelf.content
    assert [path.name for path in target.parent.iterdir()] == ["line.afit"]


def test_what_is_whole_already_is_fetched_again_rather_than_believed(shelf, target):
    blob = hashlib.sha256(shelf.content).hexdigest()
    target.with_name(f".line.afit.{blob}.part").write_bytes(b"x" * len(shelf.content))
    assert Remote(shelf.url).pull(target).fetched == len(shelf.content)
    assert target.read_bytes() == shelf.content


def test_damage_on_the_way_is_found(shelf, target, bundles):
    target.write_bytes(bundles[2].read_bytes())
    shelf.lie = shelf.content[:-1] + b"?"
    with pytest.raises(StoreError, match="damaged"):
        Remote(shelf.url).pull(target)
    shelf.lie = None
    whole = shelf.content
    for content, digest, error in (
        (whole[:-1] + b"?", shelf.digest, BundleError),
        (whole, "0" * 64, StoreError),
    ):
        shelf.content, shelf.digest = content, digest
        with pytest.raises(error):
            Remote(shelf.url).pull(target)
    assert target.read_bytes() == bundles[2].read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["line.afit"]


def test_signatures_are_checked_before_anything_is_replaced(shelf, target, tmp_path, bundles):
    (private, public), (other, _) = write_key(tmp_path, "own"), write_key(tmp_path, "other")
    trust = read_trust([public])
    blob = hashlib.sha256(shelf.content).hexdigest()
    target.write_bytes(bundles[2].read_bytes())
    with pytest.raises(SignatureError, match="line@7 is not signed"):
        Remote(shelf.url).pull(target, trust)
    shelf.signatures = [read_signer(other).sign("line", blob)]
    with pytest.raises(SignatureError, match="not signed by anybody trusted"):
        Remote(shelf.url).pull(target, trust)
    assert target.read_bytes() == bundles[2].read_bytes()
    shelf.signatures.append(read_signer(private).sign("line", blob))
    pulled = Remote(shelf.url).pull(target, trust)
    assert pulled.signed_by.startswith("key ")
    assert len(pulled.signatures) == 2
    assert target.read_bytes() == shelf.content
    shelf.signatures.pop()
    # A file that is current proves nothing either.
    with pytest.raises(SignatureError):
        Remote(shelf.url).pull(target, trust)


def test_signatures_are_put_beside_before_the_file_is_replaced(shelf, target, bundles):
    target.write_bytes(bundles[2].read_bytes())
    seen = []
    pulled = Remote(shelf.url).pull(target, before=lambda found: seen.append((found, target.read_bytes())))
    assert seen == [(pulled, bundles[2].read_bytes())]
    assert target.read_bytes() == shelf.content


def test_a_key_is_sent_and_goes_to_nobody_else(shelf, target):
    shelf.key = "secret"
    with pytest.raises(StoreError, match=r"401: A key is needed\. --api-key"):
        Remote(shelf.url).pull(target)
    assert Remote(shelf.url, api_key="secret").pull(target).version == "line@7"
    with pytest.raises(ArgumentError):
        Remote(shelf.url, api_key="a\nb")
    shelf.status, shelf.location = 302, "http://127.0.0.1:1/store/line@production"
    with pytest.raises(StoreError, match="302"):
        Remote(shelf.url, api_key="secret").pull(target)


def test_servers_that_are_no_store(shelf, target):
    with pytest.raises(UnknownReferenceError, match="does not offer"):
        Remote(shelf.url.replace("line", "other")).pull(target)
    shelf.status = 200
    with pytest.raises(StoreError, match="lacks the headers"):
        Remote(shelf.url).pull(target)
    shelf.status = None
    shelf.listed = "0" * 64
    with pytest.raises(StoreError, match="changes faster"):
        Remote(shelf.url).pull(target)
    with pytest.raises(StoreError, match="does not answer"):
        Remote("http://127.0.0.1:1/store/line@production").pull(target)
    assert not target.exists()


@pytest.mark.parametrize(
    "url",
    ["ftp://host/store/line", "http://host/line", "http:///store/line", "http://host/store/", "http://host/store/a/b",
     "http://host/store/line?x=1", "http://host/store/../line"],
)  # fmt: skip
def test_what_is_no_bundle_on_a_server(url):
    with pytest.raises(AfterfitError):
        Remote(url)
