"""The number of threads of LAPACK: one where the cores are shared, unless the user has chosen."""

import pytest

from pinnkit.parallel import lapack


@pytest.fixture
def four_cores(monkeypatch):
    """Four cores, and a user who has set nothing."""
    for name in lapack.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with lapack.lapack_threads(4):
        yield


def threads():
    (number,) = {library["num_threads"] for library in lapack._libraries().select(user_api="blas").info()}
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
def test_cores_that_are_shared_leave_one_thread(four_cores, monkeypatch, times, at_once, expected):
    monkeypatch.setattr(lapack, "_time_of", times.__getitem__)
    assert lapack.best_threads(at_once) == expected


@pytest.mark.parametrize("name", lapack.VARIABLES)
def test_what_the_user_has_set_stays(four_cores, monkeypatch, name):
    monkeypatch.setenv(name, "2")
    assert lapack.best_threads() is None
    with lapack.lapack_threads(None):
        assert threads() == 4


def test_other_code_keeps_its_threads(four_cores):
    with lapack.lapack_threads(1):
        assert threads() == 1
    assert threads() == 4


def test_the_probe_is_a_factorisation_with_that_number_of_threads(monkeypatch):
    seen = []
    monkeypatch.setattr(lapack.lapack, "dgeqrf", lambda matrix: seen.append((matrix.shape, threads())))
    assert lapack._time_of(1) >= 0
    assert seen == [((600, 150), 1)] * 2
