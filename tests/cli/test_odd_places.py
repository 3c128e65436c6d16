"""Odd places: file names that the terminal or the locale does not know, a folder that is gone, files that are no problems."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli import pinnkit
from paths import TINY

from pinnkit.cli.program import print_every_name
from pinnkit.errors import display_path


def test_a_list_passes_over_what_is_no_problem(tmp_path):
    here = tmp_path / "problems"
    here.mkdir()
    (here / "latin.py").write_bytes(b'"""Caf\xe9.\n"""')
    (here / "colours.py").write_text('"""Red \x1b[31m.\n"""')
    (here / "folder.py").mkdir()
    (here / "nowhere.py").symlink_to("missing.py")
    (here / "empty.py").write_text("")
    status, out, err = pinnkit("list", folder=tmp_path)
    assert (status, err) == (0, "")
    assert "latin" in out and "colours" in out and "empty" in out
    assert "nowhere" not in out and "folder" not in out.partition("no runs")[0].split()
    assert "\x1b[31m" not in out


def test_names_that_the_terminal_does_not_know_are_printed_by_their_numbers(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    print_every_name()
    print("tröpfchen", flush=True)
    assert stream.buffer.getvalue() == b"tr\\xf6pfchen\n"


def test_a_path_is_shown_where_the_current_folder_is_gone(tmp_path, monkeypatch):
    def gone():
        raise FileNotFoundError

    monkeypatch.setattr(Path, "cwd", gone)
    assert display_path(tmp_path / "rod.py") == str(tmp_path / "rod.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}], ids=["terminal", "locale"]
)
def test_a_problem_may_have_any_name(settings, tmp_path):
    (tmp_path / "tröpfchen.py").write_text(TINY.read_text().replace("Decay", "Zerfäll"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pinnkit", "check", "tröpfchen.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TINY.parents[1]), **settings},
        capture_output=True,
        timeout=200,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
def test_a_current_folder_that_is_gone_is_no_traceback(tmp_path):
    code = (
        "import os, sys, shutil; os.chdir(sys.argv[1]); shutil.rmtree(sys.argv[1]); from pinnkit.cli.main import main; "
    )
    (tmp_path / "gone").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code + "main(['train', 'advection', '--seed', 'x'])", str(tmp_path / "gone")],
        env={**os.environ, "PYTHONPATH": str(TINY.parents[1])},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr and done.stderr.startswith("error: --seed is 'x'")
