"""Ten thousand hostile requests: each is packed, or answered with what is wrong."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from afterfit.errors import SchemaError
from afterfit.schema import RowDecoder

WORDS = [
    b"null",
    b"true",
    b"1e999",
    b"-1e999",
    b"NaN",
    b"Infinity",
    b'"NaN"',
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b"\xff",
    b"\xed\xa0\x80",
    b"\x00",
    b"\\u0000",
    b'"\\u001a"',
    b"1" * 400,
    b"1" * 5_000,
    b"0.1e-400",
    b"{}",
    b"[]",
    b'{"rows":',
    b'"rows"',
    b'"carrier"',
    b'"carrier":',
    b":",
    b",",
    b"}",
    b"]",
    b'"',
    b"\\",
    b"\\u",
    b"-",
    b"01",
    b"[" * 3_000,
    b'{"a":' * 3_000,
    b"\xef\xbb\xbf",
    b"9007199254740993",
    b"-0",
    b"1.5",
    b"//",
    b"'x'",
]


def mutate(chance, body):
    """One to four random changes of a body."""
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(body) + 1)
        end = min(len(body), place + chance.randint(0, 12))
        kind = chance.randrange(5)
        if kind == 0:
            body = body[:place] + body[end:]
        elif kind == 1:
            body = body[:place] + chance.choice(WORDS) + body[end:]
        elif kind == 2:
            body = body[:place] + bytes([chance.randrange(256)]) + body[place + 1 :]
        elif kind == 3:
            body = body[:place] + body[place - end :] if end < place else body[place:] + body[:place]
        else:
            body = body[:place] + body[place:end] * 2 + body[end:]
    return body


def invent(chance, depth=0):
    """A random JSON value."""
    kind = chance.randrange(8 if depth < 4 else 6)
    simple = [None, True, chance.randint(-(2**70), 2**70), chance.uniform(-1e40, 1e40), "", "UA\x1a:\u2028"]
    if kind < 6:
        return simple[kind]
    if kind == 6:
        return [invent(chance, depth + 1) for _ in range(chance.randrange(4))]
    names = ["rows", "carrier", "origin", "dep_delay", "note", "", "\x1a"]
    return {chance.choice(names): invent(chance, depth + 1) for _ in range(chance.randrange(5))}


def bodies(chance, row):
    values = [None, "", "x", 1, 1.5, True, [], {}, 10**30, "NaN", "JFK"]
    valid = json.dumps({"rows": [row, row]}).encode()
    for _ in range(6_000):
        yield mutate(chance, valid)
    for _ in range(1_000):
        yield chance.randbytes(chance.randrange(200))
    for _ in range(1_000):
        yield json.dumps(invent(chance)).encode()
    for _ in range(2_000):
        changed = {**row, chance.choice([*row, "note", "extra"]): chance.choice(values)}
        yield json.dumps({"rows": [row, changed]}).encode()


def check_mistakes(error):
    assert 0 < len(error.errors) <= 1_000
    str(error).encode()
    for mistake in error.errors:
        assert max(len(mistake.got), len(mistake.column or "")) <= 200
        f"{mistake.column}{mistake.expected}{mistake.got}{mistake.fix}".encode()


def check_packed(packed):
    assert {name: array.dtype for name, array in packed.items()} == {
        "number": np.float64,
        "text": object,
        "integer": np.int64,
    }
    assert all(type(value) is str for value in packed["text"].flat)
    assert np.isfinite(packed["number"][:, 1:]).all()


@pytest.mark.parametrize("seed", range(2))
def test_every_body_is_packed_or_answered(flights, row, seed):
    decoder = RowDecoder(flights)
    refused = 0
    for body in bodies(random.Random(seed), row):
        try:
            packed = decoder.decode_json(body, max_rows=100)
        except SchemaError as error:
            refused += 1
            check_mistakes(error)
        else:
            check_packed(packed)
    assert 5_000 < refused < 9_500
