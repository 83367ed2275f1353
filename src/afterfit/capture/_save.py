"""The save workflow, written once: schema, lower, golden rows, parity, write."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from afterfit._version import __version__
from afterfit.bundle import FORMAT_VERSION, Lineage, Manifest, Parity, Task, write_bundle
from afterfit.capture._evidence import (
    environment,
    fingerprint,
    framework_of,
    native_entries,
    profile,
    training_entries,
)
from afterfit.capture._forgotten import check_columns, check_error, check_missing, check_values
from afterfit.capture._frames import reference_frame, row_count, take
from afterfit.capture._graph import LoweredModel, lower_model
from afterfit.capture._history import history_entries
from afterfit.capture._observe import Observer
from afterfit.capture._parity import LARGEST_TIED_SHARE
from afterfit.capture._probes import (
    Probe,
    all_missing_probe,
    golden_probes,
    missing_probes,
    model_refusals,
    outside_probes,
    refused,
)
from afterfit.capture._progress import Stages, stages
from afterfit.capture._reference import Reference
from afterfit.capture._replay import REPLAYED_NUMBERS, REPLAYED_ROWS, Replay, Replayed, golden_rows
from afterfit.capture._thresholds import threshold_probes
from afterfit.errors import ArgumentError, CaptureError, UnsupportedModelError
from afterfit.lowering import Classification, Labels, Regression
from afterfit.runtime import load
from afterfit.schema import Schema, infer_table, is_arrays, pack_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterfit.bundle import GoldenRow
    from afterfit.runtime import Model
    from afterfit.schema import Bounds, InferredTable, Packed

_METHODS = {"prediction": "predict", "probabilities": "predict_proba", "transformed": "transform"}
_STAGES = 7


@dataclass(frozen=True)
class _Proof:
    """What parity was proved on."""

    parity: Parity
    golden: list[GoldenRow]


def save(
    model: Any,
    path: str | os.PathLike[str],
    *,
    X: Any,
    y: Any = None,
    preprocess: Any = None,
    postprocess: Any = None,
    raw_inputs: bool = False,
    history: Any = None,
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    run: Mapping[str, Any] | None = None,
    name: str | None = None,
    description: str | None = None,
) -> Model:
    """Save a fitted model as a bundle, after proving that the bundle answers exactly as the model does.

    `X`: raw rows, as users will send them, before any preprocessing; the training rows, ideally: a DataFrame
    (pandas, polars), a pyarrow table, a 2-D array or a list of dicts; for a model that reads texts, a list of str, a
    Series or a 1-D array; for a network also an array of more dimensions, a dict of names and arrays, or a list of
    arrays. All rows up to 100,000 are replayed, and of a larger `X` 100,000 evenly spread ones; so are golden rows
    made from them: ordinary rows, missing values, unknown categories, minimum, maximum and beyond both, both sides
    of tree thresholds.
    `y`: the targets of `X`; with them, more of what preprocessing was forgotten is found out.
    `preprocess`: the fitted transformer, or the list of them, that was applied by hand before the model.
    `postprocess`: a fitted target scaler whose inverse turns the answer back into the user's units; or, for a network
    that answers with a number for each class, the fitted encoder of the labels (LabelEncoder, LabelBinarizer,
    OneHotEncoder), which makes the answer a label.
    `raw_inputs`: True says that `X` is raw and that the model was fitted on rows like it, where `save` doubts it only
    by likelihood: how `X` looks, or how the model scores on it. It does not silence contradictions, such as columns
    that the model does not know; docs/forgotten.md lists which is which.
    `history`: the log of the training, kept with its picture under `training/`: a Keras `History`, a dict of lists,
    a dict of dicts of lists (`evals_result()` of XGBoost, LightGBM and CatBoost), a DataFrame with a row a step, a
    list of dicts, a list of losses (`loss_curve_`), or a fitted estimator that kept its curve.
    `params`, `metrics`: plain data kept under `training/`; `run` too, which `afterfit.run` fills in with what
    made the model.
    `name`: what the model is called where it is served; by default the file's name without its suffix.

    Returns the model, loaded from the file that was written. The same model and rows give the same bytes.

    Raises `UnsupportedModelError` where no exact graph can be made, `ForgottenPreprocessingError` where a step
    between the rows of `X` and the model is missing, `ParityError` where the graph would answer otherwise,
    `SchemaError` where `X` holds numbers that the model raises an error for, `ArgumentError` for arguments that
    cannot be used. The file appears whole or not at all: whatever is raised, nothing is left on disk, and a bundle
    that was there before stays as it was.
    """
    target = _checked_path(path)
    log = {} if history is None else history_entries(history)
    with stages(_STAGES) as progress:
        progress.begin("reading X")
        reference = Reference(model, preprocess, postprocess)
        X = _named(X, reference)
        table = infer_table(X)
        reference.flat = table.source == "series"
        _check_rows(table, y)
        check_columns(reference, table)
        frame = reference_frame(X)
        first_output = _first_output(reference.asked)
        _check_answers(reference, table, frame, first_output)
        progress.begin("lowering the model")
        lowered = lower_model(reference, table, frame, Observer(reference, frame, first_output))
        progress.begin("probing missing values")
        check_missing(reference, lowered, table, frame)
        schema = _probed_schema(reference, lowered, frame, first_output)
        packed = pack_table(schema, X)
        check_values(reference, lowered, packed, frame, y, raw_inputs=raw_inputs)
        progress.begin("building the graph")
        graph = lowered.graph()
        proof = _prove(Replay(reference, lowered, schema, graph), frame, table, packed, progress)
        progress.begin("writing the bundle")
        lineage = Lineage(
            data_sha256=fingerprint(packed), data_rows=table.rows, saved_by=f"afterfit {__version__}"
        )
        manifest = Manifest(
            format=FORMAT_VERSION,
            name=name or target.stem,
            description=description,
            task=_task(lowered),
            framework=framework_of(model),
            entry_points=_entry_points(schema),
            files={},
            lineage=lineage,
            parity=proof.parity,
        )
        parts = [step.estimator for step in lowered.context.steps]
        entries = {
            "environment.json": environment(parts),
            "profile.json": profile(schema, packed),
            **training_entries(params, metrics, run),
            **log,
            **native_entries(parts),
        }
        return _write(target, manifest, schema, graph, proof.golden, entries)


def _checked_path(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    if target.is_dir():
        raise ArgumentError(f"{target} is a folder; name a file in it, such as {target / 'model.afit'}")
    if not target.parent.is_dir():
        raise ArgumentError(f"the folder {target.parent} does not exist; create it first")
    return target


def _named(X: Any, reference: Reference) -> Any:
    """A list of arrays under the names of the arguments that a network takes."""
    parameters = getattr(reference.asked, "parameters", ())
    if is_arrays(X) and not isinstance(X, Mapping) and len(X) == len(parameters):
        return dict(zip(parameters, X, strict=True))
    return X


def _check_rows(table: InferredTable, y: Any) -> None:
    if table.rows == 0 or not table.columns:
        raise ArgumentError(
            f"X has {table.rows} rows and {len(table.columns)} columns; give at least one raw row"
        )
    if y is not None and len(y) != table.rows:
        raise ArgumentError(f"X has {table.rows} rows and y has {len(y)}; give the targets of these rows")


def _first_output(model: Any) -> str:
    if hasattr(model, "predict"):
        return "prediction"
    if hasattr(model, "transform"):
        return "transformed"
    raise ArgumentError(f"a {type(model).__name__} has neither predict nor transform; give a fitted model")


def _check_answers(reference: Reference, table: InferredTable, frame: Any, output: str) -> None:
    rows = take(frame, range(min(5, row_count(frame))))
    try:
        reference.answer(rows, [output])
    except model_refusals() as error:
        check_error(error, reference, table)
        raise ArgumentError(f"the model in memory cannot answer on the first rows of X: {error}") from error


def _probed_schema(reference: Reference, lowered: LoweredModel, frame: Any, output: str) -> Schema:
    """The schema, each column nullable where the model has an answer for a missing value, and within bounds where
    it raises an error for every number outside of a function's domain.
    """
    unsure = [
        probe
        for probe in missing_probes(frame, lowered.columns)
        if not lowered.columns[probe.cells[0][0]].nullable
    ]
    raising = {probe.cells[0][0] for probe in refused(reference, frame, unsure, output)}
    accepted = {probe.cells[0][0] for probe in unsure} - raising
    columns = tuple(
        msgspec.structs.replace(
            column,
            nullable=column.nullable or i in accepted,
            bounds=_probed_bounds(reference, lowered, i, frame, output),
        )
        for i, column in enumerate(lowered.columns)
    )
    return Schema(columns=columns, outputs=lowered.outputs)


def _probed_bounds(
    reference: Reference, lowered: LoweredModel, index: int, frame: Any, output: str
) -> Bounds | None:
    """The bounds of a column: those that a lowering requires, and the domain of a function the model needs."""
    column = lowered.columns[index]
    domain = lowered.context.domains.get(index)
    if domain is None or column.type not in ("float", "integer"):
        return column.bounds
    probes = outside_probes(frame, index, column, domain)
    if len(refused(reference, frame, probes, output)) < len(probes):
        return column.bounds
    return domain if column.bounds is None else column.bounds.meet(domain)


def _prove(replay: Replay, frame: Any, table: InferredTable, packed: Packed, progress: Stages) -> _Proof:
    schema = replay.schema
    widest = max(int(np.prod(output.shape[1:])) for output in schema.outputs)
    count = min(table.rows, REPLAYED_ROWS, max(1, REPLAYED_NUMBERS // widest))
    indices = np.unique(np.linspace(0, table.rows - 1, count).astype(np.int64))
    progress.begin(f"replaying {len(indices):,} rows")
    ordinary = replay.rows(frame, indices)
    _check_ties(replay, len(ordinary.comparison.tied_rows), len(indices))
    progress.begin("replaying golden rows")
    plain = golden_probes(frame, schema.columns)
    plain += threshold_probes(replay.lowered, packed, [column.dtype for column in table.columns])
    sizes = [probe for probe in plain if probe.kind == "size"]
    plain = [probe for probe in plain if probe.kind != "size"] + _bearable(replay, frame, sizes)
    _check_probes(replay, frame, plain)
    gaps = [
        probe for probe in missing_probes(frame, schema.columns) if schema.columns[probe.cells[0][0]].nullable
    ]
    if len(gaps) > 1:
        gaps += _bearable(replay, frame, [all_missing_probe(schema.columns)])
    replays = [replay.probes(frame, plain)]
    if gaps:
        replays.append(replay.probes(frame, gaps))
    golden = [row for replayed in replays for row in golden_rows(schema, replayed)]
    if not golden:
        _check_ties(replay, 1, 1)
    return _Proof(
        _parity(replay, len(indices), table.rows, [ordinary, *replays], len(plain) + len(gaps)), golden
    )


def _check_ties(replay: Replay, tied: int, rows: int) -> None:
    """Refuse a model that decides too many rows by a choice between equals, which no graph can repeat."""
    if tied > LARGEST_TIED_SHARE * rows:
        raise UnsupportedModelError(
            type(replay.reference.model).__name__,
            "",
            f"on {tied / rows:.0%} of the rows replayed its answer depends on which of several equally good ones it "
            "comes upon first (such as rows at the same distance), which the library leaves to the order of a search",
            "Use a metric, columns or a number of neighbours with fewer ties, and fit again",
        )


def _check_probes(replay: Replay, frame: Any, probes: Sequence[Probe]) -> None:
    raising = refused(replay.reference, frame, probes, replay.outputs[0].name)
    if raising:
        column, value = raising[0].cells[0] if raising[0].cells else (0, None)
        raise UnsupportedModelError(
            type(replay.reference.model).__name__,
            "",
            f"it raises an error for {value!r} in column {replay.schema.columns[column].name!r}, which the schema "
            "cannot rule out",
            "Let the step that reads this column accept unseen values, such as numbers below all of X before a "
            "logarithm (np.maximum, np.clip) and unknown categories (handle_unknown)",
        )


def _bearable(replay: Replay, frame: Any, probes: Sequence[Probe]) -> list[Probe]:
    """The probes that the model in memory answers: it may take one gap and not all of them at once."""
    raising = refused(replay.reference, frame, probes, replay.outputs[0].name)
    return [probe for probe in probes if probe not in raising]


def _parity(replay: Replay, rows: int, given: int, replays: Sequence[Replayed], golden: int) -> Parity:
    return Parity(
        rows=rows,
        rows_given=given,
        golden_rows=golden,
        labels_different=0,
        ties=sum(len(replayed.comparison.tied_rows) for replayed in replays),
        max_error=max(replayed.comparison.max_error for replayed in replays),
        tolerance=replay.tolerance,
        precision="float32" if replay.precision == "float32" else "float64",
    )


def _task(lowered: LoweredModel) -> Task:
    if isinstance(lowered.lowered, Classification | Labels):
        return "classification"
    return "regression" if isinstance(lowered.lowered, Regression) else "transformation"


def _entry_points(schema: Schema) -> dict[str, str]:
    return {_METHODS[output.name]: output.name for output in schema.outputs if output.name in _METHODS}


def _write(
    target: Path,
    manifest: Manifest,
    schema: Schema,
    graph: bytes,
    golden: Sequence[GoldenRow],
    entries: Mapping[str, bytes],
) -> Model:
    """Write beside the target, replay the golden rows from the file, and only then move it into place."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        write_bundle(draft, manifest=manifest, schema=schema, graph=graph, golden=golden, entries=entries)
        model = load(draft)
        report = model.verify()
        if not report.ok:
            raise CaptureError("the bundle does not answer its own golden rows: " + report.failures[0])
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return model
