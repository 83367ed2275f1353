"""Tables in files, read and written in batches: CSV, Parquet, JSON lines, Arrow IPC.

Needs the extra `files` (pyarrow). A file is a `Source` of `Batch`es; what was read, with the answers beside
it, goes to a `Sink`. Memory is bounded by the size of a batch, not of the file.
"""

from afterfit.runtime._files._atomic import AtomicFile
from afterfit.runtime._files._batch import Batch, Malformed, Sink, Source
from afterfit.runtime._files._formats import FileFormat, find_format, open_sink, open_source

__all__ = [
    "AtomicFile",
    "Batch",
    "FileFormat",
    "Malformed",
    "Sink",
    "Source",
    "find_format",
    "open_sink",
    "open_source",
]
