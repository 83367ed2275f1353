"""Arrays in pickles: joblib's, which follow the pickle's own bytes, and the state of NumPy's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.capture._adopt._constructors import refuse
from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from afterfit.capture._adopt._unpickle import Unpickler

_PIECE = 1 << 20
_MAX_DIMENSIONS = 32


class ArrayRecord:
    """What joblib writes in an array's place: element type, shape and order, with the numbers right behind it."""

    def __init__(self) -> None:
        self.dtype: Any = None
        self.shape: Any = None
        self.order: Any = None
        self.alignment: Any = None

    def fill(self, state: Any) -> None:
        """Take the record's fields, checked."""
        if type(state) is not dict:
            raise refuse("it describes an array oddly")
        self.dtype, self.shape, self.order = (state.get(name) for name in ("dtype", "shape", "order"))
        self.alignment = state.get("numpy_array_alignment_bytes")
        plain = isinstance(self.shape, tuple) and all(type(n) is int and n >= 0 for n in self.shape)
        if not isinstance(self.dtype, np.dtype) or not plain or self.order not in ("C", "F"):
            raise refuse("it describes an array oddly")
        if len(self.shape) > _MAX_DIMENSIONS:
            raise refuse("it describes an array of more than 32 dimensions")

    def read(self, unpickler: Unpickler) -> Any:
        """The array whose numbers follow in the file."""
        if self.dtype.hasobject:
            array = unpickler.nested().load()
            if not isinstance(array, np.ndarray):
                raise refuse("it holds something else where an array of objects belongs")
            return array
        if self.alignment is not None:
            padding = unpickler.file.read(1)
            unpickler.file.read(padding[0] if padding else 0)
        size = math.prod(self.shape) * self.dtype.itemsize
        content = _read(unpickler, size)
        array = (
            np.frombuffer(content, dtype=self.dtype) if size else np.zeros(math.prod(self.shape), self.dtype)
        )
        array = array.reshape(self.shape[::-1]).T if self.order == "F" else array.reshape(self.shape)
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _read(unpickler: Unpickler, size: int) -> bytearray:
    """So many bytes, taken piece by piece: a file may claim more than it holds."""
    content = bytearray()
    while len(content) < size:
        piece = unpickler.file.read(min(_PIECE, size - len(content)))
        if not piece:
            raise ArgumentError(f"{unpickler.allowed.label} is cut short: an array in it is not whole")
        content += piece
    return content


def dtype_from_state(dtype: np.dtype[Any], state: Any) -> np.dtype[Any]:
    """The element type that a state describes, made anew by NumPy, which checks it.

    Setting the state itself would let a file say that bytes are pointers.
    """
    if type(state) is not tuple or not 8 <= len(state) <= 9 or state[0] not in (3, 4):
        raise refuse("it describes an element type oddly")
    _, order, part, names, fields, size, _, flags = state[:8]
    if part is not None or (dtype.hasobject and names is not None):
        raise refuse("it describes an element type oddly")
    if names is None:
        if size not in (-1, dtype.itemsize) or order not in ("<", ">", "|", "=") or dtype.kind in "mM":
            raise refuse("it describes an element type oddly")
        return dtype if order in "|=" else dtype.newbyteorder(order)
    if dtype.kind != "V" or type(fields) is not dict or type(names) is not tuple or not names:
        raise refuse("it describes an element type oddly")
    parts = [fields[name] for name in names]
    if any(type(p) is not tuple or not isinstance(p[0], np.dtype) or p[0].hasobject for p in parts):
        raise refuse("it describes an element type oddly")
    described: Any = {
        "names": list(names),
        "formats": [p[0] for p in parts],
        "offsets": [p[1] for p in parts],
        "itemsize": size,
    }
    aligned = bool(int(flags) & 0x80)
    made: np.dtype[Any] = np.dtype(described, align=aligned)
    return made


def checked_state(made: Any, state: Any) -> Any:
    """The state of an object, once it is known that NumPy would not take its bytes for pointers."""
    if not isinstance(made, np.ndarray):
        return state
    if type(state) is not tuple or len(state) < 5 or not isinstance(state[2], np.dtype):
        raise refuse("it gives an array an odd state")
    dtype, content = state[2], state[4]
    if dtype.hasobject != (type(content) is list) or (dtype.hasobject and dtype.names is not None):
        raise refuse("it takes bytes for Python objects")
    return state
