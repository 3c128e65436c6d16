"""Argument names of methods, and what each of them stands for."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pinnkit.errors import UsageError, advice, suggestion
from pinnkit.multi_index import MultiIndex
from pinnkit.problem import Box
from pinnkit.problem.axes import OPERATORS

Operator = Literal["", "n", "laplacian", "grad", "hessian"]


@dataclass(frozen=True)
class Partial:
    """A partial derivative of a field or quantity, or an operator that combines several (`n`: along the normal)."""

    base: str
    index: MultiIndex = ()
    operator: Operator = ""


@dataclass(frozen=True)
class Coordinate:
    """A coordinate, by axis number."""

    axis: int


@dataclass(frozen=True)
class NormalComponent:
    """A component of the outward normal, by axis number."""

    axis: int


@dataclass(frozen=True)
class Column:
    """A column of a data file."""

    name: str


@dataclass(frozen=True)
class FieldFunction:
    """A field as a function of named coordinates (`u_at`)."""

    base: str


@dataclass(frozen=True)
class Distance:
    """The distance from the nearest wall."""


DISTANCE = "distance"
"""Its name, unless a field, a quantity, a coordinate or a column has that name."""
Request = Partial | Coordinate | NormalComponent | Column | FieldFunction | Distance


@dataclass(frozen=True)
class Names:
    """The names that a method of one problem may ask for."""

    domain: Box
    fields: tuple[str, ...]
    quantities: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    """Names of physical parameters, which methods read as `self.nu` instead."""
    methods: tuple[str, ...] = ()
    """Names of methods without a decorator, one of which may have been meant as a quantity."""

    @property
    def bases(self) -> tuple[str, ...]:
        """Names of fields and quantities, the longest first: u_plus_x is a derivative of u_plus, not of u."""
        return tuple(sorted((*self.fields, *self.quantities), key=len, reverse=True))

    def refuse_ambiguous(self, where: str = "") -> None:
        """Raise UsageError for a field or quantity whose name already stands for something else, such as u_x."""
        for name in self.bases:
            others = replace(
                self,
                fields=tuple(f for f in self.fields if f != name),
                quantities=tuple(q for q in self.quantities if q != name),
            )
            if name != DISTANCE and others.parse(name) is not None:
                raise UsageError(
                    f"The name '{name}' stands for two things: it is also made of another field or of a coordinate.",
                    where=where,
                    expected="names of fields and quantities that are not made of other fields and coordinates",
                    do="Rename the field or quantity.",
                )

    def parse(self, argument: str) -> Request | None:
        """Parse a name that is composed of fields, quantities and coordinates; None for any other."""
        return self._partial(argument) or self._special(argument)

    def resolve(
        self,
        argument: str,
        *,
        columns: Collection[str] = (),
        has_normal: bool = False,
        method: str = "",
        where: str = "",
    ) -> Request:
        """The request that an argument stands for. Raises UsageError that lists the known names."""
        if argument in self.domain.names:
            return Coordinate(self.domain.names.index(argument))
        request = self.parse(argument)
        if argument in columns:
            if request is not None and request != Distance():
                raise UsageError(
                    f"Column '{argument}' of the data file has the name of a field or derivative.",
                    where=where,
                    expected="a column name of its own, such as " + f"{argument}_measured",
                    do="Rename the column in the file's header and in the method's signature.",
                )
            return Column(argument)
        normal = isinstance(request, NormalComponent) or (isinstance(request, Partial) and request.operator == "n")
        if request is None or (normal and not has_normal):
            what = f"'{method}' asks for '{argument}', which "
            raise UsageError(
                what + ("needs a normal: it does not hold on a boundary." if normal else "is unknown."),
                where=where,
                expected=self.listing(columns, has_normal),
                do="Decorate it with @pk.boundary(...), or ask for derivatives along the coordinates."
                if normal
                else self._advice(argument, columns),
            )
        return request

    def listing(self, columns: Collection[str] = (), has_normal: bool = False) -> str:
        """The names that a method may ask for, in one line."""
        last = self.domain.names[-1]
        first = self.fields[0]
        derivatives = f"derivatives such as {first}_{last}, {first}_{last}{'' if len(last) == 1 else '_'}{last}"
        derivatives += f", {first}_laplacian" if self.domain.space else ""
        parts = [f"fields {', '.join(self.fields)}", f"coordinates {', '.join(self.domain.names)}", derivatives]
        parts += [f"quantities {', '.join(self.quantities)}"] if self.quantities else []
        parts += [f"columns {', '.join(columns)}"] if columns else []
        parts += [f"{first}_n and n_{last} on a boundary"] if has_normal else []
        parts += [DISTANCE] if self.domain.walls is not None else []
        return "; ".join([*parts, f"{first}_at"])

    def _advice(self, argument: str, columns: Collection[str]) -> str:
        """A sentence that says what to do about an unknown name."""
        if argument in self.parameters:
            return f"It is a parameter of the problem: read it as self.{argument}."
        plain = next((m for m in self.methods if argument == m or argument.startswith(m + "_")), None)
        if plain is not None:
            return f"Put @pk.quantity above `def {plain}`: then its values and derivatives can be asked for."
        names = (*self.bases, *self.domain.names, *columns)
        base = next((b for b in self.bases if argument.startswith(b + "_")), None)
        if difflib.get_close_matches(argument, [n for n in names if len(n) > 1 and n != base], cutoff=0.75):
            return advice(argument, names)
        if base is not None:
            return f"The part after '{base}_' must be made of the coordinates {', '.join(self.domain.names)}."
        stem, _, suffix = argument.partition("_")
        if suffix and self._axes(suffix) is not None:
            return f"'{stem}' is no field ({suggestion(stem, self.bases)}). Name it in `fields`, if it is one."
        return advice(argument, names)

    def _partial(self, argument: str) -> Partial | None:
        """The derivative or operator of a field or quantity that a name stands for; None for any other name."""
        # The longest base first (`bases`), and the first that fits decides.
        for base in self.bases:
            if argument == base:
                return Partial(base)
            if not argument.startswith(base + "_"):
                continue
            suffix = argument[len(base) + 1 :]
            if suffix == "at":
                return None
            # Operators before axes: no axis can have such a name, but its letters may be axes (g, r, a and d of `grad`).
            if suffix in OPERATORS:
                return Partial(base, (), suffix) if self.domain.space else None  # type: ignore[arg-type]
            axes = self._axes(suffix)
            if axes is not None:
                return Partial(base, axes)
        return None

    def _special(self, argument: str) -> Request | None:
        """The normal component (`n_x`), field as a function (`u_at`) or distance of a name; None for any other name."""
        names = self.domain.names
        if argument == DISTANCE and self.domain.walls is not None:
            return Distance()
        if argument.startswith("n_") and argument[2:] in names and names.index(argument[2:]) in self.domain.space:
            return NormalComponent(names.index(argument[2:]))
        if argument.endswith("_at") and argument[:-3] in self.bases:
            return FieldFunction(argument[:-3])
        return None

    def _axes(self, suffix: str) -> MultiIndex | None:
        """Axis numbers of a suffix such as `xx`, `xy`, `theta_theta` or `x_theta`; None where it is none of these."""
        names, axes = self.domain.names, []
        for piece in suffix.split("_"):
            if piece in names:
                axes.append(names.index(piece))
            elif piece and all(letter in names for letter in piece):
                axes += [names.index(letter) for letter in piece]
            else:
                return None
        return tuple(sorted(axes))  # u_xt and u_tx are one derivative, computed once


def derivative_name(field: str, index: MultiIndex, coordinates: Sequence[str]) -> str:
    """Return the name of a derivative, such as `u_xx` or `u_theta_theta`; of no derivative, that of the field."""
    letters = [coordinates[axis] for axis in index]
    joint = "" if all(len(name) == 1 for name in letters) else "_"
    return field + ("_" + joint.join(letters) if letters else "")


def partials(request: Request, domain: Box) -> set[MultiIndex]:
    """The multi-indices that a request on a field or quantity needs."""
    if not isinstance(request, Partial):
        return set()
    space = domain.space
    match request.operator:
        case "":
            return {request.index}
        case "n" | "grad":
            return {(i,) for i in space}
        case "laplacian":
            return {(i, i) for i in space}
        case "hessian":
            return {tuple(sorted((i, j))) for i in space for j in space}
