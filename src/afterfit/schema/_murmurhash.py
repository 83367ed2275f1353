"""MurmurHash3 of byte strings, as scikit-learn's hashing vectorizers use it.

Austin Appleby, MurmurHash3_x86_32 (public domain), seed 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_C1: Final = np.uint32(0xCC9E2D51)
_C2: Final = np.uint32(0x1B873593)
_FEW: Final = 24
"""Up to this many strings are hashed one by one, which is faster than to line them up."""


def murmurhash3(texts: Sequence[bytes]) -> list[int]:
    """The hash of each byte string, as a signed integer of 32 bits."""
    if len(texts) <= _FEW:
        return [_hash_one(text) for text in texts]
    hashes = np.zeros(len(texts), dtype=np.int32)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    # Neighbours are of like length, so that a long string does not widen the block of a short one.
    order = np.argsort(lengths, kind="stable")
    for part in np.array_split(order, max(1, len(texts) // 4096)):
        hashes[part] = _hash_many([texts[i] for i in part.tolist()], lengths[part])
    return [int(value) for value in hashes]


def _hash_one(text: bytes) -> int:
    value = 0
    whole = len(text) & ~3
    for start in range(0, whole, 4):
        value ^= _scramble(int.from_bytes(text[start : start + 4], "little"))
        value = (value << 13 | value >> 19) & 0xFFFFFFFF
        value = (value * 5 + 0xE6546B64) & 0xFFFFFFFF
    if whole < len(text):
        value ^= _scramble(int.from_bytes(text[whole:], "little"))
    value ^= len(text)
    value = ((value ^ value >> 16) * 0x85EBCA6B) & 0xFFFFFFFF
    value = ((value ^ value >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
    value ^= value >> 16
    return value - (1 << 32) if value >> 31 else value


def _scramble(block: int) -> int:
    block = (block * 0xCC9E2D51) & 0xFFFFFFFF
    block = (block << 15 | block >> 17) & 0xFFFFFFFF
    return (block * 0x1B873593) & 0xFFFFFFFF


def _hash_many(texts: Sequence[bytes], lengths: NDArray[np.int64]) -> NDArray[np.int32]:
    """The same for many strings at once, in arithmetic modulo 2**32."""
    width = int(lengths.max()) // 4 + 1
    joined = b"".join(text.ljust(4 * width, b"\0") for text in texts)
    blocks = np.frombuffer(joined, dtype="<u4").reshape(len(texts), width).astype(np.uint32)
    blocks *= _C1
    blocks = (blocks << np.uint32(15)) | (blocks >> np.uint32(17))
    blocks *= _C2
    value = np.zeros(len(texts), dtype=np.uint32)
    whole = lengths // 4
    for place in range(width):
        mixed = value ^ blocks[:, place]
        rolled = (mixed << np.uint32(13)) | (mixed >> np.uint32(19))
        rolled = rolled * np.uint32(5) + np.uint32(0xE6546B64)
        # The last block of a string holds what is left of it, and is not rolled.
        value = np.where(place < whole, rolled, np.where(place == whole, mixed, value))
    value ^= lengths.astype(np.uint32)
    value ^= value >> np.uint32(16)
    value *= np.uint32(0x85EBCA6B)
    value ^= value >> np.uint32(13)
    value *= np.uint32(0xC2B2AE35)
    value ^= value >> np.uint32(16)
    return value.view(np.int32)
