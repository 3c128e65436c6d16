"""The difference of two sets of field values, field by field: errors against a truth, or how far a solve moved the fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinnkit.problem import Problem


@dataclass(frozen=True)
class FieldError:
    """Error of one field: ||u - truth|| / ||truth|| over the evaluation points, and the largest |u - truth|.

    Both are infinite where the field is not finite. Where the truth is zero everywhere there is no relative error: the first
    is then the root mean square of u - truth, in the units of the field, and `absolute` is True.
    """

    relative_l2: float
    max_abs: float
    absolute: bool = False


def field_errors(problem: Problem, values: np.ndarray, expected: np.ndarray) -> dict[str, FieldError]:
    """Return errors by field of (points, fields) arrays, but for fields of which nothing is expected (NaN at all points)."""
    errors = {}
    for i, name in enumerate(problem.fields):
        a, b = values[:, i], expected[:, i]
        if np.isnan(b).all():
            continue
        if name in problem.up_to_constant:
            a, b = a - a.mean(), b - b.mean()
        norm, difference = np.linalg.norm(b), np.linalg.norm(a - b)
        largest = np.max(np.abs(a - b))
        known = np.isfinite(difference)  # NaN would compare as neither good nor bad
        size = difference / norm if norm else difference / len(b) ** 0.5
        relative, most = (float(v) if known else np.inf for v in (size, largest))
        errors[name] = FieldError(relative, most, absolute=not norm)
    return errors
