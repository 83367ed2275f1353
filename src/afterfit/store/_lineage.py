"""What a bundle says of the run that made it."""

from __future__ import annotations

from typing import Any

import msgspec


def run_in(content: bytes) -> dict[str, Any]:
    """What `training/run.json` says of a run, without the columns of its data; {} where it is none.

    People may put anything into that file: what has not the form that `afterfit.run` writes is no run.
    """
    found = msgspec.json.decode(content)
    if not isinstance(found, dict) or not isinstance(found.get("id"), str) or not found["id"]:
        return {}
    data = found.get("data")
    if isinstance(data, dict):
        found["data"] = {key: data[key] for key in ("rows", "sha256") if key in data}
    return found
