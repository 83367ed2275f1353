"""What the process that opens files of strangers may use, whatever is in them."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEVER = (
    "os.system",
    "os.exec",
    "os.spawn",
    "os.startfile",
    "pty.spawn",
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.sendto",
    "webbrowser.open",
)
"""Events of Python that adopting a model never has."""

_NOT_WHILE_READING = (
    "ctypes.dlopen",
    "os.chmod",
    "os.fork",
    "os.forkpty",
    "os.link",
    "os.mkdir",
    "os.posix_spawn",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.truncate",
    "shutil.rmtree",
    "subprocess.Popen",
)
"""Events that reading a pickle never has, though proving the model may."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Limits:
    """Bounds of memory and time, and a guard that Python itself consults before it acts.

    The allow-list keeps a pickle from calling anything; these hold if it should ever fail.
    """

    def __init__(self, *, memory: int, seconds: int) -> None:
        self._reading = False
        # Writing compiled modules would be a new file.
        sys.dont_write_bytecode = True
        sys.addaudithook(self._audit)
        if sys.platform == "win32":
            return
        import resource

        _lower(resource.RLIMIT_AS, memory)
        # The time of all threads together; the process that started this one bounds the time that passes.
        _lower(resource.RLIMIT_CPU, seconds * (os.cpu_count() or 1))
        _lower(resource.RLIMIT_CORE, 0)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While a file is read: no new files, no processes, no libraries loaded by name."""
        self._reading = True
        try:
            with _no_writing():
                yield
        finally:
            self._reading = False

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _NEVER or (self._reading and event in _NOT_WHILE_READING):
            raise PermissionError(f"the file tried {event}, which reading a model never does")
        if self._reading and event == "open":
            _, mode, flags = arguments
            if (isinstance(mode, str) and not set(mode).isdisjoint("wax+")) or (flags or 0) & _WRITES:
                raise PermissionError("the file tried to write, which reading a model never does")


def _lower(kind: int, limit: int) -> None:
    import resource

    _, hard = resource.getrlimit(kind)
    bound = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (bound, bound))


@contextmanager
def _no_writing() -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
