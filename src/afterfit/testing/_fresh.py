"""A process that has the runtime and no framework, to ask what a bundle answers there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from afterfit.testing._frames import arrays_of, frames_of, receive, send

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

FRAMEWORKS = (
    "sklearn",
    "scipy",
    "torch",
    "keras",
    "tensorflow",
    "xgboost",
    "lightgbm",
    "catboost",
    "onnx",
    "spox",
    "ndonnx",
)
"""Packages that a bundle has to answer without."""


class FreshProcess:
    """A child process that loads bundles and answers, in which no framework can be imported.

    One process may serve many checks; it is a context manager, and `close` ends it. Used from one thread at a time.
    `timeout`: seconds after which an answer is given up and the process ended.
    """

    def __init__(self, *, timeout: float = 300.0) -> None:
        self.timeout = timeout
        home = str(Path(__file__).parents[2])
        path = os.pathsep.join(part for part in (home, os.environ.get("PYTHONPATH", "")) if part)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "afterfit.testing._worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )

    def answer(
        self,
        path: str | os.PathLike[str],
        packed: Mapping[str, NDArray[Any]],
        outputs: Sequence[str],
        *,
        without: Iterable[str] = (),
    ) -> dict[str, NDArray[Any]]:
        """Load the bundle at `path` there, replay its golden rows, and run it on `packed` inputs.

        `without`: packages that cannot be imported there either, beside `FRAMEWORKS`. Returns `outputs` by name.

        Raises `AssertionError` where the bundle cannot be loaded, does not answer its golden rows, or the process
        ends or takes longer than `timeout`.
        """
        request = msgspec.msgpack.encode(
            {
                "path": os.fspath(path),
                "without": sorted({*FRAMEWORKS, *without}),
                "packed": frames_of(packed),
                "outputs": list(outputs),
            }
        )
        reply = self._exchange(request)
        if "error" in reply:
            raise AssertionError(f"in a process without the framework: {reply['error']}")
        return arrays_of(reply["answers"])

    def _exchange(self, request: bytes) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None or stdin.closed:
            raise AssertionError("the process without the framework was closed; make another FreshProcess")
        timer = threading.Timer(self.timeout, self._process.kill)
        timer.start()
        try:
            send(stdin, request)
            reply = receive(stdout)
        except (BrokenPipeError, EOFError) as error:
            code = self._process.wait()
            raise AssertionError(
                f"the process without the framework ended with exit code {code} before it answered, or was ended "
                f"after {self.timeout:g} seconds; what it said is on standard error"
            ) from error
        finally:
            timer.cancel()
        decoded: dict[str, Any] = msgspec.msgpack.decode(reply)
        return decoded

    def close(self) -> None:
        """End the process; a second time does nothing."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        self._process.wait()

    def __enter__(self) -> FreshProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
