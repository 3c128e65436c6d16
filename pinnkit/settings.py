"""Settings: frozen dataclasses that a problem file, the command line and run.json all express.

An optimiser, a weighting, a network, a sampler is a frozen dataclass, pinnkit's own or one of a problem file. Its fields are
its options: the command line reads their types and docstrings, `to_plain` writes them into run.json, `from_plain` reads them.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import math
import pkgutil
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from pinnkit.validation import refuse_value, require_number

NAME = "name"
"""The entry of run.json that names the class of a setting."""
INFINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
"""Numbers that JSON lacks, by the text that is written for them."""
T = TypeVar("T")

if TYPE_CHECKING:

    class Several(Generic[T]):
        """A field of a dataclass that is a tuple; the constructor takes any sequence, and one item by itself too."""

        def __get__(self, instance: object, owner: type | None = None) -> tuple[T, ...]: ...

        def __set__(self, instance: object, value: Sequence[T] | T) -> None: ...

else:
    # What type checkers read as two types, of the argument and of the attribute, is at run time that of the attribute:
    # `__post_init__` makes a tuple of what is given.
    Several = tuple[T, ...]


class Setting:
    """One of several classes that a name chooses: an optimiser, a weighting. Subclasses are frozen dataclasses."""

    name: ClassVar[str]
    """Its name on the command line and in run.json; the name of the class in small letters unless a class says otherwise."""
    role: ClassVar[str] = "setting"
    """The kind of setting, for messages."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if NAME not in vars(cls):
            cls.name = cls.__name__.lower()

    def require(self, option: str, **valid: Any) -> None:
        """Raise UsageError unless the option is a number in a range, given as `pinnkit.validation.is_number` takes it."""
        require_number(getattr(self, option), f"{self.name}.{option}", where=self.place, **valid)

    def refuse(self, option: str, expected: str) -> None:
        """Raise the UsageError for a bad option value."""
        refuse_value(getattr(self, option), f"{self.name}.{option}", where=self.place, expected=expected)

    @property
    def place(self) -> str:
        """The place of its options, for messages."""
        return f"{self.role} '{self.name}' of the recipe"


def name_of(cls: type) -> str:
    """Return the name of a class of settings on the command line and in run.json."""
    name = getattr(cls, NAME, None)
    return name if isinstance(name, str) and NAME not in (f.name for f in dataclasses.fields(cls)) else cls.__name__


def choices(known: Mapping[str, type[T]], own: type, kind: Any) -> dict[str, type[T]]:
    """Return the classes of one kind by name: pinnkit's, and those that a problem file defines or imports.

    Args:
        known: Pinnkit's own classes by name.
        own: A class of the problem file.
        kind: The base class of all of them.
    """
    return {**known, **{n: c for n, c in dataclasses_beside(own).items() if issubclass(c, kind)}}


def classes_in(package: types.ModuleType, base: Any) -> list[tuple[str, Any]]:
    """Return the classes of one kind that the files of a package define, each with the name of its file.

    Args:
        package: A folder whose files are its register: a new class is a new file there.
        base: The base class; abstract classes are left out.
    """
    classes: list[tuple[str, Any]] = []
    for file in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{file.name}")
        own = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]
        classes += [(file.name, c) for c in own if issubclass(c, base) and not inspect.isabstract(c)]
    return classes


def dataclasses_beside(own: type) -> dict[str, type]:
    """Return the dataclasses by name that the file of a class defines or imports, without pinnkit's and abstract ones."""
    module = inspect.getmodule(own)
    classes = [v for v in vars(module).values() if inspect.isclass(v)] if module else []
    return {
        name_of(c): c
        for c in classes
        if dataclasses.is_dataclass(c) and not inspect.isabstract(c) and not c.__module__.startswith("pinnkit.")
    }


def settings_of(own: type, *values: Any) -> dict[str, type]:
    """Return the dataclasses by name that a run of a problem may have: those beside its class, and those in some values."""
    return dataclasses_beside(own) | {name_of(type(v)): type(v) for value in values for v in instances_in(value)}


def instances_in(value: Any) -> Iterator[Any]:
    """Yield the dataclasses in a value."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield value
        for spec in dataclasses.fields(value):
            yield from instances_in(getattr(value, spec.name, None))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from instances_in(item)


def to_plain(value: Any, kind: Any = None) -> Any:
    """Return a value as JSON can hold it; `from_plain` reads it back.

    Args:
        value: Numbers, texts, arrays, dataclasses, and lists, tuples and dicts of such. Options of a dataclass that are
            something else (a function) are left out: they are read from the problem file again.
        kind: The declared type of the value; the name of a dataclass is written where it is not that very class.

    Raises:
        TypeError: The value itself is something else.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kinds, plain = _hints(type(value)), {}
        if kind is not None and type(value) not in _alternatives(kind):
            plain[NAME] = name_of(type(value))
        for spec in dataclasses.fields(value):
            try:
                plain[spec.name] = to_plain(getattr(value, spec.name), kinds.get(spec.name, Any))
            except TypeError:
                continue
        return plain
    if isinstance(value, (list, tuple)):
        item = _item(kind)
        return [to_plain(v, item) for v in value]
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (str, bool, int, type(None))):
        return value
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else repr(float(value))
    if hasattr(value, "tolist"):
        return to_plain(value.tolist())
    raise TypeError(f"{type(value).__name__} cannot be kept as JSON")


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted names; a stage or a weighting goes by its own name."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list) and all(isinstance(v, Mapping) and "name" in v for v in value):
            for entry in value:
                flat |= flatten({k: v for k, v in entry.items() if k != "name"}, f"{entry['name']}.")
        else:
            flat[prefix + name] = value
    return flat


def from_plain(plain: Any, kind: Any, *, classes: Mapping[str, type] | None = None, like: Any = None) -> Any:
    """Return the value that `to_plain` described.

    Args:
        plain: The value as JSON holds it.
        kind: The declared type of the value.
        classes: Classes by name beside pinnkit's own, such as those of a problem file.
        like: A value of the same kind, such as the default: it says what a list was, and gives options that were left out.

    Raises:
        KeyError: A class that is not known.
        TypeError: Options that a class does not have.
    """
    cls = _class_of_entry(plain, kind, classes or {})
    if cls is not None:
        return _build(cls, {k: v for k, v in plain.items() if k != NAME}, classes, like if type(like) is cls else None)
    if hasattr(like, "tolist"):
        array = np.asarray(from_plain(plain, Any, like=[0.0]), like.dtype)
        return array if isinstance(like, (np.ndarray, np.generic)) else _jax_array(array)
    if isinstance(plain, list):
        return _sequence(plain, kind, classes, like)
    if isinstance(plain, dict):
        return {k: from_plain(v, Any, like=like.get(k) if isinstance(like, dict) else None) for k, v in plain.items()}
    return INFINITE[plain] if isinstance(plain, str) and plain in INFINITE and not isinstance(like, str) else plain


def _build(cls: Any, options: dict[str, Any], classes: Mapping[str, type] | None, like: Any) -> Any:
    """Return an object of a class with options as JSON holds them. Raises TypeError for an option that it lacks."""
    kinds, values = _hints(cls), dict[str, Any]()
    specs = {spec.name: spec for spec in dataclasses.fields(cls)}
    for name, spec in specs.items():
        default = getattr(like, name, None) if like is not None else _default(spec)
        if name in options:
            values[name] = from_plain(options[name], kinds.get(name, Any), classes=classes, like=default)
        elif like is not None and spec.init:
            values[name] = default
    if strange := options.keys() - specs.keys():
        raise TypeError(f"{cls.__name__} has no option {min(strange)}")
    return cls(**values)


def _sequence(plain: list[Any], kind: Any, classes: Mapping[str, type] | None, like: Any) -> Any:
    """Return a tuple, or the kind of list that it was; JSON does not tell them apart."""
    item, own = _item(kind), list(like) if isinstance(like, (list, tuple)) else []
    values = []
    for entry in plain:
        cls = _class_of_entry(entry, item, classes or {})
        if cls is None:
            same = own[0] if own else None
        else:  # the first of its class that has not been used: what stands between them may have been replaced
            same = next((v for v in own if type(v) is cls), None)
            own = [v for v in own if v is not same]
        values.append(from_plain(entry, item, classes=classes, like=same))
    return values if isinstance(like, list) or get_origin(kind) is list else tuple(values)


def _class_of_entry(plain: Any, kind: Any, classes: Mapping[str, type]) -> Any:
    """Return the dataclass that an entry of run.json describes; None where it is something else. Raises KeyError."""
    if not isinstance(plain, dict):
        return None
    bases = [k for k in _alternatives(kind) if inspect.isclass(k) and k is not Any and not issubclass(k, Mapping)]
    if bases and NAME in plain:
        known = {name_of(c): c for base in bases for c in _subclasses(base)}
        return {**known, **classes}[plain[NAME]]
    return next((k for k in bases if dataclasses.is_dataclass(k)), None)


def _subclasses(base: type) -> list[type]:
    """Return pinnkit's own dataclasses of a kind."""
    children: list[type] = base.__subclasses__()
    below = [c for child in children for c in _subclasses(child)]
    return [c for c in (base, *below) if dataclasses.is_dataclass(c) and c.__module__.startswith("pinnkit.")]


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """Return X and Y of X | Y; for other types the type itself."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _item(kind: Any) -> Any:
    """Return the type of the entries of tuple[X, ...] or list[X]."""
    for alternative in _alternatives(kind):
        if get_origin(alternative) in (tuple, list, Sequence):
            return get_args(alternative)[0]
    return Any


def _hints(cls: type) -> dict[str, Any]:
    """Return the declared types of the fields of a class; {} for a class whose annotations name what its module lacks."""
    try:
        return get_type_hints(cls)
    except Exception:  # a problem file may write anything
        return {}


def _default(spec: dataclasses.Field[Any]) -> Any:
    if spec.default is not dataclasses.MISSING:
        return spec.default
    factory: Callable[[], Any] | Any = spec.default_factory
    return factory() if factory is not dataclasses.MISSING else None


def _jax_array(array: np.ndarray) -> Any:
    import jax.numpy as jnp  # not before it is needed: reading a run's settings starts nothing

    return jnp.asarray(array)
