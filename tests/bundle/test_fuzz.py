"""Whatever is done to a bundle, opening it ends in a bundle or in a BundleError."""

from __future__ import annotations

import io
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from afterfit.bundle import Bundle, encode_json, read_bundle
from afterfit.bundle._golden import decode_golden, encode_golden
from afterfit.bundle._graph import audit_graph
from afterfit.bundle._json import decode_json
from afterfit.bundle._reader import _read_manifest, read_file
from afterfit.bundle._schema import audit_schema
from afterfit.errors import AuditError, BundleError
from afterfit.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

JUNK: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**53 + 1, 2**63, 2**64, 10**30, -0.0, 1.5, 1e308, 5e-324,
    "", "x", "NaN", "-Infinity", "\x00", "\x1a", "é\u202e", "a" * 5000, "float", "number", "../x",
    [], [[]], {}, {"": {}}, [1, "a", None], {"name": 1}, {"values": [], "open": True},
)  # fmt: skip


@pytest.fixture(scope="module")
def bundle(bundle_path: Path) -> Bundle:
    return read_bundle(bundle_path)


def mutate(content: bytes, source: random.Random) -> bytes:
    """Flip, remove, repeat or cut bytes."""
    changed = bytearray(content)
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(changed) or 1)
        length = source.choice((1, 1, 2, 8, 40))
        match source.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([source.randrange(256)])
            case 1:
                changed[at : at + 1] = bytes([changed[at] ^ 1 << source.randrange(8)]) if changed else b""
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = changed[at : at + length]
            case _:
                del changed[at:]
    return bytes(changed)


def change(document: Any, source: random.Random) -> Any:
    """Replace, remove or add one value somewhere in a JSON document."""
    if isinstance(document, dict | list) and document and source.random() < 0.85:
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))
        key = source.choice(keys)
        changed = document.copy()
        action = source.random()
        if action < 0.1:
            del changed[key]
        elif action < 0.2 and isinstance(changed, dict):
            changed[source.choice(["extra", "format", key + "x"])] = source.choice(JUNK)
        elif action < 0.2:
            changed.append(changed[key])
        else:
            changed[key] = change(document[key], source)
        return changed
    return source.choice(JUNK)


def outcomes(attempt: Callable[[], object], seen: dict[str, int]) -> None:
    outcome, message = "accepted", "accepted"
    try:
        attempt()
    except AuditError as error:
        outcome, message = error.rule, str(error)
    except BundleError as error:
        outcome, message = "format", str(error)
    seen[outcome] = seen.get(outcome, 0) + 1
    assert 0 < len(message) < 2000
    message.encode()


def test_damaged_files(bundle_path: Path, bundle: Bundle) -> None:
    """No damage to the file goes unnoticed, except to what says nothing: times, and the like."""
    content = bundle_path.read_bytes()
    source = random.Random(1)
    seen: dict[str, int] = {}
    for _ in range(4000):
        damaged = mutate(content, source)
        outcomes(lambda damaged=damaged: read_file(io.BytesIO(damaged)), seen)
    assert len(seen) > 8, seen
    for at in range(len(content)):
        damaged = content[:at] + bytes([content[at] ^ 0x80]) + content[at + 1 :]
        try:
            read = read_file(io.BytesIO(damaged))
        except BundleError:
            continue
        assert (read.digest, read.graph, dict(read.entries)) == (
            bundle.digest,
            bundle.graph,
            dict(bundle.entries),
        )


def test_files_cut_short(bundle_path: Path) -> None:
    content = bundle_path.read_bytes()
    for length in range(len(content)):
        with pytest.raises(BundleError):
            read_file(io.BytesIO(content[:length]))


def test_changed_manifests(bundle: Bundle) -> None:
    source = random.Random(2)
    document = json.loads(encode_json(bundle.manifest))
    seen: dict[str, int] = {}
    for _ in range(6000):
        content = json.dumps(change(document, source)).encode()
        outcomes(lambda content=content: _read_manifest(content), seen)
    assert seen.keys() >= {"manifest-invalid", "format", "accepted", "parity-not-proved"}, seen


def test_changed_schemas(bundle: Bundle) -> None:
    source = random.Random(3)
    document = json.loads(encode_json(bundle.schema))
    seen: dict[str, int] = {}

    def attempt(content: bytes) -> None:
        schema = decode_json(content, Schema, entry="schema.json", rule="schema-invalid")
        audit_schema(schema)
        assert decode_json(encode_json(schema), Schema, entry="x", rule="schema-invalid") == schema
        audit_graph(bundle.graph, schema)
        decode_golden(encode_golden(bundle.golden), schema)

    for _ in range(4000):
        content = json.dumps(change(document, source)).encode()
        outcomes(lambda content=content: attempt(content), seen)
    assert seen.keys() >= {"schema-invalid", "graph-inputs", "graph-outputs", "accepted"}, seen


def test_changed_golden_rows(bundle: Bundle) -> None:
    source = random.Random(4)
    document = json.loads(encode_json(bundle.golden[0]))
    seen: dict[str, int] = {}

    def attempt(content: bytes) -> None:
        rows = decode_golden(content, bundle.schema)
        assert encode_golden(decode_golden(encode_golden(rows), bundle.schema)) == encode_golden(rows)

    for _ in range(3000):
        content = json.dumps(change(document, source)).encode() + b"\n"
        outcomes(lambda content=content: attempt(content), seen)
    assert seen.keys() >= {"golden-invalid", "accepted"}, seen


@pytest.mark.parametrize("which", ["manifest", "schema", "golden"])
def test_damaged_json(which: str, bundle: Bundle) -> None:
    source = random.Random(5)
    content, attempt = {
        "manifest": (encode_json(bundle.manifest), _read_manifest),
        "schema": (
            encode_json(bundle.schema),
            lambda damaged: audit_schema(
                decode_json(damaged, Schema, entry="schema.json", rule="schema-invalid")
            ),
        ),
        "golden": (encode_golden(bundle.golden), lambda damaged: decode_golden(damaged, bundle.schema)),
    }[which]
    seen: dict[str, int] = {}
    for _ in range(3000):
        damaged = mutate(content, source)
        outcomes(lambda damaged=damaged: attempt(damaged), seen)
    assert "json-syntax" in seen, seen


def test_damaged_graphs(bundle: Bundle) -> None:
    source = random.Random(6)
    seen: dict[str, int] = {}
    for _ in range(6000):
        damaged = mutate(bundle.graph, source)
        outcomes(lambda damaged=damaged: audit_graph(damaged, bundle.schema), seen)
    assert seen.keys() >= {
        "protobuf-malformed",
        "protobuf-unknown-field",
        "graph-operator",
        "graph-outputs",
    }, seen
