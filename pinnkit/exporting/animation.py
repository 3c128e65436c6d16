"""Fields as they evolve in time, as animated pictures: GIF, or MP4 where imageio-ffmpeg is installed."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from pinnkit.exporting.exporter import Exported, Exporter
from pinnkit.libraries import library
from pinnkit.validation import require_number

if TYPE_CHECKING:
    from pinnkit.runs.solution import Solution

Format = Literal["gif", "mp4"]


@dataclass(frozen=True)
class Animate(Exporter):
    """The fields as they evolve in time, an animated picture each."""

    name: ClassVar[str] = "animate"

    frames: int = 60
    """Number of times, from the first to the last."""
    seconds: float = 6.0
    """How long the animation lasts."""
    format: Format = "gif"
    """gif, or mp4, which needs imageio-ffmpeg."""

    def convert(self, solution: Solution) -> Exported:
        """The animation of each field; the frames are counted in what was written."""
        files = {
            f"{field}.{self.format}": animation(solution, field, self.frames, self.seconds, self.format)
            for field in solution.answer.problem.fields
        }
        return Exported(files, {"files": list(files), "frames": self.frames}, ("read back, all frames are there",))


def animation(solution: Solution, field: str, count: int, seconds: float, format: Format) -> bytes:
    """The content of the animation of a field.

    Raises UsageError where nothing moves, for numbers that are none of frames or seconds, or without imageio-ffmpeg for MP4.
    """
    require_number(count, "The number of frames", where="", whole=True, least=1)
    require_number(seconds, "The seconds of an animation", where="", above=0)
    from pinnkit.figures.animation import frames  # matplotlib takes most of a second

    writer = _mp4 if format == "mp4" else _gif
    return writer(list(frames(solution.answer, field, count)), seconds)


def _gif(pictures: list[np.ndarray], seconds: float) -> bytes:
    """An animated GIF, which repeats."""
    from PIL import Image

    images = [Image.fromarray(picture).quantize(dither=Image.Dither.NONE) for picture in pictures]
    buffer = BytesIO()
    duration = round(1000 * seconds / len(images))
    images[0].save(buffer, format="GIF", save_all=True, append_images=images[1:], duration=duration, loop=0)
    content = buffer.getvalue()
    colours = [np.asarray(image.convert("RGB")) for image in images]
    different = 1 + sum(bool((a != b).any()) for a, b in pairwise(colours))
    with Image.open(BytesIO(content)) as again:  # frames that are the same are one in the file
        if again.size != images[0].size or getattr(again, "n_frames", 1) != different:
            raise RuntimeError("internal: the animation is not what was written")
    return content


def _mp4(pictures: list[np.ndarray], seconds: float) -> bytes:
    """An MP4 film."""
    ffmpeg = library("imageio_ffmpeg", "film")
    height, width, _ = pictures[0].shape
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.mp4"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "os.fork")  # the child becomes ffmpeg at once
            writer = ffmpeg.write_frames(str(file), (width, height), fps=len(pictures) / seconds, macro_block_size=2)
            writer.send(None)
            for picture in pictures:
                writer.send(picture)
            writer.close()
            count, _ = ffmpeg.count_frames_and_secs(str(file))
        if count != len(pictures):
            raise RuntimeError(f"internal: the film has {count} frames, not {len(pictures)}")
        return file.read_bytes()
