"""Columns: their number, names, order and kinds. All of it contradictions: the model has no answer for `X`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.capture._forgotten._findings import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from afterfit.capture._reference import Reference
    from afterfit.lowering import Learned
    from afterfit.schema import InferredTable

_SHOWN = 5


def column_findings(reference: Reference, table: InferredTable) -> list[Finding]:
    """Compare the columns of `X` with those the first estimator was fitted on: their number, names and kinds."""
    first = first_estimator(reference)
    names = [column.name for column in table.columns]
    known = _known_names(first)
    if table.named and known is not None:
        # LightGBM keeps names with an underscore for every space.
        present = {*names, *(name.replace(" ", "_") for name in names)}
        absent = [name for name in known if name not in present]
        if absent:
            return [_absent_names(first, known, absent, names)]
    elif (count := _count(first, table)) is not None:
        return [count]
    text = _text_columns(table)
    if text and _learns_numbers(first):
        return [_text(first, text)]
    return []


def answer_findings(error: Exception, reference: Reference, table: InferredTable) -> list[Finding]:
    """What the error that the model in memory raises on rows of `X` says about preprocessing; empty if nothing."""
    first = first_estimator(reference)
    names = [column.name for column in table.columns]
    known = _known_names(first)
    message = str(error)
    if table.named and known is not None and known != names and sorted(known) == sorted(names):
        moved = next(i for i, (a, b) in enumerate(zip(known, names, strict=True)) if a != b)
        return [
            Finding(
                f"{_name(first)} was fitted with its columns in another order: column {moved} was {known[moved]!r} "
                f"and is {names[moved]!r} in X",
                "preprocessor",
                contradiction=True,
                call="afterfit.save(model, path, X=X[list(model.feature_names_in_)])",
            )
        ]
    count = _count(first, table)
    if count is not None and "feature" in message:
        return [count]
    text = _text_columns(table)
    if text and "could not convert string to float" in message:
        return [_text(first, text)]
    gaps = [column.name for column in table.columns if column.has_missing]
    if gaps and "NaN" in message:
        return [missing_finding(first, gaps)]
    return []


def missing_finding(first: Any, names: Sequence[str]) -> Finding:
    """Columns in which `X` has missing values and the model has no answer for one."""
    return Finding(
        f"X has missing values in {_list(names)}, and {_name(first)} raises an error for them, so that its training "
        "rows had none: they were filled in or left out",
        "imputer",
        contradiction=True,
    )


def category_findings(learned: Mapping[int, Learned], table: InferredTable) -> list[Finding]:
    """Encoders that learned text where `X` has numbers, or numbers where it has text."""
    found = []
    for i, categories in learned.items():
        column = table.columns[i]
        values = [value for value in categories.values if value is not None and value == value]  # noqa: PLR0124 - NaN
        if column.type is None or not values:
            continue
        texts = sum(isinstance(value, str) for value in values)
        if (texts == 0) == (column.type != "string") or 0 < texts < len(values):
            continue
        shown = ", ".join(repr(_plain(value)) for value in values[:3])
        kind = "text" if column.type == "string" else f"{column.type} values"
        found.append(
            Finding(
                f"an encoder learned the categories {shown} for {column.name!r}, in which X has {kind} such as "
                f"{column.example!r}",
                "encoder",
                contradiction=True,
            )
        )
    return found


def first_estimator(reference: Reference) -> Any:
    """The estimator that receives the rows of `X`."""
    return reference.preprocess[0] if reference.preprocess else reference.model


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _name(estimator: Any) -> str:
    return type(estimator).__name__


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name) for name in names[:_SHOWN]) + more


def _known_names(estimator: Any) -> list[str] | None:
    known = getattr(estimator, "feature_names_in_", None)
    return None if known is None else [str(name) for name in known]


def _text_columns(table: InferredTable) -> list[str]:
    return [column.name for column in table.columns if column.type == "string" and not column.categorical]


def _text(first: Any, names: Sequence[str]) -> Finding:
    return Finding(
        f"{_name(first)} was fitted on numbers, and X has text in {_list(names)}",
        "encoder",
        contradiction=True,
    )


def _count(first: Any, table: InferredTable) -> Finding | None:
    # A CatBoost model that was read from a file says 0, and knows no better.
    fitted = getattr(first, "n_features_in_", None) or None
    if fitted is None or fitted == len(table.columns):
        return None
    text = _text_columns(table)
    evidence = f"{_name(first)} was fitted on {fitted} columns and X has {len(table.columns)}"
    if text:
        evidence += f", of which {_list(text)} hold{'s' if len(text) == 1 else ''} text"
    return Finding(evidence, "encoder" if text else "preprocessor", contradiction=True)


def _absent_names(first: Any, known: list[str], absent: list[str], names: list[str]) -> Finding:
    evidence = (
        f"{_name(first)} was fitted on {len(known)} columns, of which X lacks {len(absent)}, "
        f"among them {_list(absent)}"
    )
    sources = [name for name in names if name not in known and any(_made_from(new, name) for new in absent)]
    if sources:
        evidence += f", which are named like what an encoder makes of {_list(sources)}"
    return Finding(evidence, "encoder" if sources else "preprocessor", contradiction=True)


def _made_from(new: str, name: str) -> bool:
    """Whether `new` is named as encoders name a column made of `name`: `carrier_AA`, `onehotencoder__carrier_AA`."""
    last = new.rpartition("__")[2]
    return any(text.startswith((f"{name}_", f"{name}=")) for text in (new, last))


def _learns_numbers(estimator: Any) -> bool:
    """Whether it reads numbers alone; the estimators inside a vote or a stack may be pipelines that read text."""
    if hasattr(estimator, "coef_") or hasattr(estimator, "tree_"):
        return True
    parts = np.ravel(np.asarray(getattr(estimator, "estimators_", ()), dtype=object))
    return len(parts) > 0 and all(_learns_numbers(part) for part in parts)
