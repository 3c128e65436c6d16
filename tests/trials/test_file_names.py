"""Odd names of problem files and run folders, odd entries of ./problems, and files that a problem reads by itself."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli import pinnkit
from processes import TINY, no_traceback

import pinnkit as pk

FILES = ("my problem.py", "wärme.py", "漢字.py", "🔥.py", "a.b.py", "[red]x.py", "quo'te.py", 'dou"ble.py', "per%cent.py",
         "new\nline.py", "dollar$HOME.py", "{x}.py", "x" * 200 + ".py", ".hidden.py", "UPPER.py", "class.py", "9.py", "numpy.py",
         os.fsdecode(b"\xff\xfe.py"))  # fmt: skip
OUT = ("with space", "wärme", "[bold]", "a/b/c/d", "trailing/", "x" * 300, "x/" * 300 + "x", ".", "..", "/dev/null", "new\nline",
       "~/x", "tab\t", "{}", "%d", "-dash", os.fsdecode(b"\xff"))  # fmt: skip


@pytest.mark.parametrize("name", FILES, ids=ascii)
def test_names_of_problem_files(name, tmp_path):
    shutil.copy(TINY, tmp_path / name)
    status, out, err = pinnkit("check", Path(".") / name, folder=tmp_path)
    no_traceback(out, err)
    assert status == 0 or (status == 2 and err.startswith("error: ")), err


@pytest.mark.parametrize("name", FILES, ids=ascii)
def test_names_in_the_list(name, tmp_path):
    (tmp_path / "problems").mkdir()
    shutil.copy(TINY, tmp_path / "problems" / name)
    status, out, err = pinnkit("list", folder=tmp_path)
    assert (status, err) == (0, "")
    assert "advection" in out


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES, ids=ascii)
def test_runs_of_oddly_named_problem_files(name, tmp_path):
    """Trained, and found again by the name that `list` shows."""
    shutil.copy(TINY, tmp_path / name)
    if pinnkit("check", Path(".") / name, folder=tmp_path)[0] == 2:
        return
    status, out, err = pinnkit("train", Path(".") / name, "--adam.steps", "5", folder=tmp_path)
    no_traceback(out, err)
    assert status in (0, 2), err
    if status == 0:
        (run,) = (p.parent for p in (tmp_path / "runs").rglob("run.json"))
        assert pinnkit("show", run, folder=tmp_path)[0] == 0
        assert pinnkit("resume", run, folder=tmp_path)[0] == 0


@pytest.mark.parametrize("name", OUT, ids=lambda n: ascii(n)[:30])
def test_names_of_run_folders(name, tmp_path, monkeypatch):
    place = tmp_path / "place"
    place.mkdir()
    (tmp_path / "file").write_text("")  # so that `..` is not empty
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    status, out, err = pinnkit("train", TINY, "--adam.steps", "5", "--out=" + name, folder=place)
    no_traceback(out, err)
    assert status == 0 or (status == 2 and err.startswith("error: ")), err
    if status == 2:
        assert not any(place.iterdir()), "a refused command leaves nothing behind"


ODD_ENTRIES = {
    "latin-1": lambda p: p.write_bytes("# Wärme".encode("latin-1")),
    "binary": lambda p: p.write_bytes(bytes(range(256))),
    "empty": lambda p: p.write_text(""),
    "a folder": lambda p: p.mkdir(),
    "a dangling link": lambda p: p.symlink_to("nowhere"),
    "a circular link": lambda p: p.symlink_to(p.name),
    "an open docstring": lambda p: p.write_text('"""'),
}


@pytest.mark.parametrize("name", ODD_ENTRIES)
def test_odd_entries_of_the_problems_folder(name, tmp_path):
    (tmp_path / "problems").mkdir()
    ODD_ENTRIES[name](tmp_path / "problems" / "odd.py")
    status, out, err = pinnkit("list", folder=tmp_path)
    assert (status, err) == (0, "")
    assert "advection" in out
    status, out, err = pinnkit("check", "odd", folder=tmp_path)
    no_traceback(out, err)
    assert status == 2 and err.startswith("error: ")


# ----------------------------------------------------------------------- files that a problem reads by itself
READERS = {
    "loadtxt": ("table.csv", 'np.loadtxt(Path(__file__).parent / "table.csv")'),
    "load": ("table.npy", 'np.load(Path(__file__).with_name("table.npy"))'),
    "open": ("table.txt", 'np.array([float(line) for line in open(Path(__file__).parent / "table.txt")])'),
    "read_text": ("table.txt", 'np.array((Path(__file__).parent / "table.txt").read_text().split(), float)'),
    "a folder below": ("data/table.csv", 'np.genfromtxt(Path(__file__).parent / "data" / "table.csv")'),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_files_that_a_problem_reads_by_itself_are_kept(name, tmp_path):
    """Trained, then resumed, loaded and exported where the originals are gone."""
    file, expression = READERS[name]
    source = tmp_path / "source"
    table = source / file
    table.parent.mkdir(parents=True)
    np.save(table, [1.0, 2.0]) if table.suffix == ".npy" else np.savetxt(table, [1.0, 2.0])
    head = f"from pathlib import Path\nimport numpy as np\nTABLE = {expression}\n"
    (source / "tiny.py").write_text(head + TINY.read_text().replace("return u - 1.0", "return u - TABLE[0]"))
    status, _, err = pinnkit("train", "source/tiny.py", "--adam.steps", "10", "--out", "run", folder=tmp_path)
    assert (status, err) == (0, "")
    shutil.rmtree(source)
    (tmp_path / "run" / "summary.json").unlink()
    status, out, err = pinnkit("resume", "run", folder=tmp_path)
    no_traceback(out, err)
    assert status == 0, err
    assert np.isfinite(pk.load(tmp_path / "run")(x=0.5)["u"]).all()
    assert pinnkit("export", "run", folder=tmp_path)[0] == 0
