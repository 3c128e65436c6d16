"""The derivatives that are carried through a network together, and how they combine in products and compositions.

A channel is a linear operator sum_k c_k d^a_k: a single partial derivative, or a combination such as u_t - nu u_xx, which
then costs one channel where its parts would cost two. Below the operators that are asked for, every lower derivative that
the rules of Leibniz and Faa di Bruno need is a channel of its own.

Source: Hardy, Electron. J. Combin. 13, R1 (2006), for the rules with repeated variables; Li et al., Nat. Mach. Intell. 6,
209 (2024), for a Laplacian carried as one channel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

from jaxtyping import Array, Float

from pinnkit.multi_index import MultiIndex, in_order, proper_parts, set_partitions

Scalar: TypeAlias = float | Float[Array, ""]
"""A number, or a traced scalar whose value is unknown while the program is traced."""
Operator = Mapping[MultiIndex, Scalar]
"""A linear differential operator: multi-index -> coefficient."""


@dataclass(frozen=True)
class Monomial:
    """A coefficient times a product of channels, which are given by number."""

    coefficient: Scalar
    factors: tuple[int, ...]


@dataclass(frozen=True)
class Product:
    """A coefficient times a channel of the left factor times a channel of the right factor."""

    coefficient: Scalar
    left: int
    right: int


class Channels:
    """The channels that a set of operators needs, by number: the lower derivatives first, then the operators.

    Args:
        operators: Operators without the value () among their multi-indices. One with a single multi-index and the
            coefficient 1 is that partial derivative.
    """

    def __init__(self, operators: Sequence[Operator]) -> None:
        # Every rule for an index refers to proper parts of it only: with these among the channels the set is closed.
        below = {part for operator in operators for index in operator for part in proper_parts(index)}
        plain = {index for operator in operators if (index := _single(operator)) is not None}
        indices = in_order(below | plain)
        self.number: dict[MultiIndex, int] = {index: k for k, index in enumerate(indices)}
        self.operators: list[Operator] = [{index: 1.0} for index in indices]
        self.operator_numbers: list[int] = []
        for operator in operators:
            index = _single(operator)
            if index is None:
                self.operators.append(operator)
            self.operator_numbers.append(len(self.operators) - 1 if index is None else self.number[index])
        self.compositions = [tuple(self._compositions(operator)) for operator in self.operators]
        self.products = [tuple(self._products(operator)) for operator in self.operators]

    @property
    def order(self) -> int:
        """Highest order of derivative of an elementwise function g that the composition g(z) needs."""
        return max((len(index) for operator in self.operators for index in operator), default=0)

    def _compositions(self, operator: Operator) -> Iterator[tuple[int, tuple[Monomial, ...]]]:
        """Terms (m, factors of g^(m)), m >= 2, of Faa di Bruno's formula; g' times the channel itself is left out."""
        terms: dict[int, list[Monomial]] = {}
        for index, coefficient in operator.items():
            # Partitions that differ only in which of several equal axes is where give one product: u_xxx has three
            # partitions {x, xx}, which are one monomial times 3 (Hardy 2006).
            multiplicities = Counter(
                tuple(sorted(self.number[block] for block in parts)) for parts in _partitions(index)
            )
            for blocks, times in multiplicities.items():
                terms.setdefault(len(blocks), []).append(Monomial(_multiple(coefficient, times), blocks))
        yield from ((m, tuple(monomials)) for m, monomials in sorted(terms.items()))

    def _products(self, operator: Operator) -> Iterator[Product]:
        """Terms of Leibniz' rule, without the two in which one factor is not differentiated."""
        for index, coefficient in operator.items():
            splits = Counter(_splits(index))
            for (left, right), times in splits.items():
                yield Product(_multiple(coefficient, times), self.number[left], self.number[right])


def _single(operator: Operator) -> MultiIndex | None:
    """The multi-index of an operator that is a plain partial derivative; None for any other."""
    (index, coefficient), *others = operator.items()
    # A traced coefficient cannot be compared with 1: its value is unknown while the program is traced.
    return index if not others and isinstance(coefficient, (int, float)) and coefficient == 1 else None


def _multiple(coefficient: Scalar, times: int) -> Scalar:
    # Not `times * coefficient` for 1: each product with a traced coefficient is an operation in the compiled program.
    return coefficient if times == 1 else times * coefficient


def _splits(index: MultiIndex) -> Iterator[tuple[MultiIndex, MultiIndex]]:
    """The ways to distribute the positions of an index over two factors, at least one to each."""
    positions = range(len(index))
    for size in range(1, len(index)):
        for chosen in combinations(positions, size):
            yield tuple(index[i] for i in chosen), tuple(index[i] for i in positions if i not in chosen)


def _partitions(index: MultiIndex) -> Iterator[tuple[MultiIndex, ...]]:
    """The partitions of the positions of an index into two or more blocks."""
    for blocks in set_partitions(tuple(range(len(index)))):
        if len(blocks) > 1:
            yield tuple(tuple(index[i] for i in block) for block in blocks)
