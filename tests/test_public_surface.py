"""The names people import, pinned; and what importing afterfit costs."""

from __future__ import annotations

import json
import subprocess
import sys

import afterfit
from afterfit import errors

PUBLIC = {
    "AfterfitError",
    "ArgumentError",
    "ArrayModel",
    "AuditError",
    "BundleError",
    "BundleFormatError",
    "CaptureError",
    "CellError",
    "ForgottenPreprocessingError",
    "Model",
    "ParityError",
    "Report",
    "Run",
    "SchemaError",
    "UnsupportedModelError",
    "__version__",
    "adopt",
    "inverts",
    "load",
    "run",
    "lowers",
    "save",
    "transforms",
}

PUBLIC_FOR_LOWERINGS = {
    "Analysis",
    "Block",
    "Classification",
    "Context",
    "Labels",
    "Learned",
    "Lowered",
    "OneHot",
    "Origin",
    "RawColumn",
    "Regression",
    "Step",
    "TEXT",
    "Table",
    "Terms",
    "Thresholds",
    "adapts",
    "concatenate",
    "constant",
    "exports",
    "find_adapter",
    "find_export",
    "find_framework",
    "find_lowering",
    "framework_errors",
    "inverts",
    "label_values",
    "lowers",
    "public_name",
    "raises",
    "registered",
    "round_to_float32",
    "transforms",
}


def modules_after(code: str) -> set[str]:
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_the_public_names_are_these():
    assert set(afterfit.__all__) == PUBLIC
    assert set(dir(afterfit)) == PUBLIC
    for name in PUBLIC:
        assert getattr(afterfit, name) is not None


def test_the_tools_of_a_lowering_are_these():
    from afterfit import lowering

    assert set(lowering.__all__) == PUBLIC_FOR_LOWERINGS
    assert set(dir(lowering)) == PUBLIC_FOR_LOWERINGS
    for name in PUBLIC_FOR_LOWERINGS:
        assert getattr(lowering, name) is not None


def test_registering_a_lowering_loads_no_library():
    loaded = modules_after(
        "import afterfit\n@afterfit.lowers('package.Class')\ndef lower(estimator, X, context): return X"
    )
    assert not loaded & {"numpy", "spox", "onnx", "sklearn", "onnxruntime"}


def test_a_name_that_does_not_exist_is_an_attribute_error():
    try:
        _ = afterfit.loads  # type: ignore[attr-defined]
    except AttributeError as error:
        assert "loads" in str(error)
    else:
        raise AssertionError("afterfit.loads should not exist")


def test_every_error_descends_from_the_root_and_is_in_the_tree():
    for name in errors.__all__:
        error = getattr(errors, name)
        if issubclass(error, Exception):
            assert issubclass(error, afterfit.AfterfitError)
            assert name in (errors.__doc__ or "")


def test_importing_afterfit_loads_no_library():
    loaded = modules_after("import afterfit")
    assert not loaded & {
        "numpy",
        "onnxruntime",
        "msgspec",
        "rich",
        "click",
        "narwhals",
        "sklearn",
        "onnx",
        "spox",
    }


def test_loading_the_runtime_needs_only_numpy_onnxruntime_and_msgspec():
    loaded = modules_after("from afterfit import load")
    ours_alone = {"numpy", "onnxruntime", "msgspec"}
    assert ours_alone - {"onnxruntime"} <= loaded
    unwanted = {
        "onnx",
        "spox",
        "sklearn",
        "scipy",
        "pandas",
        "polars",
        "pyarrow",
        "narwhals",
        "rich",
        "click",
    }
    assert not loaded & unwanted
