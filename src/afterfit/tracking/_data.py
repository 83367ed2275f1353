"""The fingerprint of a table: a digest for each column, so that two of them say which columns differ."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.schema import open_table

if TYPE_CHECKING:
    from afterfit.schema import ColumnData


def fingerprint_table(X: object) -> dict[str, Any]:
    """`rows`, `columns` (name to 16 hexadecimal digits) and `sha256` of all of it.

    Equal values in equal order give equal digests, whatever kind of table holds them and however gaps are spelled.
    Columns that cannot be read (dates, objects) count by their `repr`. Raises `ArgumentError` where `X` is no table.
    """
    table = open_table(X)
    columns = {name: _digest(table.read(i)) for i, name in enumerate(table.names)}
    whole = hashlib.sha256(repr((table.rows, list(columns.items()))).encode()).hexdigest()
    return {"rows": table.rows, "columns": columns, "sha256": whole}


def _digest(column: ColumnData) -> str:
    digest = hashlib.sha256(f"{column.kind} {column.rows} {column.shape}".encode())
    missing = np.zeros(column.rows, dtype=bool) if column.missing is None else column.missing
    values = np.asarray(column.values)
    if column.kind == "string":
        used = [column.words[i].encode("utf-8", "surrogatepass") if i >= 0 else None for i in values.tolist()]
        digest.update(repr([None if text is None else len(text) for text in used]).encode())
        digest.update(b"".join(text for text in used if text is not None))
    elif column.kind == "float":
        # One spelling of every gap, whatever bits its NaN has.
        digest.update(np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes())
    elif values.dtype == object:
        digest.update(repr(values.tolist()).encode("utf-8", "surrogatepass"))
    elif len(values) == column.rows and values.ndim == 1:
        digest.update(missing.tobytes())
        digest.update(np.where(missing, values.dtype.type(0), values).tobytes())
    else:
        digest.update(missing.tobytes() + np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]
