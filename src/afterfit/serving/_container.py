"""How the platforms that run containers say what is to be served, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from afterfit.serving.contracts import VertexRoutes
    from afterfit.store import Reference

MODEL_FOLDER = "/opt/ml/model"
"""Where SageMaker puts the model."""

FOLDER_VARIABLE = "AFTERFIT_MODEL_DIR"
"""The environment variable that names another folder."""


@dataclass(frozen=True, slots=True)
class Container:
    """What a platform asks of the server that it starts without arguments.

    `insecure`: the platform lets nobody reach the container but itself, and checks who calls it. `notes`: sentences
    for the log.
    """

    paths: Sequence[str | os.PathLike[str] | Reference]
    host: str = "0.0.0.0"  # noqa: S104 - the platform reaches the container from outside
    port: int = 8080
    vertex: VertexRoutes | None = None
    insecure: bool = False
    notes: tuple[str, ...] = field(default=())


def find_container(environment: Mapping[str, str]) -> Container:
    """The bundles of the model folder, and the port and paths that Vertex AI sets (`AIP_*`).

    SageMaker: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html.
    Vertex AI: https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements.

    Raises ArgumentError where the folder holds no bundle or a variable is malformed.
    """
    folder = Path(environment.get(FOLDER_VARIABLE, MODEL_FOLDER))
    paths = sorted(str(path) for path in folder.glob("*.afit") if path.is_file())
    notes = []
    storage = environment.get("AIP_STORAGE_URI")
    if storage:
        notes.append(
            f"AIP_STORAGE_URI is ignored: afterfit downloads nothing; what is served is in {folder}."
        )
    if not paths:
        raise ArgumentError(
            f"no bundle to serve was given, and {folder} holds none; name one, or put a .afit file there"
            + (" (AIP_STORAGE_URI is ignored: copy the bundle into the image)" if storage else "")
        )
    port = environment.get("AIP_HTTP_PORT", "8080")
    if not (port.isascii() and port.isdigit()) or not 0 <= int(port[:6]) <= 65535:
        raise ArgumentError(f"AIP_HTTP_PORT is {port[:20]!r}; it must be a port, such as 8080")
    return Container(
        tuple(paths), port=int(port), vertex=_vertex(environment), insecure=True, notes=tuple(notes)
    )


def _vertex(environment: Mapping[str, str]) -> VertexRoutes | None:
    from afterfit.serving.contracts import VertexRoutes

    if not any(environment.get(name) for name in ("AIP_HTTP_PORT", "AIP_HEALTH_ROUTE", "AIP_PREDICT_ROUTE")):
        return None
    paths = {
        name: environment.get(name) or default
        for name, default in (
            ("AIP_HEALTH_ROUTE", "/health/ready"),
            ("AIP_PREDICT_ROUTE", "/v1/instances:predict"),
        )
    }
    for name, path in paths.items():
        if not path.startswith("/"):
            raise ArgumentError(f"{name} is {path[:100]!r}; it must be a path that begins with /")
    return VertexRoutes(paths["AIP_HEALTH_ROUTE"], paths["AIP_PREDICT_ROUTE"])
