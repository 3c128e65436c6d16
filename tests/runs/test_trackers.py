"""Trackers: what they are told, what happens where one fails, those of a problem file, and the table of `--trackers csv`."""

import csv
import json
from dataclasses import dataclass

import pytest
from cases import refused
from cli import pinnkit
from tiny import Decay

import pinnkit as pk
from pinnkit.runs.folder import RunFolder
from pinnkit.runs.restore import restore_run

SAMPLING = pk.Sampling(interior=8, boundary=1, redraw=0)


def recipe(*trackers):
    return pk.Recipe(stages=(pk.Adam(steps=6),), sampling=SAMPLING, trackers=trackers)


@dataclass
class Listener(pk.Tracker):
    """Notes every call."""

    label: str = "a"

    def start(self, run):
        self.calls = [("start", run)]

    def log(self, report, row):
        self.calls.append(("log", report, row))

    def close(self, summary):
        self.calls.append(("close", summary))


def test_a_tracker_is_told_of_the_run_its_rows_and_its_results(tmp_path):
    listener = Listener()
    solution = pk.train(Decay(k=2.0), recipe=recipe(listener), out=tmp_path / "run")
    (_, run), *logs, (_, summary) = listener.calls
    assert (run.problem, run.step, run.steps, run.folder) == ("decay", 0, 6, tmp_path / "run")
    assert (
        run.settings["problem.k"] == 2.0 and run.settings["adam.steps"] == 6 and run.settings["listener.label"] == "a"
    )
    assert [row for _, _, row in logs] == solution.history and logs[-1][2]["step"] == 6
    assert all(int(report.state.step) == row["step"] for _, report, row in logs)
    written = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["verdict"] == solution.verdict == written["verdict"] and summary["steps"] == 6


@pytest.mark.slow
def test_a_tracker_of_a_script_is_left_out_when_the_run_goes_on(tmp_path):
    pk.train(Decay(k=2.0), recipe=recipe(Listener()), out=tmp_path / "run")
    assert pk.load(tmp_path / "run").run.recipe.trackers == ()
    status, out, err = pinnkit("resume", str(tmp_path / "run"), "--adam.steps", "8")
    assert status == 0 and "The tracker 'listener' is not defined in the problem file" in out.replace("\n", " "), (
        out + err
    )


def test_without_a_folder_a_tracker_is_told_so():
    listener = Listener()
    pk.train(Decay(), recipe=recipe(listener))
    assert listener.calls[0][1].folder is None and listener.calls[-1][1]["steps"] == 6


@dataclass
class Failing(pk.Tracker):
    method: str = "log"

    def start(self, run):
        self.fail("start")

    def log(self, report, row):
        self.fail("log")

    def close(self, summary):
        self.fail("close")

    def fail(self, method):
        if method == self.method:
            raise ConnectionError("no network")


@pytest.mark.parametrize("method", ["log", "close"])
def test_a_tracker_that_fails_is_left_out_and_training_goes_on(method, capsys):
    listener = Listener()
    solution = pk.train(Decay(), recipe=recipe(Failing(method), listener), progress=True)
    assert solution.history[-1]["step"] == 6 and listener.calls[-1][0] == "close"
    out = capsys.readouterr().out.replace("\n", " ")
    assert out.count("tracker 'failing' failed (ConnectionError: no network)") == 1


def test_a_tracker_that_cannot_start_ends_the_run_before_its_first_step():
    hook = pytest.fail
    refused(
        lambda: pk.train(Decay(), recipe=recipe(Failing("start")), hooks=[lambda *_: hook("it trains")]),
        "The tracker 'failing' cannot start: ConnectionError: no network",
        "--trackers none",
    )


@pytest.mark.parametrize("value", ["csv", Listener, 3])
def test_what_is_no_tracker_is_refused(value):
    refused(lambda: pk.Recipe(trackers=value), "is no tracker", "pk.Tracker")


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


OPTIONS = ("--adam.steps", "6", "--sampling.interior", "8")


@pytest.fixture
def growing(tmp_path, monkeypatch):
    """A problem file with a tracker of its own, and the current folder beside it."""
    (tmp_path / "growing.py").write_text(
        "from dataclasses import dataclass\n"
        "import jax.numpy as jnp\nimport pinnkit as pk\n\n\n"
        "@dataclass\nclass Diary(pk.Tracker):\n"
        '    """Writes a line per chunk."""\n\n'
        '    word: str = "step"\n    """The word before each number."""\n\n'
        "    def start(self, run):\n        self.file = run.folder / 'diary.txt'\n\n"
        "    def log(self, report, row):\n"
        "        with self.file.open('a') as stream:\n            print(self.word, row['step'], file=stream)\n\n\n"
        "class Growing(pk.Problem):\n    domain = pk.Box(t=(0.0, 1.0))\n    scales = None\n\n"
        "    @pk.interior\n    def growth(self, u, u_t):\n        return u_t - u\n\n"
        "    @pk.initial\n    def start(self, u):\n        return u - 1.0\n\n"
        "    def exact(self, t):\n        return jnp.exp(t)\n\n"
        "    model = pk.MLP(width=4, depth=1)\n    recipe = pk.Recipe(stages=(pk.Adam(steps=6),))\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_trackers_of_the_command_line_survive_resuming(growing):
    status, out, err = pinnkit(
        "train", "growing.py", *OPTIONS, "--trackers", "csv", "diary", "--diary.word", "at", "--out", "run"
    )
    assert status == 0, out + err
    table, diary = read(growing / "run" / "metrics.csv"), (growing / "run" / "diary.txt").read_text().split("\n")
    rows = [json.loads(line) for line in (growing / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [int(row["step"]) for row in table] == [row["step"] for row in rows]
    assert [float(row["loss"]) for row in table] == [row["loss"] for row in rows]
    assert float(table[0]["terms.growth"]) == rows[0]["terms"]["growth"]
    assert float(table[0]["errors.u"]) == rows[0]["errors"]["u"]
    assert diary[0] == f"at {rows[0]['step']}"
    run = restore_run(RunFolder.open("run"))
    assert [tracker.name for tracker in run.recipe.trackers] == ["csv", "diary"] and run.recipe.trackers[1].word == "at"
    status, out, err = pinnkit("resume", "run", "--adam.steps", "9")
    assert status == 0, out + err
    table = read(growing / "run" / "metrics.csv")
    assert [int(row["step"]) for row in table][-1] == 9 and len({row["step"] for row in table}) == len(table)
    status, out, err = pinnkit("resume", "run", "--trackers", "none", "--adam.steps", "12")
    assert status == 0 and int(read(growing / "run" / "metrics.csv")[-1]["step"]) == 9, out + err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--trackers", "tensorbored"], ("There is no tracker 'tensorbored'", "csv, diary, none")),
        (["--trackers", "csv", "csv"], ("--trackers names 'csv' twice",)),
        (["--trackers", "csv", "none"], ("--trackers has 'none' beside others",)),
        (["--diary.word", "at"], ("'--diary.word' sets a tracker that is not used", "--trackers diary")),
    ],
)
def test_mistakes_in_trackers(options, words, growing):
    status, out, err = pinnkit("train", "growing.py", *OPTIONS, *options)
    assert status == 2 and all(word in err for word in words), out + err


def test_a_column_that_comes_later_is_added(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from pinnkit.trackers.csv_file import CsvFile
    from pinnkit.training.tracker import TrackedRun

    table = CsvFile(file="table.csv")
    table.start(TrackedRun("rod", {}, 0, 10, None))
    table.log(None, {"step": 1, "terms": {"heat": 0.5}})
    table.log(None, {"step": 2, "terms": {"heat": 0.25}, "errors": {"u": 0.125}})
    table.log(None, {"step": 3, "terms": {"heat": 0.1}})
    assert read(tmp_path / "table.csv") == [
        {"step": "1", "terms.heat": "0.5", "errors.u": ""},
        {"step": "2", "terms.heat": "0.25", "errors.u": "0.125"},
        {"step": "3", "terms.heat": "0.1", "errors.u": ""},
    ]
    again = CsvFile(file="table.csv")
    again.start(TrackedRun("rod", {}, 2, 10, None))  # goes on from step 2
    again.log(None, {"step": 3, "terms": {"heat": 0.2}})
    assert [row["terms.heat"] for row in read(tmp_path / "table.csv")] == ["0.5", "0.25", "0.2"]
    refused(lambda: CsvFile(file="none/table.csv").start(TrackedRun("rod", {}, 0, 10, None)), "cannot be written")
