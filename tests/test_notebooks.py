"""Every notebook is valid, stored without outputs, and runs to a small error in its small size."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
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


@pytest.mark.slow
@each
def test_runs_to_a_small_error(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PINNKIT_SMALL", "1")
    # Compiling takes longer than these few steps; the numbers do not change beyond rounding.
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", os.path.join(os.environ["PINNKIT_CACHE"], "jax"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    last = notebook.cells[-1].outputs[-1]["data"]["text/plain"]
    assert 0.0 < float(last) < BOUNDS[path.stem]
    assert list(tmp_path.iterdir()) == [], "a notebook leaves no files where it runs"
