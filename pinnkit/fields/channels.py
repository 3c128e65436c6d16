"""Which derivatives are carried through a network together, and how they combine in products and compositions.

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
from typing import Any

from pinnkit.multi_index import MultiIndex, in_order, proper_parts, set_partitions

Operator = Mapping[MultiIndex, Any]
"""A linear differential operator: multi-index -> coefficient, a number or a traced scalar."""


@dataclass(frozen=True)
class Monomial:
    """coefficient times a product of channels (by number)."""

    coefficient: Any
    factors: tuple[int, ...]


@dataclass(frozen=True)
class Product:
    """coefficient times (channel of the left factor) times (channel of the right factor)."""

    coefficient: Any
    left: int
    right: int


class Channels:
    """The channels that a set of operators needs, by number: the lower derivatives first, the operators asked for last.

    Arguments
        operators: no value among their multi-indices; an operator of one multi-index with coefficient 1 is that partial.
    """

    def __init__(self, operators: Sequence[Operator]) -> None:
        below = {part for operator in operators for index in operator for part in proper_parts(index)}
        plain = {index for operator in operators if (index := _single(operator)) is not None}
        indices = in_order(below | plain)
        self.number: dict[MultiIndex, int] = {index: k for k, index in enumerate(indices)}
        self.operators: list[Operator] = [{index: 1.0} for index in indices]
        self.asked: list[int] = []
        for operator in operators:
            index = _single(operator)
            if index is None:
                self.operators.append(operator)
            self.asked.append(len(self.operators) - 1 if index is None else self.number[index])
        self.compositions = [tuple(self._compositions(operator)) for operator in self.operators]
        self.products = [tuple(self._products(operator)) for operator in self.operators]

    @property
    def order(self) -> int:
        """The highest derivative of a function that a composition with it needs."""
        return max((len(index) for operator in self.operators for index in operator), default=0)

    def _compositions(self, operator: Operator) -> Iterator[tuple[int, tuple[Monomial, ...]]]:
        """Faa di Bruno, what stands beside g' times the channel itself: (m, what g^(m) is multiplied with), m >= 2."""
        terms: dict[int, list[Monomial]] = {}
        for index, coefficient in operator.items():
            counted = Counter(tuple(sorted(self.number[block] for block in parts)) for parts in _partitions(index))
            for blocks, times in counted.items():
                terms.setdefault(len(blocks), []).append(Monomial(_multiple(coefficient, times), blocks))
        yield from ((m, tuple(monomials)) for m, monomials in sorted(terms.items()))

    def _products(self, operator: Operator) -> Iterator[Product]:
        """Leibniz, what stands beside the two terms in which one factor is not differentiated."""
        for index, coefficient in operator.items():
            splits = Counter(_splits(index))
            for (left, right), times in splits.items():
                yield Product(_multiple(coefficient, times), self.number[left], self.number[right])


def _single(operator: Operator) -> MultiIndex | None:
    """The multi-index of an operator that is a plain partial derivative."""
    (index, coefficient), *others = operator.items()
    return index if not others and isinstance(coefficient, (int, float)) and coefficient == 1 else None


def _multiple(coefficient: Any, times: int) -> Any:
    return coefficient if times == 1 else times * coefficient


def _splits(index: MultiIndex) -> Iterator[tuple[MultiIndex, MultiIndex]]:
    """The ways to share the positions between two factors, at least one for each."""
    positions = range(len(index))
    for size in range(1, len(index)):
        for chosen in combinations(positions, size):
            yield tuple(index[i] for i in chosen), tuple(index[i] for i in positions if i not in chosen)


def _partitions(index: MultiIndex) -> Iterator[tuple[MultiIndex, ...]]:
    """The partitions of the positions into two blocks or more."""
    for blocks in set_partitions(tuple(range(len(index)))):
        if len(blocks) > 1:
            yield tuple(tuple(index[i] for i in block) for block in blocks)
