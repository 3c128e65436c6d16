"""Settings: frozen dataclasses that a problem file, the command line and run.json all express.

An optimiser, a weighting, a network, a sampler is a frozen dataclass, pinnkit's own or one of a problem file. Its fields are
its options: the command line reads their types and docstrings, `to_plain` writes them into run.json, `from_plain` reads them.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from pinnkit.validation import refuse_value, require_number

NAME = "name"
"""The entry of run.json that says which of several classes a setting is."""
INFINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
"""JSON has no such numbers; they are written as text."""
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
    """What the command line and run.json call it; the name of the class in small letters unless a class says otherwise."""
    role: ClassVar[str] = "setting"
    """What it is, for messages."""

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
        """Where its options are given, for messages."""
        return f"{self.role} '{self.name}' of the recipe"


def name_of(cls: type) -> str:
    """What the command line and run.json call a class of settings."""
    name = getattr(cls, NAME, None)
    return name if isinstance(name, str) and NAME not in (f.name for f in dataclasses.fields(cls)) else cls.__name__


def choices(known: Mapping[str, type[T]], own: type, kind: Any) -> dict[str, type[T]]:
    """The classes of one kind by name: pinnkit's, and those that a problem file defines or imports.

    Args:
        known: pinnkit's own classes by name.
        own: a class of the problem file.
        kind: the base class of all of them.
    """
    return {**known, **{n: c for n, c in dataclasses_beside(own).items() if issubclass(c, kind)}}


def dataclasses_beside(own: type) -> dict[str, type]:
    """The dataclasses by name that the file of a class defines or imports, without pinnkit's and abstract ones."""
    module = inspect.getmodule(own)
    there = [v for v in vars(module).values() if inspect.isclass(v)] if module else []
    return {
        name_of(c): c
        for c in there
        if dataclasses.is_dataclass(c) and not inspect.isabstract(c) and not c.__module__.startswith("pinnkit.")
    }


def settings_of(own: type, *values: Any) -> dict[str, type]:
    """The dataclasses by name that a run of a problem may have: those beside its class, and those in some values."""
    return dataclasses_beside(own) | {name_of(type(v)): type(v) for value in values for v in instances_in(value)}


def instances_in(value: Any) -> Iterator[Any]:
    """The dataclasses in a value."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield value
        for spec in dataclasses.fields(value):
            yield from instances_in(getattr(value, spec.name, None))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from instances_in(item)


def to_plain(value: Any, kind: Any = None) -> Any:
    """A value as JSON can hold it; `from_plain` reads it back.

    Args:
        value: numbers, texts, arrays, dataclasses, and lists, tuples and dicts of such. Options of a dataclass that are
            something else (a function) are left out: they are read from the problem file again.
        kind: the declared type of the value; the name of a dataclass is written where it is not that very class.

    Raises:
        TypeError: the value itself is something else.
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


def from_plain(plain: Any, kind: Any, *, classes: Mapping[str, type] | None = None, like: Any = None) -> Any:
    """The value that `to_plain` described.

    Args:
        plain: what JSON holds.
        kind: the declared type of the value.
        classes: classes by name beside pinnkit's own, such as those of a problem file.
        like: a value of the same kind, such as the default: it says what a list was, and gives options that were left out.

    Raises:
        KeyError: a class that is not known.
        TypeError: options that a class does not have.
    """
    cls = _described_class(plain, kind, classes or {})
    if cls is not None:
        return _built(cls, {k: v for k, v in plain.items() if k != NAME}, classes, like if type(like) is cls else None)
    if hasattr(like, "tolist"):
        array = np.asarray(from_plain(plain, Any, like=[0.0]), like.dtype)
        return array if isinstance(like, (np.ndarray, np.generic)) else _jax_array(array)
    if isinstance(plain, list):
        return _sequence(plain, kind, classes, like)
    if isinstance(plain, dict):
        return {k: from_plain(v, Any, like=like.get(k) if isinstance(like, dict) else None) for k, v in plain.items()}
    return INFINITE[plain] if isinstance(plain, str) and plain in INFINITE and not isinstance(like, str) else plain


def _built(cls: Any, options: dict[str, Any], classes: Mapping[str, type] | None, like: Any) -> Any:
    kinds, values = _hints(cls), dict[str, Any]()
    specs = {spec.name: spec for spec in dataclasses.fields(cls)}
    for name, spec in specs.items():
        given = getattr(like, name, None) if like is not None else _default(spec)
        if name in options:
            values[name] = from_plain(options[name], kinds.get(name, Any), classes=classes, like=given)
        elif like is not None and spec.init:
            values[name] = given
    if strange := options.keys() - specs.keys():
        raise TypeError(f"{cls.__name__} has no option {min(strange)}")
    return cls(**values)


def _sequence(plain: list[Any], kind: Any, classes: Mapping[str, type] | None, like: Any) -> Any:
    """A tuple, or the kind of list that it was; JSON does not tell them apart."""
    item, own = _item(kind), list(like) if isinstance(like, (list, tuple)) else []
    values = []
    for entry in plain:
        cls = _described_class(entry, item, classes or {})
        if cls is None:
            same = own[0] if own else None
        else:  # the first of its class that has not been used: what stands between them may have been replaced
            same = next((v for v in own if type(v) is cls), None)
            own = [v for v in own if v is not same]
        values.append(from_plain(entry, item, classes=classes, like=same))
    return values if isinstance(like, list) or get_origin(kind) is list else tuple(values)


def _described_class(plain: Any, kind: Any, classes: Mapping[str, type]) -> Any:
    """The dataclass that an entry of run.json describes; None where it is something else. Raises KeyError."""
    if not isinstance(plain, dict):
        return None
    bases = [k for k in _alternatives(kind) if inspect.isclass(k) and k is not Any and not issubclass(k, Mapping)]
    if bases and NAME in plain:
        known = {name_of(c): c for base in bases for c in _subclasses(base)}
        return {**known, **classes}[plain[NAME]]
    return next((k for k in bases if dataclasses.is_dataclass(k)), None)


def _subclasses(base: type) -> list[type]:
    """Pinnkit's own dataclasses of a kind."""
    children: list[type] = base.__subclasses__()
    below = [c for child in children for c in _subclasses(child)]
    return [c for c in (base, *below) if dataclasses.is_dataclass(c) and c.__module__.startswith("pinnkit.")]


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """X and Y of X | Y; the type itself for others."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _item(kind: Any) -> Any:
    """The type of the entries of tuple[X, ...] or list[X]."""
    for alternative in _alternatives(kind):
        if get_origin(alternative) in (tuple, list, Sequence):
            return get_args(alternative)[0]
    return Any


def _hints(cls: type) -> dict[str, Any]:
    """Declared types of the fields of a class; {} for a class whose annotations name what its module lacks."""
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
