"""One worker: the application it answers with, the bundles it loads and watches."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING

from afterfit.errors import AfterfitError
from afterfit.serving._data_plane import DataPlane, Limits, Policy
from afterfit.serving._security import CrossOrigin, Protection, drop_unread, make_gate
from afterfit.serving._telemetry import Telemetry, open_recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from afterfit.runtime import Model
    from afterfit.serving._exchange import Contract
    from afterfit.serving._http import Application
    from afterfit.serving._sources import Loaded, Source
    from afterfit.serving._swap import Stamp
    from afterfit.serving.contracts import VertexRoutes
    from afterfit.signing import Trust
    from afterfit.store import Version

    Looked = tuple[Stamp, list[Stamp | Version]]


_TELL_SECONDS = 0.5

GAUGE_SECONDS = 1.0
"""How often a worker brings its gauges up to date."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a worker needs to know; it crosses to the worker's process."""

    sources: tuple[Source, ...]
    counts: str
    """The folder where the workers count."""
    limits: Limits = field(default_factory=Limits)
    policy: Policy = field(default_factory=Policy)
    store: str | None = None
    """The URL of the store that the references among `sources` are in."""
    vertex: VertexRoutes | None = None
    """The paths of Vertex AI, where it runs the server."""
    protection: Protection = field(default_factory=Protection)
    is_local: bool = True
    """Whether the server listens on loopback alone."""
    workers: int = 1
    telemetry: Telemetry = field(default_factory=Telemetry)
    threads: int = 1
    """Threads that a worker spreads many rows over."""
    trust: Trust | None = None
    """Whose signature every bundle must have; None: none need be signed."""

    @property
    def trigger(self) -> str:
        """The file whose change makes every worker load its bundles anew."""
        return os.path.join(self.counts, "reload")  # noqa: PTH118 - a string, as the bundles' paths are

    @property
    def started(self) -> Path:
        """The file that is there once the server has answered."""
        return Path(self.counts, "started")

    @property
    def failure(self) -> Path:
        """The file in which a worker says why it could not start, before the server has answered."""
        return Path(self.counts, "failure")


def make_application(settings: Settings) -> Application | CrossOrigin:
    """The application of one worker, which loads the bundles when it starts and watches them from then on."""
    from afterfit.serving._http import Application
    from afterfit.serving._meters import ServerMeter
    from afterfit.serving._repository import Repository
    from afterfit.serving._sources import Sources
    from afterfit.serving._swap import BundleWatcher, stamp
    from afterfit.serving.contracts import (
        KServeContract,
        MlflowContract,
        NativeContract,
        OpenInferenceContract,
        OperationsContract,
        StoreContract,
        VertexContract,
    )

    _log_to_stderr()
    logging.getLogger("_granian").addFilter(partial(is_news, settings))
    _end_with_parent()
    meter = ServerMeter(Path(settings.counts))
    recorder = open_recorder(settings.telemetry, os.environ)
    sources = Sources(settings.sources, settings.store, threads=settings.threads, trust=settings.trust)

    def in_service() -> list[Model]:
        return [one.model for one in sources.loaded if not repository.is_unloaded(one.model.name)]

    def open_plane() -> DataPlane:
        found = look()
        # A change while the models are loaded would be missed by a watcher that looks only afterwards.
        watcher.begin(found)
        sources.adopt(load(found))
        plane = DataPlane(in_service(), settings.limits, settings.policy, meter)
        _settle_memory()
        return plane

    def contracts(plane: DataPlane) -> list[Contract]:
        spoken: list[Contract] = [
            NativeContract(plane),
            OperationsContract(plane, meter),
            OpenInferenceContract(plane, repository),
            MlflowContract(plane),
            KServeContract(plane),
        ]
        if settings.vertex is not None:
            spoken.append(VertexContract(plane, settings.vertex))
        if settings.store is not None:
            spoken.append(StoreContract(sources))
        return spoken

    def look() -> Looked:
        return stamp(settings.trigger), sources.look()

    def load(found: Looked) -> list[Loaded]:
        return sources.load(found[1])

    def swap(loaded: Sequence[Loaded]) -> None:
        sources.adopt(loaded)
        application.replace(in_service())

    watcher = BundleWatcher(look, load, swap)
    trigger = Path(settings.trigger)
    repository = Repository(trigger.with_name("unloaded"), trigger, watcher.look)
    gate = make_gate(
        settings.protection,
        is_local=settings.is_local,
        board=meter.board,
        folder=Path(settings.counts),
        workers=settings.workers,
    )

    async def beside() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(watcher.run())
                group.create_task(_keep_fresh(application))
                group.create_task(gate.follow())
                group.create_task(_drop_unread(settings.limits.client_seconds))
        finally:
            if recorder is not None:
                recorder.close()

    application = Application(
        partial(_open_or_say_why, open_plane, settings),
        contracts,
        gate=gate,
        observer=meter,
        recorder=recorder,
        meanwhile=beside,
    )
    origins = settings.protection.origins
    return CrossOrigin(application, origins) if origins else application


def _open_or_say_why(open_plane: Callable[[], DataPlane], settings: Settings) -> DataPlane:
    """At the start of a server all workers fail alike: the process that started them says so, once, and why."""
    try:
        return open_plane()
    except AfterfitError as error:
        if not settings.started.exists():
            draft = settings.failure.with_suffix(f".{os.getpid()}")
            draft.write_text(str(error), encoding="utf-8", errors="backslashreplace")
            draft.replace(settings.failure)
        raise


def is_news(settings: Settings, record: logging.LogRecord) -> bool:
    """A filter of granian's log: that a worker ended is no news where it says itself why."""
    del record
    return not settings.failure.exists()


async def _drop_unread(seconds: float) -> None:
    """The socket is opened a moment after the application has started."""
    while sys.platform == "linux" and not drop_unread(seconds):
        await asyncio.sleep(0.05)


async def _keep_fresh(application: Application) -> None:
    """Whichever worker is asked for the metrics shows the gauges of all, so each keeps its own up to date."""
    while True:
        application.refresh_gauges()
        await asyncio.sleep(GAUGE_SECONDS)


def _settle_memory() -> None:
    """Requests leave no cycles behind; collecting after every few hundred objects would only cost time."""
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _end_with_parent() -> None:
    """Stop this worker when the process that started it is gone, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        wait([parent.sentinel])
        # Again and again: while the worker starts there are moments at which it hears no signal.
        while True:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_TELL_SECONDS)

    threading.Thread(target=follow, daemon=True).start()


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log = logging.getLogger("afterfit")
    log.handlers = [handler]
    log.propagate = False
