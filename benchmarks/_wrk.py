"""wrk, and what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from _processes import cpu_seconds, held_to

CLIENT_CORE = 1
SCRIPT = """
local headers = {["Content-Type"] = "%(media_type)s", ["Accept"] = "%(accept)s"}
local requests = {}
init = function()
  for number = 1, %(count)d do
    local file = io.open("%(folder)s/" .. number, "rb")
    requests[number] = wrk.format("POST", "%(path)s", headers, file:read("*a"))
    file:close()
  end
end
local turn = 0
request = function()
  turn = turn %% #requests + 1
  return requests[turn]
end
"""


@dataclass(frozen=True)
class Load:
    rate: float
    cpu: float
    p50: float
    p99: float
    bad: int


def write_requests(
    folder: Path, bodies: list[bytes], path: str, media_type: str = "application/json", accept: str = "*/*"
) -> Path:
    """The script by which wrk sends the bodies in turn."""
    folder.mkdir()
    for number, body in enumerate(bodies, 1):
        (folder / str(number)).write_bytes(body)
    script = folder / "wrk.lua"
    filled = {
        "folder": folder,
        "count": len(bodies),
        "path": path,
        "media_type": media_type,
        "accept": accept,
    }
    script.write_text(SCRIPT % filled)
    return script


def load(
    wrk: str, script: Path, port: int, pid: int, connections: int, seconds: int, doubled: int = 3
) -> Load:
    """Put load on the server for some seconds; twice as many where no answer came."""
    before = cpu_seconds(pid)
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s"]
    command += ["-s", str(script), f"http://127.0.0.1:{port}/"]
    with held_to(CLIENT_CORE):
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    answered = int(_found(r"(\d+) requests in", said))
    if answered == 0:
        if not doubled:
            sys.exit(f"nothing was answered in {seconds} seconds")
        return load(wrk, script, port, pid, connections, 2 * seconds, doubled - 1)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    return Load(
        rate=float(_found(r"Requests/sec:\s+([\d.]+)", said)),
        cpu=(cpu_seconds(pid) - before) / answered,
        p50=_seconds(_found(r"50%\s+([\d.]+\w+)", said)),
        p99=_seconds(_found(r"99%\s+([\d.]+\w+)", said)),
        bad=(int(bad[1]) if bad else 0) + (sum(map(int, errors.groups())) if errors else 0),
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        sys.exit(f"wrk said something unexpected:\n{text}")
    return match[1]


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)(\w+)", text)
    if match is None:
        sys.exit(f"wrk gives a time as {text}")
    return float(match[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}[match[2]]
