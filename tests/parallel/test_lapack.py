"""The number of threads of LAPACK: one where the cores are shared, unless the user has chosen."""

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from pinnkit.parallel import lapack


@pytest.fixture
def machine(monkeypatch):
    """Four cores, and a user who has set nothing; returns a function that says how long the probe takes by threads."""
    for name in lapack.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(lapack, "_all_threads", lambda: 4)
    with threadpool_limits(limits=2, user_api="blas"):
        yield lambda times: monkeypatch.setattr(lapack, "_time_of", times.__getitem__)


def threads():
    (number,) = {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}
    return number


@pytest.mark.parametrize(
    ("times", "at_once", "expected"),
    [
        ({1: 1.0, 4: 0.5}, 1, 4),
        ({1: 1.0, 4: 2.0}, 1, 4),  # a small probe gains nothing, larger matrices do
        ({1: 1.0, 4: 900.0}, 1, 1),
        ({1: 1.0, 2: 0.6}, 2, 2),
        ({}, 4, 1),
    ],
)
def test_cores_that_are_shared_leave_one_thread(machine, times, at_once, expected):
    machine(times)
    lapack.choose_threads(at_once)
    assert threads() == expected


@pytest.mark.parametrize("name", lapack.VARIABLES)
def test_what_the_user_has_set_stays(machine, monkeypatch, name):
    monkeypatch.setenv(name, "2")
    machine({1: 1.0, 4: 900.0})
    lapack.choose_threads()
    assert threads() == 2


def test_the_probe_is_a_factorisation_with_that_number_of_threads(monkeypatch):
    seen = []
    monkeypatch.setattr(lapack.lapack, "dgeqrf", lambda matrix: seen.append((matrix.shape, threads())))
    assert lapack._time_of(1) >= 0
    assert seen == [((600, 150), 1)] * 2
