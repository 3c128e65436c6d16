"""Rows of measured values: those that are trained on, and those that are held out of training."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Int

from pinnkit.fields import Points
from pinnkit.objective.group import Group


def measured_values(group: Group, count: int, dtype: DTypeLike) -> Points:
    """Return the rows of a data file that are trained on: all of them in the file's order, or so many at random."""
    return _rows(group, _order(group, count)[:count], dtype)


def values_held_out(group: Group, count: int, dtype: DTypeLike) -> Points | None:
    """Return the other rows, where so many are trained on; None where these are all, and for a group without data."""
    if group.data is None or count >= len(group.data.X):
        return None
    return _rows(group, _order(group, count)[count:], dtype)


def _order(group: Group, count: int) -> Int[np.ndarray, " rows"]:
    """Return the rows in the order in which they are shared out: of the same file always the same one."""
    rows = len(_data(group).X)
    return np.arange(rows) if count >= rows else np.random.default_rng(0).permutation(rows)


def _rows(group: Group, chosen: Int[np.ndarray, " chosen"], dtype: DTypeLike) -> Points:
    rows: Points = jax.tree.map(lambda a: jnp.asarray(np.asarray(a)[chosen], dtype), _data(group))
    return rows


def _data(group: Group) -> Points:
    if group.data is None:
        raise RuntimeError(f"internal: the group '{group.name}' has no measured values")
    return group.data
