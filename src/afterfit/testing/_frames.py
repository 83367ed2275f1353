"""Messages between a check and its process: a length, then MessagePack; arrays as their bytes, texts as strings."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_LENGTH = 8


def send(stream: IO[bytes], message: bytes) -> None:
    """Write one message."""
    stream.write(len(message).to_bytes(_LENGTH, "big") + message)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes:
    """Read one message; raises `EOFError` where the stream ends."""
    length = int.from_bytes(_exactly(stream, _LENGTH), "big")
    return _exactly(stream, length)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the other side ended")
    return data


def frames_of(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Arrays of numbers, or of strings and None, as MessagePack holds them."""
    return {
        name: [
            array.dtype.str,
            list(array.shape),
            array.ravel().tolist() if array.dtype.kind in "OUS" else np.ascontiguousarray(array).tobytes(),
        ]
        for name, array in arrays.items()
    }


def arrays_of(frames: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The arrays of `frames_of`: the same values, shapes and dtypes; strings come back as objects."""
    return {name: _array(*frame) for name, frame in frames.items()}


def _array(dtype: str, shape: list[int], data: Any) -> NDArray[Any]:
    if isinstance(data, bytes):
        return np.frombuffer(data, dtype=np.dtype(dtype)).reshape(shape)
    texts = np.empty(shape, dtype=object)
    texts.ravel()[:] = data
    return texts
