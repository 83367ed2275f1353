"""The log of a training: its curves as data, and their pictures."""

from afterfit.tracking._curves import Best, Curves, best_of, encode_curves, read_curves
from afterfit.tracking._figure import draw_png, draw_svg
from afterfit.tracking._plot import Mark, draw_plot

__all__ = [
    "Best",
    "Curves",
    "Mark",
    "best_of",
    "draw_plot",
    "draw_png",
    "draw_svg",
    "encode_curves",
    "read_curves",
]
