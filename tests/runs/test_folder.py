"""The run folder: nothing is written over, and whatever is damaged is said."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from paths import ROOT

from pinnkit.files import plain
from pinnkit.problem.unknown import Unknown
from pinnkit.runs.folder import RunFolder, all_runs

CONFIG = {"problem": {"name": "rod"}}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def made(name="rod", out=None, **config):
    folder = RunFolder.create(name, out)
    folder.write("run.json", {**CONFIG, **config})
    return folder


def test_each_run_has_a_folder_of_its_own_even_within_a_second():
    folders = {made().path for _ in range(3)}
    assert len(folders) == 3
    assert all(f.parent == Path("runs/rod") and (f / "figures").is_dir() for f in folders)
    assert set(all_runs()) == folders


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("run.json", ("'taken' is not empty", "nothing is written over", "pinnkit resume taken")),
        ("thesis.tex", ("'taken' is not empty", "Choose another.")),
        (None, ("'taken' is a file", "Choose another.")),
    ],
)
def test_nothing_is_written_over(content, words):
    taken = Path("taken")
    if content is None:
        taken.write_text("precious")
    else:
        taken.mkdir()
        (taken / content).write_text("precious")
    refused(lambda: RunFolder.create("rod", taken), "--out", *words)
    assert (taken if content is None else taken / content).read_text() == "precious"
    assert [p.name for p in taken.parent.rglob("*")] == ["taken"] + ([content] if content else [])


def test_an_empty_output_folder_and_one_with_spaces_will_do():
    Path("empty").mkdir()
    assert made(out=Path("empty")).config() == CONFIG
    assert RunFolder.open(str(made(out=Path("my runs/first one")).path)).config() == CONFIG


def test_a_place_that_cannot_be_written_to_is_said():
    Path("file").write_text("")
    refused(lambda: RunFolder.create("rod", Path("file/run")), "cannot be made", "Choose another folder with --out")


def test_the_name_of_a_problem_stands_for_its_latest_run():
    for time in ("2024-01-01_00-00-00", "2026-01-01_00-00-00", "2025-01-01_00-00-00"):
        made(out=Path("runs/rod") / time, time=time)
    for name in ("runs/rod", "runs/rod/", "rod"):
        assert RunFolder.open(name).config()["time"] == "2026-01-01_00-00-00"


def test_a_missing_run_gets_a_suggestion():
    refused(lambda: RunFolder.open("rod"), "no run folder 'rod'", "Train first")
    path = made().path
    refused(lambda: RunFolder.open(str(path)[:-1]), "no run folder", f"Did you mean '{path}'")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("run.json", None, ("run.json cannot be read", "it is missing")),
        ("run.json", '{"problem": ', ("run.json cannot be read", "Expecting value")),
        ("run.json", "[1, 2]", ("run.json cannot be read", "it holds no object")),
        ("summary.json", "", ("summary.json cannot be read",)),
        ("summary.json", '{"verdict"', ("summary.json cannot be read", "delimiter")),
    ],
)
def test_a_damaged_file_is_named(name, text, words):
    folder = made()
    if text is None:
        (folder.path / name).unlink()
    else:
        (folder.path / name).write_text(text)
    refused(lambda: RunFolder.open(str(folder.path)).summary(), "run folder is damaged", *words, "pinnkit list")


def test_a_run_without_summary_has_not_ended():
    assert made().summary() is None


def test_metrics_whose_last_line_was_cut_off_lose_only_that_line():
    folder = made()
    assert list(folder.metrics()) == []
    for step in (10, 20, 30):
        folder.append([{"step": step, "seconds": 0.1}])
    file = folder.path / "metrics.jsonl"
    file.write_text(file.read_text()[:-3])
    assert [m["step"] for m in folder.metrics()] == [10, 20]
    file.write_text('{"step": 10, "seconds": 1}\n{"st\n{"step": 30, "seconds": 3}\n')
    refused(lambda: list(folder.metrics()), "metrics.jsonl cannot be read", "line 2")


def test_training_that_goes_on_drops_what_it_will_do_again():
    folder = made()
    for step in (10, 20, 30):
        folder.append([{"step": step, "seconds": 0.1}])
    folder.write("summary.json", {"verdict": "interrupted"})
    folder.begin(20)
    assert [m["step"] for m in folder.metrics()] == [10, 20]
    assert folder.summary() is None


def test_files_are_never_half_written():
    folder = made()
    with pytest.raises(RecursionError):
        loop = {}
        loop["again"] = loop
        folder.write("run.json", loop)
    assert folder.config() == CONFIG


def test_rows_are_appended_whole_or_not_at_all(monkeypatch):
    folder = made()
    folder.append([{"step": 10, "seconds": 0.1}])
    before = (folder.path / "metrics.jsonl").read_bytes()

    class Full:
        """A file on a disk that is full after some bytes."""

        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def tell(self):
            return self.file.tell()

        def write(self, text):
            self.file.write(text[:5])

        def flush(self):
            self.file.flush()
            raise OSError(28, "No space left on device")

    opened = Path.open
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(Path, "open", lambda path, mode="r", **how: Full(opened(path, mode, **how)))
        folder.append([{"step": 20}, {"step": 30}])
    assert (folder.path / "metrics.jsonl").read_bytes() == before


def test_only_one_process_trains_in_a_folder():
    """The lock is the system's: a process that has died holds none."""
    folder = made()
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from pinnkit.runs.folder import RunFolder\n"
        f"with RunFolder(Path({str(folder.path)!r})).lock():\n"
        "    print('locked', flush=True)\n"
        "    time.sleep(60)\n"
    )
    root = str(ROOT)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        assert folder.trainer().startswith(str(other.pid))
        refused(
            lambda: folder.lock().__enter__(), f"is being trained by process {other.pid}", "Wait until it has ended"
        )
        other.kill()
        other.wait()
    with folder.lock():
        assert (folder.path / "lock").read_text().startswith(str(os.getpid()))
    assert folder.trainer() == ""


def test_a_deleted_folder_is_made_anew():
    folder = made()
    (folder.problem / "rod.py").write_text("x = 1\n")
    contents = folder.contents()
    shutil.rmtree(folder.path)
    folder.rebuild(contents, [{"step": 10, "seconds": 0.1}])
    assert folder.config() == CONFIG and (folder.problem / "rod.py").read_text() == "x = 1\n"
    assert [m["step"] for m in folder.metrics()] == [10]


def test_what_a_folder_says_moves_no_cursor():
    folder = made(note="\x1b[2J\x07name", list=["a\x9bb"], **{"k\x1b": 1})
    config = folder.config()
    assert config["note"] == "\\x1b[2J\\x07name" and config["list"] == ["a\\x9bb"] and "k\\x1b" in config


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_an_output_folder_that_no_system_takes(name):
    refused(lambda: RunFolder.create("rod", Path(name)), "--out", "Choose another")


def test_everything_becomes_json_that_every_reader_understands():
    values = {
        "nan": math.nan,
        "inf": [math.inf, -math.inf],
        "numpy": np.float32(0.5),
        "count": np.int64(3),
        "array": np.array([1.0, np.nan]),
        "jax": jnp.asarray(2.0),
        "unknown": Unknown(0.1, 0.0, 1.0),
        "path": Path("a"),
        "flag": True,
        1: (1, None),
    }
    text = json.dumps(plain(values), allow_nan=False)
    assert json.loads(text) == {
        "nan": None,
        "inf": [None, None],
        "numpy": 0.5,
        "count": 3,
        "array": [1.0, None],
        "jax": 2.0,
        "unknown": 0.1,
        "path": "a",
        "flag": True,
        "1": [1, None],
    }
