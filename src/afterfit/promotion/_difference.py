"""In what two bundles differ: schema, parameters, metrics, golden answers, environment, distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from afterfit.errors import SchemaError
from afterfit.runtime import Model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from afterfit.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that two bundles differ in: `before` and `after` are None where one of them has none of it."""

    part: str
    what: str
    before: Any
    after: Any
    note: str = ""


def compare_bundles(a: Bundle, b: Bundle) -> list[Difference]:
    """Every difference, part by part; empty for bundles that are equal. Deterministic.

    Golden answers: both models answer the golden rows of both, and labels that differ are counted; of numbers the
    largest difference is told, divided by the largest finite magnitude that `a` answers (at least 1).
    Distribution: of numbers the means, their difference in standard deviations of `a` (the standardized mean
    difference); of other columns the total variation distance of their values' frequencies.
    """
    return [
        *_schemas(a, b),
        *_documents("parameters", _entry(a, "training/params.json"), _entry(b, "training/params.json")),
        *_documents("metrics", _entry(a, "training/metrics.json"), _entry(b, "training/metrics.json")),
        *_answers(a, b),
        *_documents("environment", _environment(a), _environment(b)),
        *_distributions(_entry(a, "profile.json"), _entry(b, "profile.json")),
    ]


def _entry(bundle: Bundle, name: str) -> Any:
    content = bundle.entries.get(name)
    return None if content is None else msgspec.json.decode(content)


def _environment(bundle: Bundle) -> Any:
    return {
        "framework": msgspec.to_builtins(bundle.manifest.framework),
        **(_entry(bundle, "environment.json") or {}),
    }


def _flat(document: Any, path: str = "") -> dict[str, Any]:
    if isinstance(document, dict) and (document or not path):
        return {
            name: value
            for key, member in document.items()
            for name, value in _flat(member, f"{path}.{key}" if path else str(key)).items()
        }
    return {} if document is None and not path else {path: document}


def _documents(part: str, a: Any, b: Any) -> list[Difference]:
    before, after = _flat(a), _flat(b)
    return [
        Difference(part, name, before.get(name), after.get(name), _change(before.get(name), after.get(name)))
        for name in dict.fromkeys([*before, *after])
        if name not in before or name not in after or before[name] != after[name]
    ]


def _change(before: Any, after: Any) -> str:
    numbers = (isinstance(value, int | float) and not isinstance(value, bool) for value in (before, after))
    return f"{after - before:+.6g}" if all(numbers) else ""


def _schemas(a: Bundle, b: Bundle) -> list[Difference]:
    found = []
    for kind, before, after in (
        ("column", a.schema.columns, b.schema.columns),
        ("answer", a.schema.outputs, b.schema.outputs),
    ):
        old: dict[str, Any] = {one.name: msgspec.to_builtins(one) for one in before}
        new: dict[str, Any] = {one.name: msgspec.to_builtins(one) for one in after}
        for name in dict.fromkeys([*old, *new]):
            if name not in old or name not in new:
                known = old.get(name) or new[name]
                there = (known["type"], None) if name in old else (None, known["type"])
                found.append(Difference("schema", f"{kind} {name}", *there))
                continue
            found += [
                Difference("schema", f"{kind} {name}: {field}", old[name].get(field), new[name].get(field))
                for field in dict.fromkeys([*old[name], *new[name]])
                if old[name].get(field) != new[name].get(field)
            ]
    return found


def _answers(a: Bundle, b: Bundle) -> list[Difference]:
    if a.graph == b.graph and a.schema == b.schema:
        return []
    rows = [row.input for bundle in (a, b) for row in bundle.golden]
    first, second = Model(a, threads=1), Model(b, threads=1)
    try:
        before, after = (model.run(model.decoder.decode_rows(rows)) for model in (first, second))
    except SchemaError as error:
        note = f"the golden rows of one do not fit the other: {error.errors[0]}"
        return [Difference("golden answers", "rows", len(a.golden), len(b.golden), note)]
    found = []
    for name in before:
        if name not in after:
            continue
        old, new = before[name], after[name]
        if old.shape != new.shape:
            found.append(
                Difference("golden answers", name, list(old.shape[1:]), list(new.shape[1:]), "shapes")
            )
        elif old.dtype.kind == new.dtype.kind == "f":
            found += _numbers(name, old, new)
        else:
            changed = int((old != new).reshape(len(old), -1).any(axis=1).sum())
            if changed:
                share = f"{changed} of {len(old)} rows differ"
                found.append(Difference("golden answers", name, None, None, share))
    return found


def _numbers(name: str, old: np.ndarray[Any, Any], new: np.ndarray[Any, Any]) -> list[Difference]:
    finite = np.abs(old[np.isfinite(old)])
    scale = max(1.0, float(finite.max(initial=0.0)))
    with np.errstate(invalid="ignore"):
        error = np.where((old == new) | (np.isnan(old) & np.isnan(new)), 0.0, np.abs(old - new) / scale)
    error = np.where(np.isnan(error), np.inf, error).reshape(len(old), -1).max(axis=1, initial=0.0)
    worst = int(error.argmax()) if len(error) else 0
    if not len(error) or error[worst] == 0.0:
        return []
    note = f"{int((error > 0).sum())} of {len(error)} rows differ, by at most {error[worst]:.3g} of the scale"
    return [Difference("golden answers", name, old[worst].tolist(), new[worst].tolist(), note)]


def _distributions(a: Any, b: Any) -> list[Difference]:
    if a is None or b is None:
        return [] if a is b else [Difference("distribution", "profile", a and "there", b and "there")]
    found = _documents("distribution", {"rows": a["rows"]}, {"rows": b["rows"]})
    for name in dict.fromkeys([*a["columns"], *b["columns"]]):
        before, after = a["columns"].get(name), b["columns"].get(name)
        if before is None or after is None:
            found.append(Difference("distribution", name, before and "there", after and "there"))
        elif before != after:
            found += _column(name, before, after)
    return found


def _column(name: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    found = []
    missing = [one["missing"] / max(1, one["missing"] + one["count"]) for one in (a, b)]
    if missing[0] != missing[1]:
        found.append(
            Difference(
                "distribution", f"{name}: missing", missing[0], missing[1], f"{missing[1] - missing[0]:+.6g}"
            )
        )
    if "characters" in a and "characters" in b:
        found += _means(f"{name}: characters", a["characters"], b["characters"])
    elif "mean" in a and "mean" in b:
        found += _means(name, a, b)
    elif "values" in a and "values" in b:
        note = f"total variation {_total_variation(a, b):.3g}"
        found.append(Difference("distribution", f"{name}: values", a["distinct"], b["distinct"], note))
    return found


def _means(what: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    apart = b["mean"] - a["mean"]
    deviation = a["standard_deviation"]
    shift = apart / deviation if deviation else math.copysign(math.inf, apart) if apart else 0.0
    note = f"{shift:+.3g} standard deviations"
    return [Difference("distribution", f"{what}: mean", a["mean"], b["mean"], note)]


def _total_variation(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    shares: list[dict[tuple[str, Any], float]] = [
        {(type(v["value"]).__name__, v["value"]): v["count"] / max(1, one["count"]) for v in one["values"]}
        for one in (a, b)
    ]
    return 0.5 * sum(
        abs(shares[0].get(key, 0.0) - shares[1].get(key, 0.0)) for key in {*shares[0], *shares[1]}
    )
