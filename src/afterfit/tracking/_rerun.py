"""A recorded run made again: its code in an empty folder, its command, parameters and seeds; and the verdict."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from afterfit._home import VARIABLE
from afterfit.errors import ArgumentError
from afterfit.tracking._compare import same
from afterfit.tracking._context import DIFF, SCRIPT, VARIABLES, git, installed_packages
from afterfit.tracking._record import configuration
from afterfit.tracking._run import RERUN
from afterfit.tracking._untracked import describe_left_out

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from afterfit.tracking._record import RunRecord

TOLERANCE = 1e-6
"""Relative difference up to which values count as noise: what adding up in another order does to float32."""

_STANDARD_ERROR = 2
FEWEST_REPEATS = 3
_INTERACTIVE = ("ipykernel_launcher.py", "ipython", "colab_kernel_launcher.py")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run that was made again came out; `reasons`: one sentence for each thing that differs."""

    outcome: Literal["equal", "within noise", "different"]
    reasons: tuple[str, ...]


def environment_differences(record: RunRecord) -> list[str]:
    """In what this Python and its packages are not those of the run, a phrase each."""
    found = []
    if record.context["python"] != platform.python_version():
        found.append(f"Python {platform.python_version()}, not {record.context['python']}")
    here, then = installed_packages(), record.context["packages"]
    found += [
        f"{name} {here.get(name, 'missing')}, not {then.get(name, 'missing')}"
        for name in sorted({*here, *then}, key=str.lower)
        if here.get(name) != then.get(name)
    ]
    return found


def restore_code(record: RunRecord, folder: Path, repository: Path | None = None) -> list[str]:
    """Put the code of a run into an empty folder; returns a phrase for each new file or folder not on record.

    `repository`: where its git repository is now, by default where it was. Raises `ArgumentError` where the code was
    not recorded, or the repository lacks the commit.
    """
    code = record.context.get("code") or {}
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ArgumentError(f"{folder} is not empty; name an empty folder or a new one")
    if "script" in code:
        (folder / Path(code["script"]).name).write_bytes((record.folder / SCRIPT).read_bytes())
        return []
    if "commit" not in code:
        raise ArgumentError(
            f"run {record.id} has no code on record: it was started outside of git and of a script"
        )
    source = str(repository.resolve()) if repository is not None else code["root"]
    cloned = git("clone", "--quiet", "--shared", "--no-checkout", source, str(folder), at=record.folder)
    if cloned is None:
        raise ArgumentError(f"{source} is no git repository; name the one that has commit {code['commit']}")
    if git("checkout", "--quiet", "--detach", code["commit"], at=folder) is None:
        raise ArgumentError(f"the git repository {source} lacks commit {code['commit']}; fetch it first")
    diff = record.folder / DIFF
    if code["diff_sha256"] and git("apply", "--binary", "--whitespace=nowarn", str(diff), at=folder) is None:
        raise ArgumentError(f"the recorded difference {diff} cannot be applied to commit {code['commit']}")
    return describe_left_out(code["left_out"])


def repeat(record: RunRecord, folder: Path, changed: Mapping[str, Any]) -> int:
    """Run the command of a run in a folder with its code, with its seeds and parameters; returns its exit code.

    What it prints goes to standard error. Raises `ArgumentError` where there is no command to repeat, or no
    such parameter.
    """
    unknown = set(changed) - set(record.params)
    if unknown:
        known = ", ".join(record.params) or "none"
        raise ArgumentError(f"run {record.id} has no parameter {min(unknown)!r}; it has {known}")
    if record.parent is not None:
        raise ArgumentError(f"run {record.id} is a part of run {record.parent}; make that one again")
    arguments = record.context["arguments"]
    if not arguments or arguments[0] in {"", "-"} or arguments[0].endswith(_INTERACTIVE):
        raise ArgumentError(
            f"run {record.id} was typed in or run in a notebook; only a script can be run again"
        )
    code = record.context["code"]
    root = Path(code["root"]) if "root" in code else Path(code["script"]).parent
    again = folder.with_name(folder.name + ".rerun.json")
    again.write_text(
        json.dumps(
            {"run": record.id, "name": record.name, "set": dict(changed), "seeds": record.context["seeds"]}
        )
    )
    environment = _environment(record, root, folder) | {RERUN: str(again)}
    here = Path(record.context["working_directory"])
    place = Path(_moved(str(here), root, folder))
    parts = record.context["command"][1:]
    if place == here:
        # Started from outside of its code: there the script is found by no other path than the whole one.
        parts = [str((here / part).resolve()) if part == arguments[0] else part for part in parts]
    command = [sys.executable, *(_moved(part, root, folder) for part in parts)]
    try:
        done = subprocess.run(
            command,
            cwd=place if place.is_dir() else folder,
            env=environment,
            stdout=_STANDARD_ERROR,
            check=False,
        )
    finally:
        again.unlink(missing_ok=True)
    return done.returncode


def _environment(record: RunRecord, root: Path, folder: Path) -> dict[str, str]:
    """The variables of this process, with those of the run, and with its code before any that is installed."""
    context = record.context
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment |= context.get("variables", {})
    if context["seeds"]["PYTHONHASHSEED"] is not None:
        environment["PYTHONHASHSEED"] = context["seeds"]["PYTHONHASHSEED"]
    places = [str(folder / place) for place in context.get("path", [])]
    places += [
        _moved(part, root, folder) for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part
    ]
    if places:
        environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(places))
    environment[VARIABLE] = str(record.folder.parent.parent)
    return environment


def _moved(part: str, root: Path, folder: Path) -> str:
    """A path of the code, as it is in the folder; any other argument as it was, such as data that git ignores."""
    path = Path(part)
    if not path.is_absolute() or not path.is_relative_to(root):
        return part
    moved = folder / path.relative_to(root)
    return str(moved) if moved.exists() else part


def judge(
    before: RunRecord,
    after: RunRecord,
    repeats: Sequence[RunRecord] = (),
    *,
    tolerance: float = TOLERANCE,
    ignored: Collection[str] = (),
) -> Verdict:
    """Compare a run with the one that was made again.

    `equal`: the same status, data and metrics, every value at every step to the last bit. `within noise`: each
    metric that
    differs does so by at most `tolerance` of its largest magnitude, or ends within the range of at least 3
    `repeats`: runs of
    the same configuration (the range of n covers the next with probability (n - 1) / (n + 1)). Otherwise `different`.
    `ignored`: metrics that are expected to differ, such as seconds.
    """
    reasons, different = [], before.status != after.status
    if different:
        reasons.append(f"it {after.status}, and had {before.status}")
    old, new = configuration(before), configuration(after)
    for name in dict.fromkeys([*old, *new]):
        if name != "command" and not same(old.get(name), new.get(name)):
            reasons.append(f"{name} is {new.get(name)!r}, and was {old.get(name)!r}")
            different = True
    for name in dict.fromkeys([*before.series, *after.series]):
        if name in ignored:
            continue
        reason, noise = _judge_metric(name, before, after, repeats, tolerance)
        reasons += [reason] if reason else []
        different = different or bool(reason and not noise)
    outcome: Literal["equal", "within noise", "different"] = "within noise" if reasons else "equal"
    return Verdict("different" if different else outcome, tuple(reasons))


def _judge_metric(
    name: str, before: RunRecord, after: RunRecord, repeats: Sequence[RunRecord], tolerance: float
) -> tuple[str, bool]:
    """What differs in a metric, nothing where it is equal; and whether that is within noise."""
    if name not in before.series or name not in after.series:
        return f"metrics.{name} is in one of them only", False
    (old_step, old), (new_step, new) = before.series[name].numbers(), after.series[name].numbers()
    texts = [record.series[name].value.tolist() for record in (before, after)]
    if (
        len(texts[0]) == len(texts[1])
        and all(map(same, *texts))
        and np.array_equal(old_step, new_step, equal_nan=True)
    ):
        return "", True
    last = f"{texts[1][-1]!r}, and was {texts[0][-1]!r}"
    ends = [record.series[name].numbers()[1][-1] for record in repeats if name in record.series]
    if len(ends) >= FEWEST_REPEATS and min(ends) <= new[-1] <= max(ends):
        return (
            f"metrics.{name} ends at {last}: within the range of {len(ends)} runs of this configuration",
            True,
        )
    if len(old) != len(new) or not np.array_equal(old_step, new_step, equal_nan=True):
        return f"metrics.{name} has {len(new):,} values, at other steps than the {len(old):,} before", False
    both = np.isfinite(old) & np.isfinite(new)
    if not np.array_equal(old[~both], new[~both], equal_nan=True) or not both.any():
        return f"metrics.{name} ends at {last}", False
    largest = max(float(np.abs(old[both]).max()), 5e-324)
    apart = float(np.abs(old[both] - new[both]).max()) / largest
    first = old_step[np.flatnonzero(both & (old != new))[:1]].tolist()
    at = f", first at step {first[0]:g}" if first else ""
    words = f"metrics.{name} ends at {last}: up to {apart:.1e} of its size apart{at}"
    return words, math.isfinite(apart) and apart <= tolerance
