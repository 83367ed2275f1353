"""What Triton's clients call the statistics of a model, out of what the server counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from afterfit.runtime import Model
    from afterfit.serving._board import Series
    from afterfit.serving._meters import ServerMeter

_STAGES = {"queue": "wait", "compute_input": "decode", "compute_infer": "run", "compute_output": "write"}


def statistics(meter: ServerMeter | None, models: Iterable[Model]) -> list[dict[str, Any]]:
    """Rows, runs and times of each model over all workers, in nanoseconds; zeros where nobody counts."""
    series = meter.series() if meter is not None else []
    return [_of_model(model, series) for model in models]


def _of_model(model: Model, series: list[Series]) -> dict[str, Any]:
    of_model = {("model", model.name), ("version", model.version)}
    own = [one for one in series if of_model <= set(one.labels)]

    def times(stage: str) -> tuple[int, int]:
        for one in own:
            if one.name == "afterfit_stage_seconds" and ("stage", stage) in one.labels:
                return int(sum(one.numbers[:-1])), int(one.numbers[-1] * 1e9)
        return 0, 0

    def total(name: str) -> int:
        return int(sum(one.numbers[0] for one in own if one.name == name))

    measured = {name: times(stage) for name, stage in _STAGES.items()}
    answered = measured["queue"][0]
    spent = sum(nanoseconds for _, nanoseconds in measured.values())
    return {
        "name": model.name,
        "version": model.version,
        "inference_count": total("afterfit_rows_total"),
        "execution_count": measured["compute_infer"][0],
        "inference_stats": {
            "success": {"count": answered, "ns": spent},
            "fail": {"count": total("afterfit_shed_total"), "ns": 0},
            **{name: {"count": count, "ns": time} for name, (count, time) in measured.items()},
        },
        "batch_stats": [],
    }
