"""Every notebook is valid, stored without outputs, and runs to a small error in its small size."""

import os
import sys
from base64 import b64decode

import nbformat
import pytest
from nbclient import NotebookClient
from paths import ROOT, TESTS

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
BOUNDS = {"quickstart": 1e-3, "diagnostics": 1e-2}
"""What the last cell of a notebook, an error, must stay below in its small size."""

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_is_a_notebook():
    assert NOTEBOOKS


@each
def test_is_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.fixture
def quick(monkeypatch):
    """Kernels that start from these settings compile quickly."""
    monkeypatch.setenv("PINNKIT_SMALL", "1")
    # Compiling takes longer than these few steps; the numbers do not change beyond rounding.
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", os.path.join(os.environ["PINNKIT_CACHE"], "jax"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=[] if p.stem == "quickstart" else pytest.mark.long) for p in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_runs_to_a_small_error(path, tmp_path, quick):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    last = notebook.cells[-1].outputs[-1]["data"]["text/plain"]
    assert 0.0 < float(last) < BOUNDS[path.stem]
    assert list(tmp_path.iterdir()) == [], "a notebook leaves no files where it runs"


CELLS = """
import jax
jax.config.update("jax_enable_x64", True)
import pinnkit as pk
from tiny import Decay
class Wrong(Decay):
    @pk.interior
    def decay(self, u, u_x):
        return u_x - u
---
solution = pk.train(Decay(), progress=False)
solution
---
solution.plot()
---
solution.plot()["solution"]
---
pk.check(Wrong())
---
solution(
    0.5)
---
pk.train(Decay(), epochs=100)
"""


@pytest.fixture
def outputs(tmp_path, quick, monkeypatch):
    """The outputs of each cell of CELLS: what a user sees."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), *sys.path]))
    monkeypatch.delenv("MPLBACKEND")  # set for the tests; a kernel sets its own
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c.strip()) for c in CELLS.split("---")])
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, allow_errors=True, kernel_name="python3", resources=resources).execute()
    return [cell.outputs for cell in notebook.cells]


@pytest.mark.slow
def test_what_a_cell_shows(outputs):
    setup, solution, pictures, picture, wrong, called, trained = outputs
    assert setup == []
    (shown,) = solution  # and no warning beside it
    assert shown.data["text/plain"].startswith("Solution of decay: u(x)") and "<table" in shown.data["text/html"]
    assert [p.data["text/plain"] for p in pictures] == ["the figure 'solution'", "the figure 'losses'"]
    for output in (*pictures, *picture):
        assert b64decode(output.data["image/png"])[:4] == b"\x89PNG"
    for (error,), words in (
        (wrong, ("The exact solution does not satisfy 'decay'", "cell In[1], line ", "cell In[5], line 1: pk.check(")),
        (called, ("each coordinate by its name: x", "solution(x=0.5)", "cell In[6], line 1: solution(")),
        (trained, ("no argument 'epochs'", "pk.Auto(steps=100)", "cell In[7], line 1: pk.train(")),
    ):
        text = "\n".join(error.traceback)
        assert all(word in text for word in words), text
        assert "solution.py" not in text and len(text.splitlines()) < 8
