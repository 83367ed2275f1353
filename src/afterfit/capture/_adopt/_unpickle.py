"""Reading a pickle, or what joblib makes of one, through the allow-list.

`pickle._Unpickler` is Python's own reader written in Python, which joblib builds on as well: each instruction that
could run something is replaced here by one that first asks the allow-list. The C reader cannot be used, since it lets
nobody see what it is about to call.
"""

from __future__ import annotations

import pickle
import types
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import numpy as np

from afterfit.capture._adopt._allowed import is_estimator
from afterfit.capture._adopt._arrays import ArrayRecord, checked_state, dtype_from_state
from afterfit.capture._adopt._checks import check_made
from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from afterfit.capture._adopt._allowed import AllowList

_RECORDS = frozenset(
    {"joblib.numpy_pickle.NumpyArrayWrapper", "sklearn.externals.joblib.numpy_pickle.NumpyArrayWrapper"}
)


class Unpickler(pickle._Unpickler):  # noqa: SLF001 - the reader that shows each instruction
    """Makes the objects of a pickle; `versions` are those of scikit-learn that they say they were made with.

    Raises `ArgumentError` for the first name, or instruction, that is not allowed.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)  # noqa: SLF001
    stack: list[Any]
    memo: dict[int, Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, file: BinaryIO, allowed: AllowList) -> None:
        super().__init__(file)
        self.file = file
        self.allowed = allowed
        self.versions: set[str] = set()
        self._callable: dict[int, Any] = {}
        self._newable: dict[int, Any] = {id(ArrayRecord): ArrayRecord}
        self._names: dict[int, str] = {}
        self._made: dict[int, Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What a name stands for, if it is allowed."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise self._refuse("a name that is no text")
        if f"{module}.{name}" in _RECORDS:
            return ArrayRecord
        if (module, name) in {("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor")}:
            self._callable[id(_RECONSTRUCT)] = _RECONSTRUCT
            return _RECONSTRUCT
        found = self.allowed.find(module, name)
        self._names[id(found.value)] = f"{module}.{name}"
        if found.callable:
            self._callable[id(found.value)] = found.value
        if found.newable:
            self._newable[id(found.value)] = found.value
        return found.value

    def nested(self) -> Unpickler:
        """A reader for the pickle that joblib writes into the stream for an array of objects."""
        inner = Unpickler(self.file, self.allowed)
        inner.versions = self.versions
        return inner

    def persistent_load(self, pid: Any) -> Any:
        """Refuse: a persistent id stands for something outside the file."""
        raise self._refuse(f"the persistent object {pid!r:.40}")

    def load_reduce(self) -> None:
        """Call a constructor."""
        arguments = self.stack.pop()
        function = self.stack[-1]
        if type(arguments) is not tuple:
            raise self._refuse("a call without a list of arguments")
        if function is _RECONSTRUCT:
            self.stack[-1] = self._keep(self._reconstructed(arguments))
            return
        if id(function) not in self._callable:
            raise self.allowed.refusal(self._name(function), "which is not to be called")
        self.stack[-1] = self._keep(function(*arguments))

    def load_newobj(self) -> None:
        """Make an instance without calling its `__init__`."""
        arguments = self.stack.pop()
        kind = self.stack.pop()
        self.append(self._new(kind, arguments, {}))

    def load_newobj_ex(self) -> None:
        """Make an instance with named arguments."""
        named = self.stack.pop()
        arguments = self.stack.pop()
        kind = self.stack.pop()
        self.append(self._new(kind, arguments, named))

    def load_build(self) -> None:
        """Give an object its state."""
        state = self.stack.pop()
        made = self.stack[-1]
        if id(made) not in self._made:
            raise self.allowed.refusal(self._name(made), "whose state is not the file's to set")
        if isinstance(made, ArrayRecord):
            made.fill(state)
            self.stack[-1] = made.read(self)
        elif isinstance(made, np.dtype):
            self._replace(made, dtype_from_state(made, state))
        else:
            self._set_state(made, state)

    def load_append(self) -> None:
        """Put a value at the end of a list."""
        value = self.stack.pop()
        self._checked(self.stack[-1], list, "append").append(value)

    def load_appends(self) -> None:
        """Put values at the end of a list."""
        values = self.pop_mark()
        self._checked(self.stack[-1], list, "append").extend(values)

    def load_setitem(self) -> None:
        """Put a value into a dict."""
        value = self.stack.pop()
        key = self.stack.pop()
        holder = self._checked(self.stack[-1], dict, "set item")
        type(holder).__setitem__(holder, key, value)

    def load_setitems(self) -> None:
        """Put values into a dict."""
        items = self.pop_mark()
        holder = self._checked(self.stack[-1], dict, "set item")
        for i in range(0, len(items), 2):
            type(holder).__setitem__(holder, items[i], items[i + 1])

    def load_additems(self) -> None:
        """Put values into a set."""
        items = self.pop_mark()
        self._checked(self.stack[-1], set, "add").update(items)

    def load_refused(self) -> None:
        """Refuse instructions that no pickle of a model has."""
        raise self._refuse("an instruction of pickle that no saved model needs")

    def _refuse(self, what: str) -> ArgumentError:
        return ArgumentError(
            f"{self.allowed.label} is refused: it holds {what}. None of it was run. If it is meant to be a model, save "
            "it again where it was trained, with afterfit.save"
        )

    def _name(self, value: Any) -> str:
        return self._names.get(id(value), f"an object of {type(value).__module__}.{type(value).__qualname__}")

    def _keep(self, made: Any) -> Any:
        # What the libraries share is not the file's to change, though a constructor may return it.
        if not isinstance(made, type | np.ufunc | types.FunctionType | types.BuiltinFunctionType):
            self._made[id(made)] = made
        return made

    def _checked(self, value: Any, kind: type, instruction: str) -> Any:
        if not isinstance(value, kind) or (kind is not dict and type(value) is not kind):
            raise self._refuse(f"the instruction {instruction!r} for a {type(value).__name__}")
        return value

    def _new(self, kind: Any, arguments: Any, named: Any) -> Any:
        if not isinstance(kind, type) or id(kind) not in self._newable:
            raise self.allowed.refusal(self._name(kind), "of which it may make no instance")
        if type(arguments) is not tuple or type(named) is not dict:
            raise self._refuse("an instance made without a list of arguments")
        return self._keep(kind.__new__(kind, *arguments, **named))

    def _reconstructed(self, arguments: tuple[Any, ...]) -> Any:
        """What `copyreg._reconstructor` does for a class whose base is `object`, in old protocols."""
        if (
            len(arguments) != 3
            or arguments[1] not in (object, dict, list, tuple)
            or not isinstance(arguments[0], type)
        ):
            raise self._refuse("an instance of a class over another")
        kind, base, state = arguments
        if base is tuple:
            return self._new(kind, state, {})
        made = self._new(kind, (), {})
        if base is dict and isinstance(made, dict) and type(state) is dict:
            dict.update(made, state)
        elif base is not object or state is not None:
            raise self._refuse("an instance of a class over another")
        return made

    def _set_state(self, made: Any, state: Any) -> None:
        kind = type(made)
        values = state[0] if type(state) is tuple and len(state) == 2 else state
        if type(values) is dict and is_estimator(kind):
            self.versions.add(str(values.get("_sklearn_version", "before 0.18")))
        # Looked up on the class: an instance could have been given one of its own.
        setter: Callable[[Any, Any], None] | None = getattr(kind, "__setstate__", None)
        if setter is not None:
            setter(made, checked_state(made, state))
        else:
            self._set_attributes(made, state)
        check_made(made)

    def _set_attributes(self, made: Any, state: Any) -> None:
        slots = None
        if type(state) is tuple and len(state) == 2:
            state, slots = state
        if state and type(state) is dict and hasattr(made, "__dict__"):
            made.__dict__.update(state)
        elif state:
            raise self._refuse(f"a {type(made).__name__} with a state of an odd form")
        for name, value in (slots or {}).items():
            if not isinstance(getattr_static(type(made), name, None), types.MemberDescriptorType):
                raise self._refuse(f"a {type(made).__name__} with the odd attribute {name!r:.40}")
            object.__setattr__(made, name, value)

    def _replace(self, old: Any, new: Any) -> None:
        """Put one object in place of another that was just made, on the stack and in the memo."""
        self.stack[-1] = self._keep(new)
        for key in reversed(self.memo):
            if self.memo[key] is old:
                self.memo[key] = new
                break


_ALLOWED = (
    (pickle.REDUCE, Unpickler.load_reduce),
    (pickle.NEWOBJ, Unpickler.load_newobj),
    (pickle.NEWOBJ_EX, Unpickler.load_newobj_ex),
    (pickle.BUILD, Unpickler.load_build),
    (pickle.APPEND, Unpickler.load_append),
    (pickle.APPENDS, Unpickler.load_appends),
    (pickle.SETITEM, Unpickler.load_setitem),
    (pickle.SETITEMS, Unpickler.load_setitems),
    (pickle.ADDITEMS, Unpickler.load_additems),
)
_REFUSED = (
    pickle.INST,
    pickle.OBJ,
    pickle.EXT1,
    pickle.EXT2,
    pickle.EXT4,
    pickle.PERSID,
    pickle.BINPERSID,
    pickle.NEXT_BUFFER,
    pickle.READONLY_BUFFER,
)
Unpickler.dispatch.update({code[0]: load for code, load in _ALLOWED})
Unpickler.dispatch.update({code[0]: Unpickler.load_refused for code in _REFUSED})


def _reconstruct() -> None:
    """Stands for `copyreg._reconstructor`, which is never called."""


_RECONSTRUCT = _reconstruct
