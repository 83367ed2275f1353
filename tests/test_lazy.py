"""Names of packages are imported when they are first asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PACKAGES = ["afterfit", "afterfit.lowering", "afterfit.store", "afterfit.tracking"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_there_and_what_its_home_has(package: str):
    module = importlib.import_module(package)
    for name, home in module._HOMES.items():
        assert name in module.__all__
        assert getattr(module, name) is getattr(importlib.import_module(f"{package}.{home}"), name)
        assert name in vars(module)
    for name in module.__all__:
        getattr(module, name)


@pytest.mark.parametrize("package", PACKAGES)
def test_another_name_is_no_attribute(package: str):
    with pytest.raises(AttributeError, match=rf"^module '{package}' has no attribute 'sav'$"):
        importlib.import_module(package).sav  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'sav'"):
        exec(f"from {package} import sav")


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_no_home(package: str):
    code = (
        f"import sys, {package} as package\n"
        "homes = {f'{package.__name__}.{home}' for home in package._HOMES.values()}\n"
        "print(sorted(homes & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
