"""Curves as data, as a picture and as characters."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest

from afterfit.errors import ArgumentError
from afterfit.tracking import Curves, best_of, draw_plot, draw_png, draw_svg, encode_curves, read_curves
from afterfit.tracking._curves import direction_of


def curves(**metrics: dict[str, list[float | None]]) -> Curves:
    length = len(next(iter(next(iter(metrics.values())).values())))
    sets = {m: {rows: tuple(v) for rows, v in given.items()} for m, given in metrics.items()}
    return Curves(unit="epoch", step=tuple(map(float, range(length))), metrics=sets)


LOG = curves(
    loss={"train": [3.0, 2.0, 1.0, 0.5], "validation": [3.5, 2.5, None, 2.75]},
    auc={"train": [0.5, 0.6, 0.7, math.nan], "validation": [0.5, 0.8, 0.8, 0.7]},
)


def text_of(lines) -> str:
    return "\n".join("".join(mark.text for mark in line) for line in lines)


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("loss", "lower"),
        ("mean_squared_error", "lower"),
        ("RMSE", "lower"),
        ("binary_logloss", "lower"),
        ("NDCG:top=10", "higher"),
        ("ndcg@5", "higher"),
        ("accuracy", "higher"),
        ("neg_log_loss", "higher"),
        ("negative_loss", "higher"),
        ("neg_mean_squared_error", "higher"),
        ("1-auc", None),
        ("score", None),
        ("learning_rate", None),
        ("accuracy_loss", None),
        ("", None),
    ],
)
def test_a_direction_is_known_by_name_or_not_at_all(metric: str, direction: str | None):
    assert direction_of(metric) == direction


def test_the_best_step_is_the_first_of_the_best_on_held_out_rows():
    assert (best_of("loss", LOG).step, best_of("loss", LOG).rows) == (1.0, "validation")
    assert (best_of("auc", LOG).step, best_of("auc", LOG).value) == (1.0, 0.8)
    alone = curves(loss={"train": [math.nan, 1.0, -math.inf, 0.5]}, gain={"train": [1.0] * 4})
    assert best_of("loss", alone).step == 3.0
    assert best_of("gain", alone) is None


def test_curves_are_read_back_equal():
    read = read_curves(encode_curves(LOG))
    assert encode_curves(read) == encode_curves(LOG)
    assert read.metrics["loss"]["validation"] == (3.5, 2.5, None, 2.75)
    assert math.isnan(read.metrics["auc"]["train"][3])
    assert list(read.metrics) == ["auc", "loss"]


@pytest.mark.parametrize(
    "document",
    [
        b'{"loss":[1,2]}',
        b'{"unit":"step","step":[],"metrics":{}}',
        b'{"unit":"step","step":[0,1],"metrics":{"loss":{"train":[1]}}}',
        b'{"unit":"step","step":[0],"metrics":{"loss":{"train":["inf"]}}}',
    ],
)
def test_what_are_no_curves_is_refused(document: bytes):
    with pytest.raises(ArgumentError, match="history holds no curves"):
        read_curves(document)


def test_the_picture_is_the_same_every_time_and_marks_the_best_step():
    picture = draw_svg(LOG)
    assert picture == draw_svg(LOG)
    root = ET.fromstring(picture)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "best 2.5 (validation) at epoch 1" in texts
    assert "best 0.8 (validation) at epoch 1; 1 values are not finite" in texts
    assert {"train", "validation", "loss", "auc", "epoch"} <= set(texts)
    # Two curves a panel; the gap parts one of them into a line and a point.
    assert len(root.findall(".//{http://www.w3.org/2000/svg}polyline")) == 4
    filled = [
        c for c in root.iter("{http://www.w3.org/2000/svg}circle") if c.get("fill") not in {None, "none"}
    ]
    assert len(filled) == 1


def test_names_from_strangers_neither_steer_nor_break_the_picture():
    hostile = curves(**{'</text><script>alert("x")</script>\x1b[31m\x00$a_b': {"train\n": [1.0, 2.0]}})
    picture = draw_svg(hostile)
    assert "<script" not in picture
    ET.fromstring(picture)
    assert "\x1b" not in text_of(draw_plot(hostile, 80, colour=True))


def test_png_is_drawn_with_matplotlib():
    pytest.importorskip("matplotlib", reason="PNG is drawn with matplotlib")
    content = draw_png(LOG)
    assert content.startswith(b"\x89PNG")
    assert content == draw_png(LOG)


def test_without_matplotlib_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ArgumentError, match=r"\.svg.*afterfit\[plots\]"):
        draw_png(LOG)


@pytest.mark.parametrize("colour", [False, True])
def test_the_plot_fits_its_width_and_tells_the_sets_apart(colour: bool):
    lines = draw_plot(LOG, 60, colour=colour)
    assert max(len("".join(mark.text for mark in line)) for line in lines) <= 60
    assert {mark.colour for line in lines for mark in line} == (
        {None, "#2563eb", "#ea580c"} if colour else {None}
    )
    shown = text_of(lines)
    assert "best 2.5 (validation) at epoch 1" in shown
    assert shown.isascii() is not colour


@pytest.mark.parametrize(
    "values",
    [
        [1.0],
        [1.0, 1.0],
        [0.0, 0.0],
        [1e308, -1e308],
        [5e-324, 0.0],
        [math.nan, math.inf],
        [None, None],
        [1e-320, 2e-320],
        [2.0**60, 2.0**60 + 512],
    ],
    ids=repr,
)
def test_any_values_are_drawn(values: list[float | None]):
    log = curves(loss={"train": values})
    ET.fromstring(draw_svg(log))
    assert "nan" not in draw_svg(log).replace("not finite", "")
    draw_plot(log, 80, colour=True)


def test_a_long_curve_is_drawn_small_and_keeps_its_extremes():
    values = [float(i % 7) for i in range(100_000)]
    values[54_321] = 99.0
    picture = draw_svg(curves(loss={"train": values}))
    assert len(picture) < 100_000
    assert 'y="66' in picture or ",66.00" in picture


def test_metrics_beyond_the_last_panel_are_counted():
    log = curves(**{f"m{i:03}": {"train": [1.0, 2.0]} for i in range(30)})
    assert "6 more metrics are in history.json" in draw_svg(log)
    assert "22 more metrics" in text_of(draw_plot(log, 80, colour=False))
