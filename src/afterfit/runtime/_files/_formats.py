"""Which format a file has, and who reads and writes it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    import pyarrow as pa

    from afterfit.runtime._files._batch import Sink, Source
    from afterfit.schema import Schema

_SUFFIXES: dict[str, tuple[Literal["csv", "jsonl", "parquet", "arrow", "arrow stream"], str]] = {
    ".csv": ("csv", ","),
    ".tsv": ("csv", "\t"),
    ".jsonl": ("jsonl", ""),
    ".ndjson": ("jsonl", ""),
    ".parquet": ("parquet", ""),
    ".pq": ("parquet", ""),
    ".arrow": ("arrow", ""),
    ".feather": ("arrow", ""),
    ".ipc": ("arrow", ""),
    ".arrows": ("arrow stream", ""),
}


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format, and for text whether it is compressed with gzip and what parts its cells."""

    kind: Literal["csv", "jsonl", "parquet", "arrow", "arrow stream"]
    delimiter: str = ","
    gzip: bool = False


def find_format(path: str) -> FileFormat:
    """The format that the suffix of a file names; ArgumentError where it names none."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    compressed = suffixes[-1:] == [".gz"]
    suffix = "".join(suffixes[-2:-1] if compressed else suffixes[-1:])
    kind, delimiter = _SUFFIXES.get(suffix, (None, ""))
    if kind is None or (compressed and kind not in ("csv", "jsonl")):
        raise ArgumentError(
            f"the name of {path} does not say which format it has; names that do end in "
            f"{', '.join(_SUFFIXES)}, .csv.gz or .jsonl.gz"
        )
    return FileFormat(kind, delimiter, compressed)


def open_source(
    path: Path, form: FileFormat, schema: Schema, *, batch_rows: int = 65_536, label: str | None = None
) -> Source:
    """Open a file for reading rows of this schema.

    A batch has at most `batch_rows` rows. `label` is what errors call the file, by default its path. Raises
    ArgumentError if the file is not of the format or pyarrow is missing, SchemaError if columns are, OSError
    if the file cannot be opened.
    """
    _require_pyarrow()
    name = label or str(path)
    if path.exists() and not path.is_file():
        raise ArgumentError(f"{name} is not an ordinary file")
    if form.kind == "csv":
        from afterfit.runtime._files._csv import CsvSource

        return CsvSource(path, form, schema, batch_rows=batch_rows, label=name)
    if form.kind == "jsonl":
        from afterfit.runtime._files._jsonl import JsonLinesSource

        return JsonLinesSource(path, form, schema, batch_rows=batch_rows, label=name)
    from afterfit.runtime._files._table import ArrowSource, ParquetSource

    source = ParquetSource if form.kind == "parquet" else ArrowSource
    return source(path, schema, batch_rows=batch_rows, label=name)


def open_sink(file: BinaryIO, form: FileFormat, columns: pa.Schema | None, answers: pa.Schema) -> Sink:
    """Write scored rows to `file`: the columns of the source, unless that is None, then the answers."""
    _require_pyarrow()
    from afterfit.runtime._files import _write

    if form.kind == "csv":
        return _write.CsvSink(file, form, columns, answers)
    if form.kind == "jsonl":
        return _write.JsonLinesSink(file, form, columns, answers)
    if form.kind == "parquet":
        return _write.ParquetSink(file, columns, answers)
    return _write.ArrowSink(file, columns, answers, stream=form.kind == "arrow stream")


def _require_pyarrow() -> None:
    if importlib.util.find_spec("pyarrow") is None:
        raise ArgumentError(
            'files are read with pyarrow, which is not installed: pip install "afterfit[files]"'
        )
