"""Run folders, data and caches of other people: what is not executed, not read and not sent to the terminal."""

import json
import os
import pickle
import shutil
import stat
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from cli import pinnkit
from processes import TINY, load, no_traceback, pinnkit_process

import pinnkit as pk
from pinnkit import cache

RUN = "runs/tiny/a"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with one run that is over."""
    folder = tmp_path_factory.mktemp("place")
    assert pinnkit("train", TINY, "--out", RUN, folder=folder)[0] == 0
    return folder


@pytest.fixture
def copy(place, tmp_path):
    """A copy of it for each test."""
    return shutil.copytree(place, tmp_path / "copy")


def edit(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def marking(marker):
    """A problem file that leaves a file behind when it is executed."""
    return f"open({str(marker)!r}, 'w').close()\n" + TINY.read_text()


# ----------------------------------------------------------------------- what is executed
@pytest.mark.parametrize("command", ["resume", "load", "export", "prune", "show", "list"])
@pytest.mark.parametrize("file", ["absolute", "../tiny.py", "below/../../tiny.py", "../../../../tiny.py"])
def test_no_file_outside_the_folder_is_executed(file, command, copy, tmp_path):
    marker = tmp_path / "executed"
    name = str(copy / "tiny.py") if file == "absolute" else file
    target = Path(name) if file == "absolute" else copy / RUN / "problem" / name
    (copy / RUN / "problem" / "below").mkdir()
    target.write_text(marking(marker))
    edit(copy / RUN / "run.json", lambda c: c["problem"].update(file=name))
    arguments = {"prune": ("--keep", "0.5")}.get(command, ())
    if command == "load":
        status, out, err = load(copy, RUN)
    else:
        status, out, err = pinnkit(command, *(() if command == "list" else (RUN,)), *arguments, folder=copy)
    no_traceback(out, err)
    assert status == (0 if command in ("show", "list") else 2)
    assert not marker.exists()


@pytest.mark.parametrize("command", [("show", RUN), ("list",)], ids=lambda c: c[0])
def test_looking_at_a_run_executes_nothing(command, copy, tmp_path):
    marker = tmp_path / "executed"
    (copy / RUN / "problem" / "tiny.py").write_text(marking(marker))
    (copy / "problems").mkdir()
    (copy / "problems" / "mine.py").write_text(marking(marker))
    assert pinnkit(*command, folder=copy)[0] == 0
    assert not marker.exists()


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, "w")


@pytest.mark.parametrize("file", ["truth.npz", "truth.npy", "truth.csv"])
def test_data_are_not_unpickled(file, tmp_path):
    marker, path = tmp_path / "executed", tmp_path / file
    bomb = np.array([Bomb(marker)], dtype=object)
    if file.endswith("npz"):
        np.savez(path, x=bomb, u=bomb)
    elif file.endswith("npy"):
        np.save(path, bomb, allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Bomb(marker)))
    marker.unlink(missing_ok=True)
    text = TINY.read_text()
    text = text[: text.index("    def exact")] + f"    reference = {file!r}\n"
    (tmp_path / "mine.py").write_text(text)
    status, out, err = pinnkit("check", "mine.py", folder=tmp_path)
    no_traceback(out, err)
    if status == 0:  # the truth is read before training, at the latest
        status, out, err = pinnkit("train", "mine.py", "--out", "run", folder=tmp_path)
    assert status == 2, out
    assert not marker.exists()


def test_the_cache_is_not_unpickled(tmp_path, monkeypatch):
    monkeypatch.setenv("PINNKIT_CACHE", str(tmp_path / "cache"))
    marker = tmp_path / "executed"
    arrays = cache.load_or_compute("truth", {"k": 1}, lambda: {"u": np.ones(3)})
    (file,) = (tmp_path / "cache").rglob("truth-*.npz")
    np.savez(file, u=np.array([Bomb(marker)], dtype=object))
    marker.unlink(missing_ok=True)
    again = cache.load_or_compute("truth", {"k": 1}, lambda: {"u": np.ones(3)})
    np.testing.assert_array_equal(again["u"], arrays["u"])
    assert not marker.exists()


# ----------------------------------------------------------------------- what reaches the terminal
CODES = {
    "escape": "\x1b[31mred\x1b]0;title\x07",
    "c1": "\x9b31mred",
    "return": "good\rbad",
    "backspace": "no\x08\x08yes",
}
TEXTS = {
    "name": ("run.json", lambda c, code: c["problem"].update(name=code)),
    "parameter": ("run.json", lambda c, code: c.update(parameters={code: code})),
    "model": ("run.json", lambda c, code: c["model"].update(name=code, activation=code)),
    "stage": ("run.json", lambda c, code: c["recipe"]["stages"][0].update(name=code)),
    "class": ("run.json", lambda c, code: c["problem"].update({"class": code})),
    "file": ("run.json", lambda c, code: c["problem"].update(file=code)),
    "version": ("run.json", lambda c, code: c.update(versions={code: code}, device=code)),
    "verdict": ("summary.json", lambda c, code: c.update(verdict=code)),
    "event": ("summary.json", lambda c, code: c.update(events=[code])),
    "field": ("summary.json", lambda c, code: c.update(errors={code: {"relative_l2": 1.0, "max_abs": 1.0}})),
    "term": ("summary.json", lambda c, code: c.update(residuals={code: 1.0}, training_residuals={code: 1.0})),
}


def controls(text):
    """The characters of a text that a terminal obeys."""
    return {ascii(c) for c in text if unicodedata.category(c) == "Cc" and c != "\n"}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("code", CODES)
def test_a_run_folder_sends_no_codes_to_the_terminal(name, code, copy):
    file, change = TEXTS[name]
    edit(copy / RUN / file, lambda content: change(content, CODES[code]))
    for command in (("show", RUN), ("list",), ("resume", RUN)):
        status, out, err = pinnkit(*command, folder=copy)
        no_traceback(out, err)
        assert status in (0, 1, 2)
        assert controls(out + err) == set(), f"{command}: {out + err!r}"


@pytest.mark.parametrize("code", CODES)
def test_metrics_send_no_codes_to_the_terminal(code, copy):
    (copy / RUN / "summary.json").unlink()
    row = {
        "step": 30,
        "seconds": 1.0,
        "stage": CODES[code],
        "loss": 1.0,
        "terms": {CODES[code]: 1.0},
        "event": CODES[code],
    }
    (copy / RUN / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    for command in ("show", "resume", "show"):
        _, out, err = pinnkit(command, RUN, folder=copy)
        no_traceback(out, err)
        assert controls(out + err) == set(), f"{command}: {out + err!r}"


@pytest.mark.parametrize("code", CODES)
def test_names_of_files_send_no_codes_to_the_terminal(code, copy):
    odd = CODES[code].replace("/", "")
    shutil.copytree(copy / RUN, copy / "runs" / "tiny" / odd)
    (copy / "problems").mkdir()
    (copy / "problems" / f"{odd}.py").write_text(f'"""{CODES[code]}"""\n' if "\r" not in odd else "")
    for command in (("list",), ("show", f"runs/tiny/{odd}"), ("show", odd), ("check", f"{odd}/no.py"), ("train", odd)):
        _, out, err = pinnkit(*command, folder=copy)
        assert controls(out + err) == set(), f"{command}: {out + err!r}"


# ----------------------------------------------------------------------- the cache folder
def unsafe(folder):
    """The files below a folder that lie in a place to which other users may write."""
    places = {file.parent for file in folder.rglob("*") if file.is_file()} if folder.exists() else set()

    def open_to_others(path):
        state = path.stat()
        return state.st_uid != os.geteuid() or bool(state.st_mode & (stat.S_IWGRP | stat.S_IWOTH))

    return [p for p in places if any(open_to_others(part) for part in (p, *p.parents) if part.is_relative_to(folder))]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        "writable by all",
        pytest.param("writable by the group", marks=pytest.mark.long),
        "of another user",
        pytest.param("a link to such a folder", marks=pytest.mark.long),
    ],
)
def test_a_cache_that_others_can_write_to_is_not_used(kind, tmp_path):
    """Compiled programs lie there, and are executed."""
    folder = cache_folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o770 if kind == "writable by the group" else 0o777)
    if kind == "of another user":
        if os.geteuid():
            pytest.skip("only root can give a folder away")
        folder.chmod(0o755)
        os.chown(folder, 12345, 12345)
    if kind == "a link to such a folder":
        cache_folder = tmp_path / "link"
        cache_folder.symlink_to(folder)
    command = ("check", TINY)
    status, out, err = pinnkit_process(tmp_path, *command, variables={"PINNKIT_CACHE": str(cache_folder)})
    no_traceback(out, err)
    assert status == 0, err
    assert unsafe(folder) == []


@pytest.mark.slow
def test_a_new_cache_is_private(tmp_path):
    folder = tmp_path / "cache"
    status, _, err = pinnkit_process(
        tmp_path,
        "check",
        TINY,
        variables={"PINNKIT_CACHE": str(folder)},
        prefix=["sh", "-c", 'umask 0; exec "$@"', "sh"],
    )
    assert (status, err) == (0, "")
    assert folder.stat().st_mode & 0o077 == 0
    assert unsafe(folder) == []


def test_a_program_of_another_folder_is_not_a_run(tmp_path):
    """`pk.load` of any folder says what it expects, and executes nothing of it."""
    marker = tmp_path / "executed"
    (tmp_path / "problem").mkdir()
    (tmp_path / "problem" / "tiny.py").write_text(marking(marker))
    with pytest.raises(pk.UsageError):
        pk.load(tmp_path)
    assert not marker.exists()
