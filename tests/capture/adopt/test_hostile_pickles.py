"""Pickles that would run something: each is refused by name, and nothing ran."""

from __future__ import annotations

import bz2
import copyreg
import gzip
import io
import lzma
import os
import pickle
import struct
import subprocess
import zlib
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import afterfit
from afterfit.capture._adopt._allowed import AllowList
from afterfit.capture._adopt._open import unpickle
from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCALER = StandardScaler().fit(np.arange(6.0).reshape(3, 2))
OWNED = "owned"
"""The file that every attack here would make, in the present folder."""


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def attack() -> Calls:
    return Calls(os.system, f"touch {OWNED}")


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def call(module: str, attribute: str, *arguments: bytes) -> bytes:
    return name(module, attribute) + b"(" + b"".join(arguments) + b"tR"


TOUCH = text(f"touch {OWNED}")
SYSTEM = name("posix" if os.name == "posix" else "nt", "system")


def with_attribute(value: Any) -> StandardScaler:
    scaler = StandardScaler().fit(np.arange(6.0).reshape(3, 2))
    scaler.extra = value
    return scaler


def object_array(value: Any) -> np.ndarray:
    array = np.empty(2, dtype=object)
    array[0] = value
    return array


def joblib_bytes(value: Any, **settings: Any) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file, **settings)
    return file.getvalue()


def build(instance: bytes, state: bytes) -> bytes:
    return b"\x80\x04" + instance + state + b"b."


def shadowed() -> bytes:
    """An estimator given a `__setstate__` of its own by a first state, which a second one would call."""
    made = name("sklearn.preprocessing._data", "StandardScaler") + b")\x81"
    first = b"}" + text("__setstate__") + name("numpy", "mean") + b"s"
    return b"\x80\x04" + made + first + b"b" + SYSTEM + b"b."


def extension() -> bytes:
    copyreg.add_extension("posix", "system", 0x1234)
    return b"\x80\x02\x83" + struct.pack("<H", 0x1234) + b"(" + TOUCH + b"tR."


def pointers() -> bytes:
    """An array of objects whose content are bytes, which NumPy would take for addresses."""
    array = call("numpy._core.multiarray", "_reconstruct", name("numpy", "ndarray"), b"K\x00\x85", b"C\x01b")
    kind = call("numpy", "dtype", text("O8"), b"\x89", b"\x88")
    state = b"(K\x01K\x01\x85" + kind + b"\x89" + b"C\x08AAAAAAAA" + b"t"
    return b"\x80\x04" + array + state + b"b."


def wild_tree() -> bytes:
    tree = DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1])
    content = pickle.dumps(tree)
    nodes = tree.tree_.__getstate__()["nodes"]
    wild = nodes.copy()
    wild["left_child"][0] = 1_000_000
    assert nodes.tobytes() in content
    return content.replace(nodes.tobytes(), wild.tobytes())


ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "os.system": (lambda: pickle.dumps(attack()), "posix.system"),
    "protocol 0": (lambda: pickle.dumps(attack(), 0), "posix.system"),
    "eval": (lambda: pickle.dumps(Calls(eval, f"open({OWNED!r}, 'w')")), "builtins.eval"),
    "exec in python 2's name": (
        lambda: b"\x80\x02" + call("__builtin__", "exec", text(f"open({OWNED!r},'w')")) + b".",
        "exec",
    ),
    "a process": (lambda: pickle.dumps(Calls(subprocess.Popen, ["touch", OWNED])), "subprocess.Popen"),
    "in an attribute of an estimator": (lambda: pickle.dumps(with_attribute(attack())), "posix.system"),
    "in an array of objects": (lambda: pickle.dumps(with_attribute(object_array(attack()))), "posix.system"),
    "in joblib's stream": (lambda: joblib_bytes(with_attribute(attack())), "posix.system"),
    "in joblib's array of objects": (lambda: joblib_bytes(object_array(attack())), "posix.system"),
    "in joblib's compressed stream": (
        lambda: joblib_bytes(with_attribute(attack()), compress=3),
        "posix.system",
    ),
    "in gzip": (lambda: gzip.compress(pickle.dumps(attack())), "posix.system"),
    "in bz2": (lambda: bz2.compress(pickle.dumps(attack())), "posix.system"),
    "in xz": (lambda: lzma.compress(pickle.dumps(attack())), "posix.system"),
    "in zlib": (lambda: zlib.compress(pickle.dumps(attack())), "posix.system"),
    "an estimator whose __setstate__ is replaced": (shadowed, "posix.system"),
    "the state of a class": (
        lambda: build(
            name("sklearn.preprocessing._data", "StandardScaler"),
            b"}" + text("transform") + name("numpy", "mean") + b"s",
        ),
        "StandardScaler, whose state is not the file's to set",
    ),
    "_reconstructor of another class": (
        lambda: (
            b"\x80\x02"
            + call(
                "copy_reg", "_reconstructor", name("subprocess", "Popen"), name("__builtin__", "object"), b"N"
            )
            + b"."
        ),
        "subprocess.Popen",
    ),
    "_reconstructor over another base": (
        lambda: (
            b"\x80\x02"
            + call(
                "copy_reg",
                "_reconstructor",
                name("sklearn.preprocessing._data", "StandardScaler"),
                name("__builtin__", "list"),
                TOUCH,
            )
            + b"."
        ),
        "a class over another",
    ),
    "a dotted name": (
        lambda: b"\x80\x04" + text("sklearn.base") + text("os.system") + b"\x93(" + TOUCH + b"tR.",
        "sklearn.base.os.system",
    ),
    "a module within scikit-learn": (
        lambda: b"\x80\x04" + text("sklearn.base") + text("warnings") + b"\x93.",
        "sklearn.base.warnings",
    ),
    "a name that is built while reading": (
        lambda: b"\x80\x04" + name("builtins", "str") + b"(" + text("os") + b"tR" + text("system") + b"\x93.",
        "builtins.str",
    ),
    "a persistent id": (lambda: b"Pposix system\n.", "an instruction of pickle"),
    "a persistent id on the stack": (lambda: b"\x80\x02" + TOUCH + b"Q.", "an instruction of pickle"),
    "the extension registry": (extension, "an instruction of pickle"),
    "an instance of protocol 0": (
        lambda: b"(S'touch " + OWNED.encode() + b"'\niposix\nsystem\n.",
        "an instruction of pickle",
    ),
    "an object of protocol 1": (lambda: b"(" + SYSTEM + TOUCH + b"o.", "posix.system"),
    "a new subprocess": (lambda: b"\x80\x04" + name("subprocess", "Popen") + b")\x81.", "subprocess.Popen"),
    "getattr": (
        lambda: b"\x80\x04" + call("builtins", "getattr", name("numpy", "ndarray"), text("tofile")) + b".",
        "builtins.getattr",
    ),
    "attrgetter": (
        lambda: b"\x80\x04" + call("operator", "attrgetter", text("system")) + b".",
        "operator.attrgetter",
    ),
    "partial": (
        lambda: b"\x80\x04" + call("functools", "partial", SYSTEM, TOUCH) + b".",
        "functools.partial",
    ),
    "runstring of NumPy's tests": (
        lambda: (
            b"\x80\x04"
            + call("numpy.testing._private.utils", "runstring", text(f"open({OWNED!r}, 'w')"), b"}")
            + b"."
        ),
        "runstring",
    ),
    "numpy.load": (
        lambda: b"\x80\x04" + call("numpy", "load", text("x.npy"), b"N", b"\x88") + b".",
        "numpy.load",
    ),
    "numpy.save": (lambda: b"\x80\x04" + call("numpy", "save", text(OWNED), b"K\x01") + b".", "numpy.save"),
    "a call of an allowed function": (
        lambda: b"\x80\x04" + call("numpy", "mean", b"K\x01") + b".",
        "numpy.mean, which is not to be called",
    ),
    "a call of an estimator's class": (
        lambda: b"\x80\x04" + call("sklearn.preprocessing._data", "StandardScaler") + b".",
        "StandardScaler, which is not to be called",
    ),
    "a ufunc of another module": (
        lambda: b"\x80\x04" + call("numpy._core", "_ufunc_reconstruct", text("os"), text("system")) + b".",
        "a function of 'os'",
    ),
    "a function of NumPy that is no ufunc": (
        lambda: b"\x80\x04" + call("numpy._core", "_ufunc_reconstruct", text("numpy"), text("load")) + b".",
        "numpy.load",
    ),
    "partial, through a module that imports it": (
        lambda: b"\x80\x04" + name("sklearn.metrics._scorer", "partial") + SYSTEM + b"\x85\x81.",
        "sklearn.metrics._scorer.partial",
    ),
    "a random generator with a constructor": (
        lambda: b"\x80\x04" + call("numpy.random._pickle", "__randomstate_ctor", TOUCH, SYSTEM) + b".",
        "posix.system",
    ),
    "a default that is called": (
        lambda: b"\x80\x04" + call("collections", "defaultdict", name("numpy", "mean")) + b"K\x01K\x02s.",
        "a dict with an odd default",
    ),
    "pandas.read_pickle": (
        lambda: b"\x80\x04" + call("pandas", "read_pickle", text("x.pkl")) + b".",
        "pandas.read_pickle",
    ),
    "pandas.eval": (lambda: b"\x80\x04" + call("pandas", "eval", text("1")) + b".", "pandas.eval"),
    "an odd pandas index": (
        lambda: (
            b"\x80\x04"
            + call("pandas.core.indexes.base", "_new_Index", name("sklearn.svm._classes", "SVC"), b"}")
            + b"."
        ),
        "an odd pandas index",
    ),
    "a download": (
        lambda: b"\x80\x04" + call("sklearn.datasets._openml", "fetch_openml", text("iris")) + b".",
        "fetch_openml",
    ),
    "a distribution of SciPy, which builds code": (
        lambda: b"\x80\x04" + name("scipy.stats._distn_infrastructure", "rv_generic") + b")\x81.",
        "rv_generic",
    ),
    "joblib.load": (lambda: b"\x80\x04" + call("joblib", "load", text("x")) + b".", "joblib.load"),
    "timeit": (
        lambda: b"\x80\x04" + call("timeit", "timeit", text(f"open({OWNED!r}, 'w')")) + b".",
        "timeit.timeit",
    ),
    "append to an estimator": (
        lambda: b"\x80\x04" + name("sklearn.preprocessing._data", "StandardScaler") + b")\x81K\x01a.",
        "the instruction 'append'",
    ),
    "bytes for addresses": (pointers, "bytes for Python objects"),
    "a tree that points outside itself": (wild_tree, "nodes point outside it"),
}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    yield
    copyreg.clear_extension_cache()
    if ("posix", "system") in copyreg._extension_registry:  # type: ignore[attr-defined]
        copyreg.remove_extension("posix", "system", 0x1234)


@pytest.mark.parametrize("attack_name", ATTACKS)
def test_an_attack_is_refused_and_runs_nothing(attack_name: str, tmp_path: Path):
    craft, named = ATTACKS[attack_name]
    path = tmp_path / "model.pkl"
    path.write_bytes(craft())
    with pytest.raises(ArgumentError) as caught:
        unpickle(path, AllowList(path.name))
    message = str(caught.value)
    assert named.replace("posix", os.name) in message
    assert "refused" in message
    assert not (tmp_path / OWNED).exists()


def test_the_attacks_are_attacks(tmp_path: Path):
    """Python's own reader runs what the tests above refuse: were they harmless, they would prove nothing."""
    for craft in (ATTACKS["os.system"][0], ATTACKS["in an array of objects"][0], extension):
        pickle.loads(craft())
        assert (tmp_path / OWNED).exists()
        (tmp_path / OWNED).unlink()
    path = tmp_path / "m.joblib"
    path.write_bytes(ATTACKS["in joblib's array of objects"][0]())
    joblib.load(path)
    assert (tmp_path / OWNED).exists()


@pytest.mark.parametrize("kind", ["in joblib's array of objects"])
def test_adopt_refuses_and_leaves_nothing(kind: str, tmp_path: Path):
    (tmp_path / "model.joblib").write_bytes(ATTACKS[kind][0]())
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(ArgumentError, match="is refused: it asks for"):
        afterfit.adopt("model.joblib", "m.afit", rows="rows.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.joblib", "rows.csv"]


def test_what_the_caller_trusts_is_run(tmp_path: Path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Calls(os.path.join, "a", "b")))
    assert unpickle(path, AllowList(path.name, [os.path.__name__]))[0] == os.path.join("a", "b")  # noqa: PTH118


def test_only_a_module_of_someone_elses_is_offered_for_trust(tmp_path: Path):
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x04" + call("my_package.models", "Model") + b".")
    with pytest.raises(ArgumentError, match="--trust my_package"):
        unpickle(path, AllowList(path.name))
    for module in ("subprocess", "os", "builtins", "numpy.testing", "sklearn.datasets"):
        path.write_bytes(b"\x80\x04" + call(module, "run") + b".")
        with pytest.raises(ArgumentError, match=r"is refused|does not have") as caught:
            unpickle(path, AllowList(path.name))
        assert "--trust" not in str(caught.value)


def test_the_guard_stops_what_the_list_would_let_through(tmp_path: Path):
    """The second line: even a trusted module starts no process and writes nothing while a file is read."""
    rows = tmp_path / "rows.csv"
    rows.write_text("a\n1\n")
    path = tmp_path / "model.pkl"
    for call_of in (attack(), Calls(open, OWNED, "w")):
        path.write_bytes(pickle.dumps(call_of))
        with pytest.raises(afterfit.AfterfitError, match="reading a model never does"):
            afterfit.adopt(path, tmp_path / "m.afit", rows=rows, trust=[os.system.__module__, "io", "_io"])
        assert not (tmp_path / OWNED).exists()


@pytest.mark.parametrize("cut", [0, 1, 10, 100, 300, -1])
def test_a_file_that_is_cut_short_is_said_to_be(cut: int, tmp_path: Path):
    path = tmp_path / "model.joblib"
    path.write_bytes(joblib_bytes(SCALER)[:cut])
    with pytest.raises(ArgumentError, match=r"whole|cut short"):
        unpickle(path, AllowList(path.name))


def test_an_array_that_claims_more_than_the_file_holds(tmp_path: Path):
    path = tmp_path / "model.joblib"
    content = joblib_bytes(np.zeros(7))
    assert content.count(b"K\x07\x85") == 1
    path.write_bytes(content.replace(b"K\x07\x85", b"J\xff\xff\xff\x7f\x85"))
    with pytest.raises(ArgumentError, match="cut short"):
        unpickle(path, AllowList(path.name))
