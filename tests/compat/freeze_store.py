"""Freeze a store of the present schema: `python tests/compat/freeze_store.py`. One that is there is never changed."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from afterfit.store import Store
from afterfit.store._records import SCHEMA_VERSION

HERE = Path(__file__).parent


def freeze(target: Path) -> None:
    """Two versions, an alias that was promoted twice and rolled back once."""
    if target.exists():
        sys.exit(f"{target} is frozen already")
    with tempfile.TemporaryDirectory() as folder:
        with Store(Path(folder) / "store", create=True) as store:
            for name in ("scaler", "boosted"):
                store.push(HERE / "format1" / f"{name}.afit", name="scaler", by="ann")
            store.promote("scaler", "production", 1, because="first", by="ann", evidence={"auc": 0.5})
            store.promote("scaler", "production", 2, because="better", by="ben")
            store.rollback("scaler", "production", because="worse", by="ann")
        shutil.copytree(Path(folder) / "store", target, ignore=shutil.ignore_patterns("drafts"))


if __name__ == "__main__":
    freeze(HERE / f"store{SCHEMA_VERSION}")
