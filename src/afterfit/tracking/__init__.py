"""Training runs as they are recorded and read again, and the log of a training with its pictures.

Importing this imports none of it; a name imports what it needs, so that listing runs does without numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from afterfit._lazy import import_when_asked

if TYPE_CHECKING:
    from afterfit.tracking._compare import compare_runs, facts, same
    from afterfit.tracking._curves import Best, Curves, best_of, direction_of, encode_curves, read_curves
    from afterfit.tracking._downsample import downsample, panel_of
    from afterfit.tracking._figure import draw_png, draw_svg
    from afterfit.tracking._filter import parse_filter
    from afterfit.tracking._importance import FEW, Importance, explain_metric
    from afterfit.tracking._index import IndexedRun, RunIndex
    from afterfit.tracking._index_tables import KINDS
    from afterfit.tracking._panels import Panel
    from afterfit.tracking._place import runs_folder
    from afterfit.tracking._plot import Mark, draw_plot
    from afterfit.tracking._record import RunRecord, Series, configuration, read_run, summary
    from afterfit.tracking._rerun import (
        TOLERANCE,
        Verdict,
        environment_differences,
        judge,
        repeat,
        restore_code,
    )
    from afterfit.tracking._run import Run
    from afterfit.tracking._untracked import describe_left_out

__all__ = [
    "FEW",
    "KINDS",
    "TOLERANCE",
    "Best",
    "Curves",
    "Importance",
    "IndexedRun",
    "Mark",
    "Panel",
    "Run",
    "RunIndex",
    "RunRecord",
    "Series",
    "Verdict",
    "best_of",
    "compare_runs",
    "configuration",
    "describe_left_out",
    "direction_of",
    "downsample",
    "draw_plot",
    "draw_png",
    "draw_svg",
    "encode_curves",
    "environment_differences",
    "explain_metric",
    "facts",
    "judge",
    "panel_of",
    "parse_filter",
    "read_curves",
    "read_run",
    "repeat",
    "restore_code",
    "runs_folder",
    "same",
    "summary",
]

_HOMES = {
    "compare_runs": "_compare",
    "facts": "_compare",
    "same": "_compare",
    "Best": "_curves",
    "Curves": "_curves",
    "best_of": "_curves",
    "direction_of": "_curves",
    "encode_curves": "_curves",
    "read_curves": "_curves",
    "downsample": "_downsample",
    "panel_of": "_downsample",
    "draw_png": "_figure",
    "draw_svg": "_figure",
    "parse_filter": "_filter",
    "FEW": "_importance",
    "Importance": "_importance",
    "explain_metric": "_importance",
    "KINDS": "_index_tables",
    "IndexedRun": "_index",
    "RunIndex": "_index",
    "Panel": "_panels",
    "runs_folder": "_place",
    "Mark": "_plot",
    "draw_plot": "_plot",
    "RunRecord": "_record",
    "Series": "_record",
    "configuration": "_record",
    "read_run": "_record",
    "summary": "_record",
    "TOLERANCE": "_rerun",
    "Verdict": "_rerun",
    "environment_differences": "_rerun",
    "judge": "_rerun",
    "repeat": "_rerun",
    "restore_code": "_rerun",
    "Run": "_run",
    "describe_left_out": "_untracked",
}

__getattr__ = import_when_asked(__name__, _HOMES)
