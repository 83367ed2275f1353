"""Clients that do not read their answers: granian has no time-out for them, and the kernel has one."""

from __future__ import annotations

import os
import socket
import stat
import sys
from contextlib import suppress


def drop_unread(seconds: float) -> int:
    """Have the kernel end connections whose client takes nothing of what was sent to it for `seconds`.

    It is set on every listening socket of this process, from which connections inherit it. Returns on how many;
    none where the kernel is not Linux.
    """
    if sys.platform != "linux":
        return 0
    found = 0
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are all that is wanted
        # Descriptors come and go meanwhile.
        with suppress(OSError):
            descriptor = int(name)
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                found += _bound(os.dup(descriptor), round(seconds * 1000))
    return found


def _bound(descriptor: int, milliseconds: int) -> bool:
    """Set it on a socket if that listens; closes the descriptor."""
    with socket.socket(fileno=descriptor) as one:
        if one.family not in {socket.AF_INET, socket.AF_INET6}:
            return False
        if not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return False
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        return True
