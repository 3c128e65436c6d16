"""Figures as pictures: as PNG files, and as the output of a notebook's cell. Neither needs a display."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pinnkit.files import write_whole

DPI = 130


class Picture(Figure):
    """A figure that a notebook shows where it is the last line of a cell, whatever matplotlib's backend is."""

    def _repr_png_(self) -> bytes:
        return png(self)


class Pictures(dict[str, Figure]):
    """Figures by name. As the last line of a notebook's cell all of them are shown, in this order."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self)})"

    def _ipython_display_(self) -> None:
        from IPython.display import display  # whoever calls this has it

        for name, figure in self.items():
            content = {"image/png": b64encode(png(figure)).decode(), "text/plain": f"the figure '{name}'"}
            display(content, raw=True)


def png(figure: Figure) -> bytes:
    """Return the figure as the content of a PNG file."""
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all; returns the path."""
    write_whole(path, png(figure))
    return path
