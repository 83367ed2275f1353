"""Training runs as they are recorded and read again, and the log of a training with its pictures.

Importing this imports numpy and what reads tables; no framework.
"""

from afterfit.tracking._compare import compare_runs, facts, same
from afterfit.tracking._curves import Best, Curves, best_of, direction_of, encode_curves, read_curves
from afterfit.tracking._downsample import downsample, panel_of
from afterfit.tracking._figure import draw_png, draw_svg
from afterfit.tracking._filter import parse_filter
from afterfit.tracking._importance import FEW, Importance
from afterfit.tracking._importance import importance as explain_metric
from afterfit.tracking._index import IndexedRun, RunIndex
from afterfit.tracking._panels import Panel
from afterfit.tracking._place import runs_folder
from afterfit.tracking._plot import Mark, draw_plot
from afterfit.tracking._record import RunRecord, Series, configuration, read_run, summary
from afterfit.tracking._rerun import TOLERANCE, Verdict, environment_differences, judge, repeat, restore_code
from afterfit.tracking._run import Run

__all__ = [
    "FEW",
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
