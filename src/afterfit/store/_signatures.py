"""Signatures that are kept beside bundles, by the SHA-256 of the file they sign."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import sqlalchemy as sa

from afterfit.errors import SignatureError
from afterfit.signing import read_statement
from afterfit.store._queries import now
from afterfit.store._records import signatures

if TYPE_CHECKING:
    from collections.abc import Sequence


def check_subjects(contents: Sequence[bytes], blob: str) -> None:
    """Raises `SignatureError` where one is malformed, or of another file. Who signed is not looked at."""
    for content in contents:
        stated = read_statement(content).digest
        if stated != blob:
            raise SignatureError(
                f"the signature is of another file (sha256:{stated[:12]}...) than this bundle (sha256:{blob[:12]}...)"
            )


def add_signatures(connection: sa.Connection, blob: str, contents: Sequence[bytes], by: str) -> int:
    """Keep signatures of a file; how many of them were not there yet."""
    known = {hashlib.sha256(one).hexdigest() for one in read_signatures(connection, blob)}
    added = 0
    for content in contents:
        digest = hashlib.sha256(content).hexdigest()
        if digest in known:
            continue
        connection.execute(
            signatures.insert().values(
                blob=blob, sha256=digest, content=content.decode(), added_at=now(), added_by=by
            )
        )
        known.add(digest)
        added += 1
    return added


def read_signatures(connection: sa.Connection, blob: str) -> list[bytes]:
    """The signatures of a file, the first one first."""
    query = sa.select(signatures.c.content).where(signatures.c.blob == blob).order_by(signatures.c.id)
    return [content.encode() for content in connection.execute(query).scalars()]
