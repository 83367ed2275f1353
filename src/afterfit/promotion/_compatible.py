"""Whether one schema can stand in for another: every row the old one takes, the new one takes and answers alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from afterfit.schema import Bounds

if TYPE_CHECKING:
    from afterfit.bundle import Bundle
    from afterfit.schema import Column, Schema

_WIDER = {("integer", "float")}
"""Types whose values the other type takes too."""


def incompatibilities(old: Bundle, new: Bundle) -> list[str]:
    """Why clients of `old` could notice that `new` answers, one sentence each; empty where they could not.

    Reflexive: a bundle is compatible with itself. A wider type, categories and bounds that admit more, and
    columns that may be left out are compatible; another form of an answer is not.
    """
    found = _inputs(old.schema, new.schema) + _outputs(old.schema, new.schema)
    if old.manifest.task != new.manifest.task:
        found.append(f"the task was {old.manifest.task} and is {new.manifest.task}")
    if old.manifest.name != new.manifest.name:
        found.append(f"the model was called {old.manifest.name!r} and is {new.manifest.name!r}")
    for method, output in old.manifest.entry_points.items():
        if new.manifest.entry_points.get(method) != output:
            found.append(f"{method} answered {output}, and does no longer")
    return found


def _inputs(old: Schema, new: Schema) -> list[str]:
    before = {column.name: column for column in old.columns}
    after = {column.name: column for column in new.columns}
    found = [
        f"the new column {name!r} must be sent"
        for name, column in after.items()
        if column.input is not None and name not in before
    ]
    for name, column in before.items():
        if name not in after:
            found.append(f"the column {name!r} is no longer known")
        else:
            found += [f"the column {name!r} {why}" for why in _narrower(column, after[name])]
    return found


def _narrower(old: Column, new: Column) -> list[str]:
    """What the new column refuses that the old one took."""
    if new.input is None:
        return []
    if old.input is None:
        return ["was not read, and must be sent"]
    found = []
    if old.type != new.type and (old.type, new.type) not in _WIDER:
        found.append(f"was {old.type} and is {new.type}")
    if not _takes_shape(old.shape, new.shape):
        found.append(f"had the shape {_shape_in_words(old.shape)} and has {_shape_in_words(new.shape)}")
    if old.nullable and not new.nullable:
        found.append("could be missing, and can no longer")
    if new.categories is not None and not new.categories.open:
        if old.categories is None or old.categories.open:
            found.append("took any value, and takes only those that the model learned")
        else:
            gone = [value for value in old.categories.values if value not in new.categories.values]
            if gone:
                shown = ", ".join(repr(value) for value in gone[:5])
                found.append(f"no longer takes {shown}{' and more' if len(gone) > 5 else ''}")
    wide, narrow = old.bounds or Bounds(), new.bounds or Bounds()
    if narrow.lowest > wide.lowest or narrow.highest < wide.highest:
        found.append(f"must now be {narrow.in_words()}")
    return found


def _takes_shape(old: tuple[int, ...] | None, new: tuple[int, ...] | None) -> bool:
    """Whether every value of one shape has the other; -1 is a size that is open."""
    if old is None or new is None:
        return old is new
    return len(old) == len(new) and all(size in {-1, was} for was, size in zip(old, new, strict=True))


def _shape_in_words(shape: tuple[int, ...] | None) -> str:
    return "of one value" if shape is None else str(["any" if size == -1 else size for size in shape])


def _outputs(old: Schema, new: Schema) -> list[str]:
    found = []
    for output in old.outputs:
        other = new.output(output.name)
        if other is None:
            found.append(f"the answer {output.name!r} is gone")
            continue
        for field in ("type", "shape", "classes", "columns"):
            was, now = getattr(output, field), getattr(other, field)
            if was != now:
                found.append(f"{field} of the answer {output.name!r} was {was!r} and is {now!r}"[:300])
    return found
