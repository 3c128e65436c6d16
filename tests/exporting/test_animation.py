"""Animations: as many frames as asked for, each with the colours of its time; films; what does not move is refused."""

import io

import imageio_ffmpeg
import numpy as np
import pytest
from cases import refused
from matplotlib import colormaps
from PIL import Image
from tiny import Decay

import pinnkit as pk
from pinnkit.figures.animation import frames


class Rising(pk.Problem):
    """u_t = 1: u = t everywhere."""

    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0), y=(0.0, 1.0))

    @pk.interior
    def rise(self, u_t):
        return u_t - 1.0

    @pk.initial
    def start(self, u):
        return u


class Line(Rising):
    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))

    def exact(self, t, x):
        return t + 0 * x


class Steady(Decay):
    """There is no time in it."""


@pytest.fixture(scope="module")
def rising():
    return pk.solve(Rising())


@pytest.fixture(scope="module")
def line():
    return pk.solve(Line())


def test_a_map_has_the_colours_of_its_time(rising):
    drawn = list(frames(rising.answer, "u", 5))
    assert len({picture.shape for picture in drawn}) == 1 and all(n % 2 == 0 for n in drawn[0].shape[:2])
    for share, picture in zip(np.linspace(0.0, 1.0, 5), drawn, strict=True):
        height, width, _ = picture.shape
        expected = 255 * np.array(colormaps["viridis"](share)[:3])
        np.testing.assert_allclose(picture[height // 2, width // 2 - 30], expected, atol=4)


def test_a_curve_moves_within_the_same_axes(line):
    first, *_, last = frames(line.answer, "u", 4)
    blue = lambda picture: np.argwhere(np.abs(picture.astype(int) - [31, 119, 180]).sum(axis=2) < 60)  # noqa: E731
    assert blue(last)[:, 0].mean() < blue(first)[:, 0].mean() - 100  # higher up


def test_files(line, tmp_path):
    path = line.animate(tmp_path / "line.gif", frames=4, seconds=2.0)
    with Image.open(io.BytesIO(path.read_bytes())) as picture:
        assert picture.n_frames == 4 and picture.info["duration"] == 500
    path = line.animate(tmp_path / "line.mp4", "u", frames=6, seconds=2.0)
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert count == 6 and seconds == pytest.approx(2.0, abs=0.1)
    (path, *_) = line.export(tmp_path / "out", pk.Animate(frames=3))
    assert path.name == "u.gif"


def test_what_does_not_move(line, monkeypatch, tmp_path):
    import sys

    refused(lambda: pk.solve(Steady()).animate(tmp_path / "s.gif"), "steady has no time: nothing moves")
    refused(lambda: line.animate(tmp_path / "s.gif", "T"), "'T' is no field", "one of u")
    refused(lambda: line.animate(tmp_path / "s.gif", frames=0), "number of frames")
    refused(lambda: line.animate(tmp_path / "s.gif", seconds=0.0), "seconds of an animation")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    refused(lambda: line.animate(tmp_path / "s.mp4", frames=2), "imageio_ffmpeg is not installed", "pinnkit[film]")
