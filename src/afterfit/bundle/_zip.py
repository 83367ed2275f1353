"""The container: a strict subset of zip, so that every zip reader sees the same entries.

Readers of zip files disagree on duplicate names, on names that differ between the two headers, on bytes
between entries and around the archive. This subset leaves none of that open: entries follow one another
from the first byte of the file, the central directory follows the last of them, and the file ends right
after it.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from afterfit.bundle._audit import broken
from afterfit.bundle._limits import (
    MAX_BUNDLE,
    MAX_ENTRIES,
    MAX_ENTRY,
    MAX_NAME,
    MAX_RATIO,
    MAX_TOTAL,
    RATIO_FREE,
)
from afterfit.errors import BundleFormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
LOCAL_SIGNATURE = b"PK\x03\x04"
CENTRAL_SIGNATURE = b"PK\x01\x02"
END_SIGNATURE = b"PK\x05\x06"
ZIP64_LOCATOR = b"PK\x06\x07"
ZIP64_LOCATOR_SIZE = 20

STORED, DEFLATED = 0, 8
UTF8_FLAG = 0x0800
ENCRYPTED_FLAGS = 0x0001 | 0x0040 | 0x2000
VERSION_NEEDED = 20
MADE_BY_UNIX = 3 << 8 | VERSION_NEEDED
REGULAR_FILE = 0o100644 << 16
FILE_TYPE, REGULAR_TYPE = 0o170000, 0o100000
DOS_DIRECTORY = 0x10
FIRST_OF_JANUARY_1980 = 1 << 5 | 1
LEVEL, LEVEL_LARGE = 6, 1
LARGE = 16 * 2**20
"""Entries from this size on are compressed at `LEVEL_LARGE`: a third of the time for an eighth more bytes."""


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """An entry whose headers were audited; `start` is where its compressed bytes begin."""

    name: str
    method: int
    crc: int
    compressed: int
    size: int
    start: int


@dataclass(frozen=True, slots=True)
class _Header:
    """What both headers of an entry must agree on."""

    version: int
    flags: int
    method: int
    time: int
    date: int
    crc: int
    compressed: int
    size: int


def list_entries(file: BinaryIO) -> tuple[ZipEntry, ...]:
    """The entries of a container, in the order they are stored.

    Reads the headers alone: nothing is decompressed. Raises `BundleFormatError` if this is no zip file at
    all, `AuditError` if it is not within the subset.
    """
    directory, count, start = _read_directory(file)
    names: dict[str, tuple[_Header, int]] = {}
    position = 0
    for _ in range(count):
        name, header, offset, position = _read_central(directory, position)
        if name in names:
            raise broken("entry-duplicate", "the name occurs twice", name)
        names[name] = header, offset
    if position != len(directory):
        raise broken("zip-structure", "the central directory holds more than its entries")
    _audit_together(names)
    return _locate(file, names, start)


def read_entry(file: BinaryIO, entry: ZipEntry) -> bytes:
    """The content of an entry; never decompresses more than the size its headers state."""
    file.seek(entry.start)
    raw = file.read(entry.compressed)
    if entry.method == STORED:
        content, complete = raw, len(raw) == entry.size
    else:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            content = inflate.decompress(raw, entry.size + 1)
        except zlib.error as error:
            raise broken("entry-corrupt", f"cannot be decompressed ({error})", entry.name) from None
        complete = (
            len(content) == entry.size
            and inflate.eof
            and not inflate.unused_data
            and not inflate.unconsumed_tail
        )
    if not complete:
        raise broken("entry-corrupt", f"does not hold the {entry.size:,} bytes its header states", entry.name)
    if zlib.crc32(content) != entry.crc:
        raise broken("entry-corrupt", "the CRC-32 differs from the one in its header", entry.name)
    return content


def write_entries(file: BinaryIO, entries: Iterable[tuple[str, bytes]]) -> None:
    """Write a container: the same entries in the same order always give the same bytes.

    That holds for one version of zlib; the contents, and with them every digest, are the same under any.
    """
    directory = bytearray()
    count = 0
    for name, content in entries:
        method, packed = _compress(content)
        encoded = name.encode()
        offset = file.tell()
        shared = (
            VERSION_NEEDED,
            0 if name.isascii() else UTF8_FLAG,
            method,
            0,
            FIRST_OF_JANUARY_1980,
            zlib.crc32(content),
            len(packed),
            len(content),
            len(encoded),
            0,
        )
        if offset + len(packed) > MAX_BUNDLE or len(content) > MAX_ENTRY:
            raise broken("entry-too-large", "would make the bundle larger than the format allows", name)
        file.write(LOCAL.pack(LOCAL_SIGNATURE, *shared) + encoded)
        file.write(packed)
        directory += CENTRAL.pack(CENTRAL_SIGNATURE, MADE_BY_UNIX, *shared, 0, 0, 0, REGULAR_FILE, offset)
        directory += encoded
        count += 1
    start = file.tell()
    if start + len(directory) + END.size > MAX_BUNDLE:
        raise broken("bundle-too-large", f"the bundle would be larger than {MAX_BUNDLE:,} bytes")
    if count > MAX_ENTRIES:
        raise broken("too-many-entries", f"{count:,} entries; the format allows {MAX_ENTRIES:,}")
    file.write(directory)
    file.write(END.pack(END_SIGNATURE, 0, 0, count, count, len(directory), start, 0))


def _compress(content: bytes) -> tuple[int, bytes]:
    level = LEVEL if len(content) < LARGE else LEVEL_LARGE
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = deflate.compress(content) + deflate.flush()
    if len(packed) < len(content) <= len(packed) * MAX_RATIO + RATIO_FREE:
        return DEFLATED, packed
    return STORED, content


def _read_directory(file: BinaryIO) -> tuple[bytes, int, int]:
    """The bytes of the central directory, the number of its entries, and where it starts."""
    total = file.seek(0, os.SEEK_END)
    if total > MAX_BUNDLE:
        raise broken("bundle-too-large", f"{total:,} bytes; the format allows {MAX_BUNDLE:,}")
    end = total - END.size
    file.seek(max(end, 0))
    tail = file.read(END.size)
    if len(tail) < END.size or tail[:4] != END_SIGNATURE or tail[-2:] != b"\0\0":
        raise _wrong_end(file, total)
    _, disk, directory_disk, here, count, size, start, _ = END.unpack(tail)
    file.seek(max(end - ZIP64_LOCATOR_SIZE, 0))
    if file.read(4) == ZIP64_LOCATOR or count == 0xFFFF or 0xFFFFFFFF in (size, start):
        raise broken("zip64", "is a zip64 archive; bundles never are")
    if disk or directory_disk or here != count:
        raise broken("zip-structure", "is one part of an archive in several parts")
    if count > MAX_ENTRIES:
        raise broken("too-many-entries", f"{count:,} entries; the format allows {MAX_ENTRIES:,}")
    if size > count * (CENTRAL.size + MAX_NAME + 0xFFFF):
        raise broken("zip-structure", "the central directory is larger than its entries can be")
    if start + size < end:
        raise broken("zip-prefixed-data", "other data stands before the archive")
    if start + size > end:
        raise broken("zip-structure", "the central directory does not fit in the file")
    file.seek(start)
    return file.read(size), count, start


def _wrong_end(file: BinaryIO, total: int) -> Exception:
    """What to say of a file whose last bytes are not those of a bundle."""
    file.seek(max(total - END.size - 0xFFFF, 0))
    tail = file.read()
    found = tail.rfind(END_SIGNATURE)
    if found < 0 or len(tail) - found < END.size:
        return BundleFormatError(
            "not a bundle, or an incomplete one: it does not end as a zip archive does. "
            "If it was copied or downloaded, fetch it again"
        )
    comment = END.unpack_from(tail, found)[-1]
    if found + END.size + comment == len(tail):
        return broken("zip-comment", "the archive carries a comment")
    return broken("zip-trailing-data", "other data stands after the archive")


def _read_central(directory: bytes, position: int) -> tuple[str, _Header, int, int]:
    """Name, header, offset of the local header, and where the next record starts."""
    if position + CENTRAL.size > len(directory):
        raise broken("zip-structure", "the central directory is cut off")
    fields = CENTRAL.unpack_from(directory, position)
    signature, _, *shared = fields[:10]
    name_size, extra_size, comment_size, disk, _, attributes, offset = fields[10:]
    start = position + CENTRAL.size
    stop = start + name_size
    if signature != CENTRAL_SIGNATURE or stop + extra_size + comment_size > len(directory) or disk:
        raise broken("zip-structure", "a record of the central directory is malformed")
    name = _read_name(directory[start:stop])
    header = _Header(*shared)
    if 0xFFFFFFFF in (header.compressed, header.size, offset):
        raise broken("zip64", "is a zip64 entry; bundles have none", name)
    if extra_size:
        raise broken("zip-extra-field", "carries an extra field", name)
    if comment_size:
        raise broken("zip-comment", "carries a comment", name)
    _audit_header(name, header, attributes)
    return name, header, offset, stop


def _read_name(raw: bytes) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise broken("entry-name-character", f"the name {raw[:MAX_NAME]!r} is not UTF-8") from None
    shown = ascii(name[:MAX_NAME])
    if not name or len(raw) > MAX_NAME:
        raise broken("entry-name-character", f"the name {shown} is empty or longer than {MAX_NAME} bytes")
    if "\\" in name:
        raise broken("entry-backslash", f"the name {shown} has a backslash")
    if name[0] == "/" or name[1:2] == ":":
        raise broken("entry-absolute-path", f"the name {shown} is an absolute path")
    if {".", ".."} & set(name.split("/")):
        raise broken("entry-parent-path", f"the name {shown} leads out of its folder")
    if not (name.isascii() and name.isprintable()):
        raise broken("entry-name-character", f"the name {shown} has characters other than printable ASCII")
    if name[-1] == "/":
        raise broken("entry-directory", f"the name {shown} is that of a folder")
    return name


def _audit_header(name: str, header: _Header, attributes: int) -> None:
    if attributes & DOS_DIRECTORY:
        raise broken("entry-directory", "is marked as a folder", name)
    if (attributes >> 16) & FILE_TYPE not in (0, REGULAR_TYPE):
        raise broken("entry-special-file", "is a link or a special file", name)
    if header.flags & ENCRYPTED_FLAGS:
        raise broken("zip-encrypted", "is encrypted", name)
    if header.flags & ~UTF8_FLAG or header.version > VERSION_NEEDED:
        raise broken("zip-flags", "uses features of zip that bundles do not (such as data descriptors)", name)
    if header.method not in (STORED, DEFLATED):
        raise broken("zip-method", f"compression method {header.method} is neither stored nor deflated", name)
    if header.method == STORED and header.compressed != header.size:
        raise broken("zip-structure", "is stored, yet its two sizes differ", name)
    if header.size > MAX_ENTRY:
        raise broken("entry-too-large", f"{header.size:,} bytes; the format allows {MAX_ENTRY:,}", name)
    if header.size > header.compressed * MAX_RATIO + RATIO_FREE:
        raise broken("entry-ratio", f"would grow more than {MAX_RATIO} times when decompressed", name)


def _audit_together(names: dict[str, tuple[_Header, int]]) -> None:
    total = sum(header.size for header, _ in names.values())
    if total > MAX_TOTAL:
        raise broken("total-too-large", f"{total:,} bytes when decompressed; the format allows {MAX_TOTAL:,}")
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise broken("entry-case-collision", f"differs from {other} in case alone", name)


def _locate(
    file: BinaryIO, names: dict[str, tuple[_Header, int]], directory_start: int
) -> tuple[ZipEntry, ...]:
    """Compare the local headers with the central ones; entries must follow one another without a gap."""
    entries: list[ZipEntry] = []
    expected = 0
    for name, (header, offset) in sorted(names.items(), key=lambda item: item[1][1]):
        if offset < expected:
            raise broken("zip-overlap", "shares bytes with the entry before it", name)
        if offset > expected:
            raise broken("zip-gap", f"{offset - expected:,} bytes before it belong to no entry", name)
        start = _audit_local(file, name, header, offset)
        expected = start + header.compressed
        if expected > directory_start:
            raise broken("zip-overlap", "runs into the central directory", name)
        entries.append(ZipEntry(name, header.method, header.crc, header.compressed, header.size, start))
    if expected != directory_start:
        raise broken("zip-gap", f"{directory_start - expected:,} bytes after the last entry belong to none")
    return tuple(entries)


def _audit_local(file: BinaryIO, name: str, header: _Header, offset: int) -> int:
    """Where the entry's compressed bytes start."""
    file.seek(offset)
    raw = file.read(LOCAL.size)
    if len(raw) < LOCAL.size or raw[:4] != LOCAL_SIGNATURE:
        raise broken("zip-structure", "its local header is missing", name)
    fields: Sequence[int] = LOCAL.unpack(raw)[1:]
    name_size, extra_size = fields[8:]
    if extra_size:
        raise broken("zip-extra-field", "carries an extra field", name)
    if _Header(*fields[:8]) != header or file.read(name_size) != name.encode():
        raise broken("zip-header-mismatch", "its local header differs from the central directory", name)
    return offset + LOCAL.size + name_size
