"""Which values of options are valid, and what is said of the others."""

import math

import numpy as np
import pytest
from cases import refused

from pinnkit.validation import is_number, require_number


@pytest.mark.parametrize(
    ("value", "valid", "answer"),
    [
        (3, {}, True),
        (3.0, {}, True),
        (np.float32(3), {}, True),
        (np.int64(3), {"whole": True}, True),
        (3.0, {"whole": True}, False),
        (True, {}, False),
        (np.True_, {}, False),
        ("3", {}, False),
        (None, {}, False),
        (1j, {}, False),
        ([3], {}, False),
        (math.nan, {}, False),
        (math.inf, {}, False),
        (-math.inf, {"most": 5}, False),
        (10**400, {"whole": True}, True),
        (10**400, {"most": 5}, False),
        (0, {"least": 0}, True),
        (0, {"above": 0}, False),
        (1, {"most": 1}, True),
        (1, {"below": 1}, False),
    ],
)
def test_what_is_a_number_in_a_range(value, valid, answer):
    assert is_number(value, **valid) is answer


@pytest.mark.parametrize(
    ("value", "valid", "words"),
    [
        (0, {"whole": True, "least": 1}, ("n is 0", "a whole number, 1 or more", "Use 1.")),
        (100.5, {"whole": True, "least": 1}, ("n is 100.5", "Use 100.")),
        (1e4, {"whole": True}, ("n is 10000.0", "Use 10000.")),
        ("3", {"above": 0}, ("n is '3'", "a positive number", "without quotation marks")),
        ("abc", {"least": 0, "most": 1}, ("n is 'abc'", "a number from 0 to 1", "Change the value")),
        (1.0, {"least": 0, "below": 1}, ("n is 1.0", "a number from 0 to below 1")),
        (0.0, {"above": 0, "most": 1}, ("above 0 to 1",)),
        (math.nan, {}, ("n is nan", "a finite number")),
        (-1, {"meaning": "a number of steps", "least": 0}, ("a number of steps",)),
    ],
)
def test_messages(value, valid, words):
    refused(lambda: require_number(value, "n", where="here", **valid), *words, "where:    here")
