"""What a run records by itself: code, command, Python and packages, seeds, machine."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.metadata
import os
import platform
import random
import socket
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from afterfit.tracking._untracked import choose_new_files

VARIABLES = (
    "KERAS_BACKEND", "JAX_PLATFORMS", "XLA_FLAGS", "TF_DETERMINISTIC_OPS", "TF_ENABLE_ONEDNN_OPTS",
    "TF_USE_LEGACY_KERAS", "CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "OMP_NUM_THREADS",
    "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE", "MKL_CBWR",
)  # fmt: skip
"""The variables of the environment that decide how libraries calculate. Others may be secrets."""

DIFF = "diff.patch"
SCRIPT = "script.py"


def context(folder: Path) -> dict[str, Any]:
    """The surroundings of a run; the difference to the commit, or the script, goes to a file in `folder`."""
    code = _git(folder) or _script(folder)
    return {
        "command": list(sys.orig_argv),
        "arguments": list(sys.argv),
        "working_directory": str(Path.cwd()),
        "code": code,
        "path": _own_path(code),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "python": platform.python_version(),
        "packages": installed_packages(),
        "machine": {
            "host": socket.gethostname(),
            "platform": f"{sys.platform}-{platform.machine()}",
            "processors": os.cpu_count(),
        },
        "process": os.getpid(),
        "seeds": seeds(),
    }


@functools.cache
def installed_packages() -> dict[str, str]:
    """The installed packages; once for each process, since reading them all takes tens of milliseconds."""
    found = {
        str(found.metadata["Name"]): found.version
        for found in importlib.metadata.distributions()
        if found.metadata["Name"]
    }
    return dict(sorted(found.items()))


def git(*arguments: str, at: Path, index: Path | None = None) -> bytes | None:
    """What git answers, None where it refuses or is not installed."""
    environment = dict(os.environ) if index is None else {**os.environ, "GIT_INDEX_FILE": str(index)}
    try:
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607 - the git of the user
            cwd=at,
            env=environment,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def _own_path(code: dict[str, Any] | None) -> list[str]:
    """The places below the root of the code that Python imports from, as in a package that is installed editable."""
    if code is None or "root" not in code:
        return []
    root = Path(code["root"])
    places = [Path(place).resolve() for place in sys.path[1:] if place]
    return [
        place.relative_to(root).as_posix()
        for place in places
        if place.is_relative_to(root) and "site-packages" not in place.parts
    ]


def _places() -> list[Path]:
    """Where the code may lie in git: beside the script, which need not be in the working directory."""
    script = _script_path()
    return [Path.cwd()] if script is None else [script.parent, Path.cwd()]


def _script_path() -> Path | None:
    path = Path(sys.argv[0]) if sys.argv and sys.argv[0] else None
    return path.resolve() if path is not None and path.suffix == ".py" and path.is_file() else None


def _git(folder: Path) -> dict[str, Any] | None:
    answers = (git("rev-parse", "--show-toplevel", "HEAD", at=place) for place in _places())
    answer = next((found for found in answers if found is not None), None)
    if answer is None:
        return None
    top, commit = os.fsdecode(answer).split("\n")[:2]
    root = Path(top)
    new = os.fsdecode(git("ls-files", "--others", "--exclude-standard", "-z", at=root) or b"").split("\0")
    new = [name for name in new if name and not name.startswith(".afterfit/") and "/.afterfit/" not in name]
    kept, left_out = choose_new_files(root, new)
    with tempfile.TemporaryDirectory() as temporary:
        # In a copy of the index, so that new files show in the difference and the user's index stays as it is.
        index = Path(temporary) / "index"
        actual = (git("rev-parse", "--git-path", "index", at=root) or b"").decode().strip()
        if (root / actual).is_file():
            index.write_bytes((root / actual).read_bytes())
        for start in range(0, len(kept), 500):
            some = kept[start : start + 500]
            # Names are no patterns: git would refuse all of them for one that begins with a colon.
            git("--literal-pathspecs", "add", "--intent-to-add", "--", *some, at=root, index=index)
        diff = git("diff", "--binary", "--no-ext-diff", "--no-textconv", "HEAD", at=root, index=index) or b""
    if diff:
        (folder / DIFF).write_bytes(diff)
    return {
        "root": top,
        "commit": commit,
        "diff_sha256": hashlib.sha256(diff).hexdigest() if diff else None,
        "left_out": left_out,
    }


def _script(folder: Path) -> dict[str, Any] | None:
    """Outside of git: the script that Python was started with, where it is a file."""
    path = _script_path()
    if path is None:
        return None
    content = path.read_bytes()
    (folder / SCRIPT).write_bytes(content)
    return {"script": str(path), "sha256": hashlib.sha256(content).hexdigest()}


def seeds() -> dict[str, Any]:
    """The states of the generators that are shared by all code, such that `set_seeds` puts them back."""
    version, words, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    found: dict[str, Any] = {
        "random": [version, _packed(np.array(words, dtype="<u4").tobytes()), gauss],
        "numpy": [
            _packed(np.asarray(keys, dtype="<u4").tobytes()),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED"),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        found["torch"] = _packed(torch.get_rng_state().numpy().tobytes())
        found["torch_seed"] = torch.initial_seed()
    return found


def set_seeds(recorded: dict[str, Any]) -> None:
    """Put the generators into a recorded state; torch's where torch is imported."""
    version, words, gauss = recorded["random"]
    state = tuple(np.frombuffer(_unpacked(words), dtype="<u4").tolist())
    random.setstate((version, state, gauss))
    keys, position, has_gauss, cached = recorded["numpy"]
    np.random.set_state(
        (
            "MT19937",
            np.frombuffer(_unpacked(keys), dtype="<u4").astype(np.uint32),
            position,
            has_gauss,
            cached,
        )
    )
    torch = sys.modules.get("torch")
    if torch is not None and "torch" in recorded:
        torch.set_rng_state(torch.frombuffer(bytearray(_unpacked(recorded["torch"])), dtype=torch.uint8))


def seeds_digest(recorded: dict[str, Any]) -> str:
    """Twelve digits that tell states apart."""
    return hashlib.sha256(repr(sorted(recorded.items())).encode()).hexdigest()[:12]


def _packed(content: bytes) -> str:
    return base64.b85encode(zlib.compress(content, 1)).decode()


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b85decode(text))
