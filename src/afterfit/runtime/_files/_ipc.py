"""What the messages of an Arrow IPC stream say of themselves, read without pyarrow.

https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

from __future__ import annotations

import struct

from afterfit.errors import ArgumentError

END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"

_CONTINUATION = 0xFFFFFFFF
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
"""Values of `MessageHeader`."""


def stated_rows(stream: bytes, most_messages: int) -> int | None:
    """The rows that the record batches of a stream, and the values that its dictionaries, say they have.

    None where the stream has more than `most_messages` beside its schema, or is not read here: only pyarrow can tell
    what it holds then, or what is wrong with it.
    """
    rows = place = 0
    try:
        for _ in range(most_messages + 2):
            if stream[place : place + 8] in {b"", END_OF_STREAM}:
                return rows
            marker, size = struct.unpack_from("<II", stream, place)
            metadata = stream[place + 8 : place + 8 + size]
            message = _offset(metadata, 0)
            body = _scalar(metadata, message, 3, "<q")
            count = _stated_count(metadata, message)
            if marker != _CONTINUATION or body < 0 or count < 0:
                break
            rows += count
            place += 8 + size + body
    except struct.error:
        pass
    return None


def _stated_count(metadata: bytes, message: int) -> int:
    """What a message says of the length of its record batch or dictionary; 0 where it has neither."""
    kind = _scalar(metadata, message, 1, "<B")
    if kind not in {_DICTIONARY_BATCH, _RECORD_BATCH}:
        return 0
    header = _field(metadata, message, 2)
    if kind == _DICTIONARY_BATCH and header is not None:
        header = _field(metadata, header, 1)
    if header is None:
        raise struct.error
    return _scalar(metadata, header, 0, "<q")


def is_compressed(kind: str, metadata: bytes) -> bool:
    """Whether the flatbuffer of an IPC message says that its buffers are compressed.

    Field 2 of `Message` is its header: a `RecordBatch`, whose field 3 is `compression`, or a `DictionaryBatch`,
    whose field 1 is a `RecordBatch` (https://arrow.apache.org/docs/format/Columnar.html).
    """
    if kind not in {"record batch", "dictionary"}:
        return False
    try:
        header = _field(metadata, _offset(metadata, 0), 2)
        batch = header if kind == "record batch" or header is None else _field(metadata, header, 1)
        return batch is None or _field(metadata, batch, 3) is not None
    except struct.error:
        raise ArgumentError("the body cannot be read as Arrow IPC: a message is malformed") from None


def _offset(data: bytes, place: int) -> int:
    """Where an offset at `place` of a flatbuffer leads to."""
    return place + int(struct.unpack_from("<I", data, place)[0])


def _field(data: bytes, table: int, number: int) -> int | None:
    """Where the table in a field of the table at `table` begins; None where the field is absent."""
    place = _slot(data, table, number)
    return _offset(data, place) if place else None


def _slot(data: bytes, table: int, number: int) -> int:
    """Where a field of the table at `table` stands; 0 where it is absent."""
    vtable = table - int(struct.unpack_from("<i", data, table)[0])
    if vtable < 0:
        raise struct.error
    size = int(struct.unpack_from("<H", data, vtable)[0])
    slot = 4 + 2 * number
    found = int(struct.unpack_from("<H", data, vtable + slot)[0]) if slot < size else 0
    return table + found if found else 0


def _scalar(data: bytes, table: int, number: int, form: str) -> int:
    """A number in a field of the table at `table`; 0, as flatbuffers have it, where the field is absent."""
    place = _slot(data, table, number)
    return int(struct.unpack_from(form, data, place)[0]) if place else 0
