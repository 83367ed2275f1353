"""What has to hold before an alias moves forward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from afterfit.bundle import read_bundle
from afterfit.errors import BundleError, SignatureError, StoreError
from afterfit.promotion._compatible import incompatibilities
from afterfit.runtime import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterfit.bundle import Bundle
    from afterfit.promotion._gates import MetricGate
    from afterfit.signing import Trust
    from afterfit.store import Store, Version


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was checked, whether it holds, and what was found; lines after the first are details."""

    check: str
    holds: bool
    detail: str


def check_promotion(
    store: Store,
    challenger: Version,
    current: Version | None,
    gates: Sequence[MetricGate] = (),
    trust: Trust | None = None,
) -> list[Check]:
    """Every gate between `challenger` and an alias that names `current` now (None: nothing yet).

    The bytes and the audit, the golden rows replayed, the schema against that of `current`, the signature where
    `trust` says whose, and the gates on metrics. All are run, whichever fails; those that need a bundle that cannot
    be opened are left out.
    """
    try:
        bundle = read_bundle(store.fetch(challenger))
    except (BundleError, StoreError) as error:
        return [Check("audit", holds=False, detail=str(error))]
    if bundle.digest != challenger.digest:
        return [
            Check("audit", holds=False, detail=f"the bundle is sha256:{bundle.digest}, not the one pushed")
        ]
    checks = [
        Check("audit", holds=True, detail=f"format {bundle.manifest.format}; no rule is broken"),
        _replay(bundle),
        _schema(store, bundle, current),
        *([] if trust is None else [_signature(store, challenger, trust)]),
    ]
    metrics = None if current is None else current.metrics
    for gate in gates:
        holds, why = gate.judge(challenger.metrics, metrics)
        checks.append(Check(str(gate), holds, why))
    return checks


def _replay(bundle: Bundle) -> Check:
    try:
        report = Model(bundle, threads=1).verify()
    except BundleError as error:
        return Check("golden rows", holds=False, detail=str(error))
    if report.ok:
        return Check("golden rows", holds=True, detail=f"{report.golden_rows} rows answered as saved")
    failures = "\n".join(report.failures[:5])
    return Check(
        "golden rows",
        holds=False,
        detail=f"{len(report.failures)} answers differ from those saved\n{failures}",
    )


def _schema(store: Store, bundle: Bundle, current: Version | None) -> Check:
    if current is None:
        return Check("schema", holds=True, detail="there is no version to replace yet")
    found = incompatibilities(read_bundle(store.fetch(current)), bundle)
    if not found:
        return Check("schema", holds=True, detail=f"takes what {current} takes, and answers in the same form")
    return Check("schema", holds=False, detail=f"not compatible with {current}\n" + "\n".join(found))


def _signature(store: Store, challenger: Version, trust: Trust) -> Check:
    try:
        who = trust.verify_any(store.signatures(challenger), challenger.blob, str(challenger))
    except SignatureError as error:
        return Check("signature", holds=False, detail=str(error))
    return Check("signature", holds=True, detail=f"signed by {who}")
