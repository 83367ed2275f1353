"""`afterfit.adopt`: starts the process that adopts, and takes its bundle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import afterfit
from afterfit.capture._adopt._request import Outcome, Request, raised
from afterfit.errors import ArgumentError, CaptureError
from afterfit.runtime import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from afterfit.runtime import Model

TIME_LIMIT = 900
MEMORY_LIMIT = 16 << 30
"""Seconds and bytes of address space that adopting may take, unless the caller says otherwise."""

_MAX_REPORT = 1 << 20


def adopt(
    model: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    rows: str | os.PathLike[str],
    target: str | None = None,
    preprocess: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    postprocess: str | os.PathLike[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    trust: Sequence[str] = (),
    allow_version_change: bool = False,
    raw_inputs: bool = False,
    name: str | None = None,
    description: str | None = None,
    time_limit: int = TIME_LIMIT,
    memory_limit: int = MEMORY_LIMIT,
    note: Callable[[str], None] | None = None,
) -> Model:
    """Save a model that lies in files as a bundle, proved as `afterfit.save` proves one.

    `model`: a file of joblib or pickle, `.keras`, Keras `.h5` or `model.json` with its `weights`, XGBoost `.json` or
    `.ubj`, LightGBM `.txt`, CatBoost `.cbm` or `.json`, ONNX `.onnx`. `rows`: a file of raw rows (CSV, Parquet,
    Arrow, JSON lines), as users will send them; `target`: the column of it that holds the targets. `preprocess`: the
    files of the fitted transformers that were applied before the model, in their order; `postprocess`: that of the
    target scaler. `time_limit`: seconds; `memory_limit`: bytes of address space. `note`: called with each thing worth
    knowing.

    The files are opened in a process of their own, which this one gives nothing but paths and takes nothing from but
    the bundle. Pickles are read through an allow-list: the estimators of scikit-learn and the objects they are made of,
    NumPy, SciPy's sparse tables, pandas containers. `trust`: modules whose names are allowed as well, which lets a
    pickle run what is in them. A pickle made with another version of scikit-learn is refused unless
    `allow_version_change`. `raw_inputs`: as for `afterfit.save`.

    Raises `ArgumentError` for files that cannot be used or are refused, and what `afterfit.save` raises. The bundle
    appears whole or not at all.
    """
    target_path = Path(path)
    if target_path.is_dir() or not target_path.parent.is_dir():
        raise ArgumentError(f"{target_path} is a folder, or lies in one that does not exist; name a file")
    before = [preprocess] if isinstance(preprocess, str | os.PathLike) else list(preprocess)
    for given in (model, rows, *before, postprocess, weights):
        if given is not None and not Path(given).is_file():
            raise ArgumentError(f"{os.fspath(given)} is not a file")
    with tempfile.TemporaryDirectory(dir=target_path.parent, prefix=".adopting-") as folder:
        draft = Path(folder, "model.afit")
        request = Request(
            model=_absolute(model),
            rows=_absolute(rows),
            output=str(draft),
            name=name or target_path.stem,
            weights=None if weights is None else _absolute(weights),
            before=tuple(_absolute(given) for given in before),
            after=None if postprocess is None else _absolute(postprocess),
            target=target,
            description=description,
            trust=tuple(trust),
            allow_version_change=allow_version_change,
            raw_inputs=raw_inputs,
            memory=memory_limit,
            seconds=time_limit,
        )
        outcome = _run(request, Path(folder))
        if outcome.error is not None:
            raise raised(outcome)
        adopted = load(draft)
        report = adopted.verify()
        if not report.ok:
            raise CaptureError("the bundle does not answer its own golden rows: " + report.failures[0])
        draft.replace(target_path)
    for text in outcome.notes:
        if note is not None:
            note(text)
    return adopted


def _absolute(path: str | os.PathLike[str]) -> str:
    return str(Path(path).resolve())


def _run(request: Request, folder: Path) -> Outcome:
    """Start the process, wait for it within its time, and read its report."""
    asked, report, errors = folder / "request.json", folder / "report.json", folder / "stderr.txt"
    asked.write_bytes(msgspec.json.encode(request))
    # The present folder is searched for modules only where the caller trusts one, which may lie there.
    safe_path = () if request.trust else ("-P",)
    command = [sys.executable, *safe_path, "-m", "afterfit.capture._adopt._child", str(asked), str(report)]
    name = Path(request.model).name
    with errors.open("wb") as said:
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                timeout=request.seconds,
                check=False,
                env=_environment(),
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise CaptureError(
                f"adopting {name} took longer than {request.seconds} seconds; allow it more time"
            ) from error
    if code == 0 and report.is_file() and report.stat().st_size <= _MAX_REPORT:
        return msgspec.json.decode(report.read_bytes(), type=Outcome)
    raise CaptureError(f"the process that read {name} {_ending(code, errors)}")


def _environment() -> dict[str, str]:
    """The environment of this process, in which the other one finds the same afterfit wherever it is started."""
    own = str(Path(afterfit.__file__).resolve().parents[1])
    others = [os.path.abspath(part) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]  # noqa: PTH100 - a list of text
    return {**os.environ, "PYTHONPATH": os.pathsep.join([own, *others])}


def _ending(code: int, errors: Path) -> str:
    lines = errors.read_bytes()[-20_000:].decode("utf-8", "replace").strip().splitlines()
    last = lines[-1][:300] if lines else "it said nothing"
    if code == -getattr(signal, "SIGXCPU", 0):
        return "used up its time; allow it more"
    if code < 0:
        return f"was ended by signal {-code}: {last}"
    return f"ended with code {code}: {last}"
