"""The installed console script, as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).with_name("pinnkit")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SCRIPT.exists(), reason="pinnkit is not installed: pip install -e ."),
]


def run(folder, *arguments):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [str(SCRIPT), *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.long
@pytest.mark.slow
def test_train_from_an_empty_folder(tmp_path):
    done = run(tmp_path, "train", "heat", "--ssbroyden.steps", "100", "--accuracy", "1e-2")
    assert done.returncode == 0, done.stderr
    assert "Relative L2 error" in done.stdout
    assert "the requested 1.0e-02 is met." in " ".join(done.stdout.split())
    assert [p.name for p in tmp_path.iterdir()] == ["runs"]
    (folder,) = (tmp_path / "runs" / "heat").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["errors"]["u"]["relative_l2"] < 1e-2
    assert summary["steps"] == 100
    assert {p.name for p in (folder / "figures").iterdir()} == {"losses.png", "slices.png", "solution.png"}


def test_new_check_and_list(tmp_path):
    assert run(tmp_path, "new", "rod").returncode == 0
    checked = run(tmp_path, "check", "rod")
    assert checked.returncode == 0, checked.stderr
    assert "heat: order 2" in checked.stdout
    listed = run(tmp_path, "list").stdout
    assert "rod" in listed and "kovasznay" in listed
