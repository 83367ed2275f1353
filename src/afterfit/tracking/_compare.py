"""Several runs side by side: only what differs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from afterfit.tracking._context import seeds_digest
from afterfit.tracking._record import configuration, summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterfit.tracking._record import RunRecord


def facts(record: RunRecord) -> dict[str, Any]:
    """All that can be compared of a run, flat, by names such as `params.lr` and `data.train.price`."""
    found = {"name": record.name, "status": record.status, **configuration(record)}
    found["seed"] = seeds_digest(record.context["seeds"])
    found["host"] = record.context["machine"]["host"]
    found |= {f"variables.{name}": value for name, value in record.context.get("variables", {}).items()}
    for name, data in record.data.items():
        found[f"data.{name}.rows"] = data["rows"]
        found |= {f"data.{name}.{column}": digest for column, digest in data["columns"].items()}
    found |= {f"packages.{name}": version for name, version in record.context["packages"].items()}
    found |= {f"tags.{name}": value for name, value in record.tags.items()}
    for name, entry in summary(record).items():
        found[f"metrics.{name}"] = entry["last"]
        found |= {
            f"{kind}.{name}": entry[m] for kind, m in (("min", "lowest"), ("max", "highest")) if m in entry
        }
    return found


def compare_runs(records: Sequence[RunRecord]) -> dict[str, list[Any]]:
    """For each name whose values differ, the value of each run; None where a run has none. NaN equals NaN."""
    told = [facts(record) for record in records]
    names = dict.fromkeys(name for one in told for name in one)
    rows = {name: [one.get(name) for one in told] for name in names}
    return {name: row for name, row in rows.items() if any(not same(row[0], value) for value in row[1:])}


def same(one: Any, other: Any) -> bool:
    """Equal values of one type; NaN equals NaN."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and bool(one == other)
