"""Full disks, folders that cannot be written or are deleted, encodings, terminals, odd file names: no traceback, results kept."""

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from processes import (
    TINY,
    assert_same_run,
    end,
    figures_of,
    no_traceback,
    pinnkit_process,
    rows,
    start,
    summary_of,
    wait_for,
)
from resuming import assert_same_end, last_arrays

NOT_WRITTEN = 4
"""Exit status where results could not be written."""
SLOWLY = {"chunk": 5, "pause": 0.05, "checkpoint_seconds": 0.1}
STEPS = ("--adam.steps", "150")


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The run to which nothing happened."""
    place = tmp_path_factory.mktemp("straight")
    status, _, err = pinnkit_process(place, "train", TINY, *STEPS, "--out", "run", choices={"chunk": 5})
    assert (status, err) == (0, "")
    return place / "run"


# ----------------------------------------------------------------------- a full disk
def mount(folder, kilobytes, *options):
    """Mount a small file system in memory; skips the test where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={kilobytes}k", *options]), "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")


@pytest.fixture
def small_disk(tmp_path):
    """A function that makes a small disk in a folder, or changes its size; it is gone after the test."""
    folder = tmp_path / "disk"

    def make(kilobytes):
        if folder.exists():
            subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(folder)], check=True)
        else:
            folder.mkdir()
            mount(folder, kilobytes)
        return folder

    yield make
    if folder.exists():
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [
    100, *(pytest.param(k, marks=pytest.mark.long) for k in (4, 12, 20, 40, 60, 80, 140, 180, 200, 240, 260, 280, 300))
])  # fmt: skip
def test_a_full_disk(kilobytes, small_disk, straight):
    """It fills at the problem's copy, at a checkpoint, in the metrics or in a figure; there is room again for `resume`."""
    disk = small_disk(kilobytes)
    run = disk / "run"
    status, out, err = pinnkit_process(disk, "train", TINY, *STEPS, "--out", "run", choices=SLOWLY)
    no_traceback(out, err)
    assert (out + err).count("No space left") <= 3, "one message, not one for each chunk"
    if status == 0:
        assert_same_run(straight, run)
        return
    if not (run / "run.json").is_file() or not (run / "run.json").stat().st_size:
        assert status == 2
        return
    assert status in (2, NOT_WRITTEN), out + err
    small_disk(4000)
    status, out, err = pinnkit_process(disk, "resume", "run", choices={"chunk": 5})
    no_traceback(out, err)
    if status == 2:  # what the copy of the problem lacks cannot be made up
        assert "problem" in err
        return
    assert status == 0, err
    assert_same_end(straight, run)
    assert figures_of(run) == figures_of(straight)


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [1, 32])
def test_a_limit_on_the_size_of_files(kilobytes, straight, tmp_path):
    """1 kB: run.json does not fit, and the run cannot be begun; 32 kB: the figures do not fit."""
    prefix = ["bash", "-c", f'ulimit -f {kilobytes}; exec "$@"', "limited"]
    command = ["train", TINY, *STEPS, "--out", "run"]
    status, out, err = pinnkit_process(tmp_path, *command, choices={"chunk": 5}, prefix=prefix)
    no_traceback(out, err)
    assert status == (2 if kilobytes == 1 else NOT_WRITTEN), out + err
    if kilobytes == 1:
        return
    assert_same_end(straight, tmp_path / "run")
    assert summary_of(tmp_path / "run")["errors"] == summary_of(straight)["errors"]
    assert pinnkit_process(tmp_path, "resume", "run")[0] == 0
    assert figures_of(tmp_path / "run") == figures_of(straight)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_log_on_a_full_disk(straight, tmp_path):
    """`pinnkit train > log`: the training does not need its log."""
    with open("/dev/full", "w") as full:
        command = ["train", TINY, *STEPS, "--out", "run"]
        process = start(tmp_path, *command, choices={"chunk": 5}, stdout=full, variables={"PYTHONUNBUFFERED": None})
        _, _, err = end(process)
    assert "Traceback" not in err
    assert_same_run(straight, tmp_path / "run")


# ----------------------------------------------------------------------- places that cannot be written
@pytest.fixture
def unprivileged():
    """A command that starts another one whose user has to keep to the permissions of files."""
    if os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("permissions do not hold for this user")
    without = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={without}", f"--inh-caps={without}"]


@contextlib.contextmanager
def read_only(*paths):
    def let(mode):
        for path in paths:
            with contextlib.suppress(FileNotFoundError):  # a checkpoint's draft, which has taken its place by now
                path.chmod(mode)

    let(0o555)
    try:
        yield
    finally:
        let(0o755)


def folders_of(run):
    return [run, *(p for p in run.rglob("*") if p.is_dir())]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--out", "run"), (), ("--out", "below/run")], ids=["out", "current", "below"])
def test_a_run_folder_that_cannot_be_made(arguments, tmp_path, unprivileged):
    with read_only(tmp_path):
        status, out, err = pinnkit_process(tmp_path, "train", TINY, *arguments, prefix=unprivileged)
    no_traceback(out, err)
    assert status == 2 and err.startswith("error: ") and "--out" in err


@pytest.mark.slow
def test_a_run_folder_on_a_read_only_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount(disk, 100, "ro")
    try:
        status, out, err = pinnkit_process(tmp_path, "train", TINY, "--out", "disk/run")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
    no_traceback(out, err)
    assert status == 2 and err.startswith("error: ")


@pytest.mark.slow
def test_a_run_folder_that_becomes_read_only(tmp_path, straight, unprivileged):
    """Training goes on to its end, which is said; the exit status tells that it was not written."""
    process = start(tmp_path, "train", TINY, *STEPS, "--out", "run", choices=SLOWLY, prefix=unprivileged)
    run = tmp_path / "run"
    assert wait_for(process, lambda: len(rows(run)) >= 4)
    with read_only(*folders_of(run)):
        status, out, err = end(process)
    no_traceback(out, err)
    assert status == NOT_WRITTEN, out + err
    assert "Relative L2 error" in out
    assert pinnkit_process(tmp_path, "resume", "run", choices={"chunk": 5})[0] == 0
    assert_same_end(straight, run)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["show", "resume", "export", "list"])
def test_commands_on_a_read_only_run(command, tmp_path, straight, unprivileged):
    run = tmp_path / "runs" / "tiny" / "a"
    shutil.copytree(straight, run)
    with read_only(*folders_of(run)):
        arguments = () if command == "list" else (run,)
        status, out, err = pinnkit_process(tmp_path, command, *arguments, prefix=unprivileged)
    no_traceback(out, err)
    assert status in ((0,) if command in ("show", "list") else (0, 2, NOT_WRITTEN)), err


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["a file", "read-only", "no home"])
def test_a_cache_that_cannot_be_used(kind, tmp_path, unprivileged):
    cache = tmp_path / "cache"
    cache.write_text("precious") if kind == "a file" else cache.mkdir(mode=0o555)
    variables = {"PINNKIT_CACHE": str(cache)}
    if kind == "no home":
        variables = {"PINNKIT_CACHE": None, "XDG_CACHE_HOME": None, "HOME": str(cache / "nobody")}
    status, out, err = pinnkit_process(tmp_path, "check", TINY, variables=variables, prefix=unprivileged)
    no_traceback(out, err)
    assert status == 0, err
    assert kind != "a file" or cache.read_text() == "precious"


# ----------------------------------------------------------------------- folders that are deleted
@pytest.mark.slow
@pytest.mark.parametrize("name", ["", "checkpoints", "figures", "problem", "metrics.jsonl", "run.json"])
def test_what_is_deleted_while_training(name, tmp_path, straight):
    """The folder is made anew: run.json, the problem, the metrics from then on, the final state, the results."""
    run = tmp_path / "run"
    process = start(tmp_path, "train", TINY, *STEPS, "--out", "run", choices=SLOWLY)
    assert wait_for(process, lambda: len(rows(run)) >= 4)
    (run / name).rename(tmp_path / "gone")  # at once: the training may be writing there
    status, out, err = end(process)
    no_traceback(out, err)
    assert status == 0, out + err
    assert_same_end(straight, run)
    assert json.loads((run / "run.json").read_text())["problem"]["file"] == "tiny.py"
    assert (run / "problem" / "tiny.py").is_file()
    assert rows(run)[-1] == rows(run)[-1] | {"step": 150}
    assert figures_of(run) == figures_of(straight)
    assert pinnkit_process(tmp_path, "resume", "run")[0] == 0


@pytest.mark.slow
def test_a_run_folder_that_becomes_a_file(tmp_path):
    process = start(tmp_path, "train", TINY, *STEPS, "--out", "run", choices=SLOWLY)
    run = tmp_path / "run"
    assert wait_for(process, lambda: len(rows(run)) >= 4)
    run.rename(tmp_path / "moved")
    run.write_text("precious")
    status, out, err = end(process)
    no_traceback(out, err)
    assert status == NOT_WRITTEN, out + err
    assert run.read_text() == "precious"


@pytest.mark.slow
def test_the_problem_file_is_deleted_while_training(tmp_path, straight):
    problem = tmp_path / "tiny.py"
    shutil.copy(TINY, problem)
    process = start(tmp_path, "train", "tiny.py", *STEPS, "--out", "run", choices=SLOWLY)
    assert wait_for(process, lambda: len(rows(tmp_path / "run")) >= 2)
    problem.unlink()
    assert end(process)[0] == 0
    assert_same_run(straight, tmp_path / "run")
    assert int(last_arrays(tmp_path / "run")[".step"]) == 150


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [("list",), ("check", TINY), ("show", "run"), ("train", TINY)], ids=lambda a: a[0]
)
def test_a_current_folder_that_is_gone(arguments, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    prefix = ["sh", "-c", 'rmdir "$0" && exec "$@"', str(gone)]
    status, out, err = pinnkit_process(gone, *arguments, prefix=prefix)
    no_traceback(out, err)
    assert status in (0, 2), err
    assert status == 0 or err.startswith("error: ")


# ----------------------------------------------------------------------- encodings and terminals
ENCODINGS = {
    "ascii output": {"PYTHONIOENCODING": "ascii"},
    "latin-1 output": {"PYTHONIOENCODING": "latin-1"},
    "C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "unknown locale": {"LC_ALL": "xx_YY.UTF-8"},
}
TERMINALS = {
    "one column": {"COLUMNS": "1"},
    "no columns": {"COLUMNS": "0"},
    "columns in words": {"COLUMNS": "many"},
    "dumb terminal": {"TERM": "dumb", "NO_COLOR": "1"},
    "no terminal": {"TERM": None},
    "forced colours": {"FORCE_COLOR": "1"},
    "optimised": {"PYTHONOPTIMIZE": "2"},
    "no variables": {"HOME": None, "USER": None, "LOGNAME": None, "TMPDIR": None, "LANG": None},
}
UMLAUT = '''"""Wärmeleitung."""
import pinnkit as pk
class Wärme(pk.Problem):
    """Größe θ."""
    k: float = 1.0
    domain = pk.Box(x=(0.0, 1.0))
    @pk.interior
    def gleichung_ä(self, u, u_x):
        return {"größe": u_x + self.k * u}
    @pk.boundary("x-")
    def rand(self, u):
        return u - 1.0
    model = pk.MLP(width=4, depth=1)
    recipe = pk.Recipe(stages=(pk.Adam(steps=10),), sampling=pk.Sampling(interior=32, boundary=1))
'''


@pytest.mark.slow
@pytest.mark.parametrize("name", ENCODINGS)
def test_names_that_the_terminal_cannot_show(name, tmp_path):
    (tmp_path / "wärme.py").write_text(UMLAUT, encoding="utf-8")
    command = ["train", "wärme.py", "--out", "Läufe"]
    status, out, err = pinnkit_process(tmp_path, *command, variables=ENCODINGS[name], errors="replace")
    no_traceback(out, err)
    assert status == 0, err
    assert json.loads((tmp_path / "Läufe" / "run.json").read_text(encoding="utf-8"))["problem"]["name"] == "wärme"
    status, out, err = pinnkit_process(tmp_path, "show", "Läufe", variables=ENCODINGS[name], errors="replace")
    no_traceback(out, err)
    assert status == 0, err


@pytest.mark.slow
@pytest.mark.parametrize("name", TERMINALS)
def test_odd_terminals_and_variables(name, tmp_path):
    status, out, err = pinnkit_process(tmp_path, "check", TINY, variables=TERMINALS[name])
    no_traceback(out, err)
    assert status == 0, err


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("list",), ("train", TINY, "--help"), ("train", TINY, "--out", "run")],
                         ids=["list", "help", "train"])  # fmt: skip
def test_a_reader_that_has_seen_enough(arguments, tmp_path):
    """`pinnkit ... | head -1`."""
    process = start(tmp_path, *arguments, choices={"chunk": 5, "pause": 0.05})
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.wait(timeout=120)
    no_traceback(err)
    assert process.returncode in (0, 1, 128 + signal.SIGPIPE, -signal.SIGPIPE)


# ----------------------------------------------------------------------- the first sign of life
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processor time is read from /proc")
def test_something_is_said_within_two_seconds(tmp_path):
    """Two seconds of processor time, which do not depend on what else the machine does."""
    leader, follower = pty.openpty()
    pipes = {"stdin": follower, "stdout": follower, "stderr": follower}
    process = start(tmp_path, "train", TINY, "--out", "run", **pipes)
    os.close(follower)
    assert os.read(leader, 1)
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    process.kill()
    process.wait()
    os.close(leader)
    assert seconds < 2.0
