"""The sample of raw rows: read as people read it who train models, with the columns that the model takes."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import msgspec

from afterfit.errors import ArgumentError
from afterfit.runtime._files import find_format

if TYPE_CHECKING:
    from pathlib import Path


def read_rows(path: Path) -> Any:
    """The rows of a CSV, Parquet, Arrow or JSON lines file as a pandas DataFrame.

    Raises `ArgumentError` where the file is not of the format that its name says.
    """
    form = find_format(str(path))
    if importlib.util.find_spec("pandas") is None:
        raise ArgumentError(
            "the sample of rows is read with pandas, which is not installed: pip install pandas"
        )
    import pandas as pd

    # Until pandas 3 its default read some numbers one step off.
    exact: Any = {} if int(pd.__version__.partition(".")[0]) >= 3 else {"float_precision": "round_trip"}
    try:
        if form.kind == "csv":
            return pd.read_csv(
                path,
                sep=form.delimiter,
                compression="gzip" if form.gzip else None,
                low_memory=False,
                **exact,
            )
        if form.kind == "jsonl":
            return pd.DataFrame(_json_lines(path, gzipped=form.gzip))
        if form.kind == "parquet":
            return pd.read_parquet(path)
        return _arrow(path, stream=form.kind == "arrow stream")
    except (ValueError, OSError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise ArgumentError(f"{path.name} cannot be read as {form.kind}: {first}") from error


def _json_lines(path: Path, *, gzipped: bool) -> list[dict[str, Any]]:
    import gzip

    content = gzip.decompress(path.read_bytes()) if gzipped else path.read_bytes()
    return [msgspec.json.decode(line, type=dict[str, Any]) for line in content.splitlines() if line.strip()]


def _arrow(path: Path, *, stream: bool) -> Any:
    import pyarrow as pa
    import pyarrow.ipc

    reader = pyarrow.ipc.open_stream if stream else pyarrow.ipc.open_file
    with pa.OSFile(str(path)) as file:
        return reader(file).read_all().to_pandas()


def split_rows(frame: Any, target: str | None, first: Any) -> tuple[Any, Any, list[str]]:
    """`X`, `y` and notes: the target taken out, and the columns that the first step was fitted on, in its order.

    Raises `ArgumentError` where the target, or a column that the first step knows by name, is missing.
    """
    notes: list[str] = []
    y = None
    if target is not None:
        if target not in frame.columns:
            raise ArgumentError(
                f"the sample has no column {target!r}; its columns are {_listed(frame.columns)}"
            )
        y = frame[target]
        frame = frame.drop(columns=[target])
    known = [str(name) for name in getattr(first, "feature_names_in_", ())]
    if not known:
        return frame, y, notes
    absent = [name for name in known if name not in frame.columns]
    if absent:
        raise ArgumentError(
            f"the sample lacks {_listed(absent)}, which {type(first).__name__} was fitted on; give the raw rows, or "
            "the file of the step before it"
        )
    spare = [str(name) for name in frame.columns if name not in known]
    if spare:
        notes.append(f"left out of the sample, since the model does not know them: {_listed(spare)}")
    return frame[known], y, notes


def _listed(names: Any) -> str:
    shown = [repr(str(name)) for name in list(names)[:10]]
    return ", ".join(shown) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
