"""Bundles to push, and the two kinds of store: a folder, and PostgreSQL with an S3 server on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from afterfit.bundle import encode_json, read_bundle, write_bundle
from afterfit.store import Store

BUNDLES = 6


def rewrite(
    source: Path, target: Path, *, metrics: dict[str, float] | None = None, **manifest: object
) -> Path:
    """A copy of a bundle with other metrics, or other words in its manifest."""
    bundle = read_bundle(source)
    entries = dict(bundle.entries)
    if metrics is not None:
        entries["training/metrics.json"] = encode_json(metrics)
    write_bundle(
        target,
        manifest=msgspec.structs.replace(bundle.manifest, **manifest),
        schema=bundle.schema,
        graph=bundle.graph,
        golden=bundle.golden,
        entries=entries,
    )
    return target


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Bundles of one model, called `line`, with different metrics; small, and made without a framework."""
    frozen = Path(__file__).parents[1] / "compat" / "format1" / "scaler.afit"
    folder = tmp_path_factory.mktemp("bundles")
    return [
        rewrite(frozen, folder / f"{number}.afit", metrics={"auc": 0.5 + number / 100}, name="line")
        for number in range(BUNDLES)
    ]


def newest_postgres() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server of our own, on a free port of loopback."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    programs = newest_postgres()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    # Not below pytest's own folder, which only its owner may enter: initdb refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="afterfit-postgres-"))
    user = pwd.getpwnam("postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name)
    run_as = {"user": user.pw_uid, "group": user.pw_gid} if os.getuid() == 0 else {}
    if run_as:
        os.chown(folder, user.pw_uid, user.pw_gid)
    data = folder / "data"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **run_as}
    subprocess.run(
        [programs / "initdb", "-D", data, "-A", "trust", "-U", "afterfit", "--no-sync", "-E", "UTF8"],
        check=True,
        **quiet,
    )
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F"], **quiet
    )
    try:
        ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-t", "60"]
        for _ in range(600):
            if subprocess.run(ready, check=False, **quiet).returncode == 0:
                break
            assert server.poll() is None, "PostgreSQL ended"
        yield f"postgresql://afterfit@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def object_server() -> Iterator[str]:
    """The URL of an S3 server on loopback."""
    pytest.importorskip("obstore", reason="obstore is not installed")
    moto = pytest.importorskip("moto.server", reason="moto's server is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(params=["folder", "server"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty store that nobody opened before."""
    if request.param == "folder":
        return str(tmp_path / "store")
    server, endpoint = request.getfixturevalue("postgres"), request.getfixturevalue("object_server")
    return make_server_store(server, endpoint, tmp_path, monkeypatch)


def make_server_store(server: str, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    import httpx
    import psycopg

    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AFTERFIT_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    assert httpx.put(f"{endpoint}/{name}").status_code == 200
    return f"{server}/{name}?blobs=s3://{name}/bundles"


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store(store_url, create=True) as opened:
        yield opened
