"""The server processes: granian in front of the application."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import signal
import socket
import ssl
import tempfile
import threading
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterfit.errors import ArgumentError, StartError
from afterfit.runtime import available_cores
from afterfit.serving._answers import AnswerLog
from afterfit.serving._data_plane import Limits, Policy
from afterfit.serving._security import Protection, check_protection, is_loopback
from afterfit.serving._sources import signature_beside, trusted_copy
from afterfit.serving._telemetry import Telemetry
from afterfit.serving._worker import Settings, is_news, make_application
from afterfit.store import Reference, find_place

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from granian.server.common import AbstractServer

    from afterfit.serving._sources import Source
    from afterfit.serving.contracts import VertexRoutes
    from afterfit.signing import Trust

BACKLOG = 2048
"""Connections the kernel holds for a worker before it accepts them."""

CONNECTIONS = 1024
"""Open connections a worker serves; the rest wait in the backlog."""

STOP_SECONDS = 25
"""Requests under way when the server is told to stop have this long to end."""


_STDERR = {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stderr"}
_LOGGING = {"handlers": {"console": _STDERR, "access": _STDERR}}
"""granian writes its log to standard output otherwise, where the ready line is."""


def serve(
    paths: Sequence[str | os.PathLike[str] | Reference],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    limits: Limits | None = None,
    policy: Policy | None = None,
    store: str | None = None,
    vertex: VertexRoutes | None = None,
    protection: Protection | None = None,
    telemetry: Telemetry | None = None,
    trust: Trust | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve bundles over HTTP until SIGINT or SIGTERM; must be called in the main thread.

    `port` 0 takes a free one. Each of `workers` processes holds every model. Workers and the threads that they spread
    many rows over are no more than the cores of this machine, or of this container.
    `on_ready` is called, from another thread, with the server's URL once it answers there.

    A `Reference` is looked up in the store at the URL `store` (by default the one found from the working
    directory), and followed: where an alias moves, every worker serves the version it names within a second.

    Of several versions of one model the last is the one that answers where no version is named. `vertex`: the paths
    that Vertex AI asks for. `protection`: who may call, and over what; without it nobody is asked for a key, and only
    loopback may be listened on. `telemetry`: what is told of each request. With `trust`, only bundles that somebody
    trusted signed are served, at the start and on every swap: files by the signature in `<path>.sig`, versions of the
    store by those that it keeps.

    Raises BundleError for a file that is no bundle to be trusted, StoreError for what the store does not have,
    SignatureError for what nobody trusted signed, and ArgumentError where one version is given twice, there are more
    workers than cores, granian is not installed, the address cannot be taken, or others could reach it and there are
    no keys; nothing is started then. StartError where a worker cannot load a bundle at the start, or it fails its
    golden replay. SystemExit with code 1 where a worker ends before the server has answered, or cannot be replaced.
    """
    if not paths:
        raise ArgumentError("no bundle to serve was given")
    threads = thread_budget(workers, available_cores())
    if importlib.util.find_spec("granian") is None:
        raise ArgumentError('the server needs granian: pip install "afterfit[serve]"')
    protection = protection or Protection()
    check_protection(protection, host, workers)
    sources = [path if isinstance(path, Reference) else str(Path(path).resolve()) for path in paths]
    stored = any(isinstance(source, Reference) for source in sources)
    telemetry = telemetry or Telemetry()
    telemetry.check()
    url_of_store = find_place(store).url if stored else None
    _audit(sources, url_of_store, trust)
    port = _claim(host, port)
    url = f"http{'s' if protection.is_encrypted else ''}://{f'[{host}]' if ':' in host else host}:{port}"
    counts = tempfile.mkdtemp(prefix="afterfit-")
    settings = Settings(
        tuple(sources),
        counts,
        limits or Limits(),
        policy or Policy(),
        url_of_store,
        vertex,
        protection=protection,
        is_local=is_loopback(host),
        workers=workers,
        telemetry=telemetry,
        threads=threads,
        trust=trust,
    )
    stopped = threading.Event()
    try:
        server = _make_granian(settings, host, port, workers)

        def ready(url: str) -> None:
            settings.started.touch()
            settings.failure.unlink(missing_ok=True)
            server.respawn_failed_workers = True
            if on_ready is not None:
                on_ready(url)

        threading.Thread(target=_announce, args=(host, url, ready, stopped), daemon=True).start()
        with nullcontext() if url_of_store is None else AnswerLog(Path(counts), url_of_store, port):
            _run_granian(server, settings)
    finally:
        stopped.set()
        shutil.rmtree(counts, ignore_errors=True)


def thread_budget(workers: int, cores: int) -> int:
    """Threads on which each worker runs its models, so that all of them together do not exceed the cores.

    Raises ArgumentError where there are more workers than cores: they would only take turns.
    """
    if workers < 1:
        raise ArgumentError(f"{workers} workers; at least 1 is needed")
    if workers > cores:
        have = "1 core" if cores == 1 else f"{cores} cores"
        raise ArgumentError(f"{workers} workers would take turns on {have}; start at most {cores}")
    return cores // workers


def _audit(sources: Sequence[Source], store: str | None, trust: Trust | None) -> None:
    """Open every bundle once before anything is started."""
    from afterfit.bundle import read_bundle

    if store is not None:
        _audit_stored([source for source in sources if isinstance(source, Reference)], store, trust)
    seen: dict[tuple[str, str], str] = {}
    for path in (source for source in sources if isinstance(source, str)):
        with trusted_copy(Path(path), trust, partial(signature_beside, Path(path))) as own:
            bundle = read_bundle(own)
        key = (bundle.manifest.name, bundle.version)
        if key in seen:
            raise ArgumentError(f"{seen[key]} and {path} are one version of {key[0]!r}; serve one of them")
        seen[key] = path


def _audit_stored(references: Sequence[Reference], url: str, trust: Trust | None) -> None:
    from afterfit.bundle import read_bundle
    from afterfit.store import Store

    with Store(url) as store:
        for reference in references:
            version = store.resolve(reference)
            path = store.fetch(version)
            with trusted_copy(path, trust, partial(store.signatures, version), str(version)) as own:
                read_bundle(own)


def _make_granian(settings: Settings, host: str, port: int, workers: int) -> AbstractServer[Any]:
    from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from granian.server import Server

    protection = settings.protection
    server: AbstractServer[Any] = Server(
        "afterfit",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=workers,
        http=HTTPModes.http1,
        websockets=False,
        loop=Loops.uvloop if importlib.util.find_spec("uvloop") is not None else Loops.asyncio,
        backlog=BACKLOG,
        backpressure=CONNECTIONS,
        # It ends connections without a request, too.
        http1_settings=HTTP1Settings(header_read_timeout=round(settings.limits.client_seconds * 1000)),
        ssl_cert=None if protection.certificate is None else Path(protection.certificate),
        ssl_key=None if protection.private_key is None else Path(protection.private_key),
        ssl_protocol_min=SSLProtocols.tls12,
        # Until the server has answered: the next worker would fail as the first did.
        respawn_failed_workers=False,
        workers_kill_timeout=STOP_SECONDS,
        log_level=LogLevels.error,
        log_dictconfig=_LOGGING,
    )
    if hasattr(signal, "SIGHUP"):
        # granian would replace the workers; ours load their bundles anew, and keep the old ones if they cannot.
        hear = partial(signal.signal, signal.SIGHUP, lambda *_: Path(settings.trigger).touch())
        server.on_startup(hear)
    return server


def _run_granian(server: AbstractServer[Any], settings: Settings) -> None:
    log, news = logging.getLogger("_granian"), partial(is_news, settings)
    log.addFilter(news)
    try:
        server.serve(target_loader=partial(make_application, settings), wrap_loader=False)
    except SystemExit:
        if settings.failure.exists():
            raise StartError(settings.failure.read_text(encoding="utf-8")) from None
        raise
    finally:
        log.removeFilter(news)


def _claim(host: str, port: int) -> int:
    """The port to bind. Workers share it by SO_REUSEPORT, which would let a second server in silently."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            claimed: int = probe.getsockname()[1]
            return claimed
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ArgumentError(f"cannot listen on {host}:{port}: {reason}") from None


def _announce(host: str, url: str, on_ready: Callable[[str], None], stopped: threading.Event) -> None:
    """Call `on_ready` as soon as the server answers."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared with, not bound
    port = int(url.rpartition(":")[2])
    while not stopped.wait(0.005):
        if _answers(target, port, is_encrypted=url.startswith("https")):
            on_ready(url)
            return


def _answers(host: str, port: int, *, is_encrypted: bool) -> bool:
    request = b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    with suppress(OSError), socket.create_connection((host, port), timeout=5) as plain:
        connection = plain
        if is_encrypted:
            # Whether it answers is asked, not who it is.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = context.wrap_socket(plain)
        with connection:
            connection.sendall(request)
            return connection.recv(12) == b"HTTP/1.1 200"
    return False
