"""What a run keeps of its problem: everything that the file needs to be read again, and the proof that it can be."""

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from cli import pinnkit

import pinnkit as pk
from pinnkit.problem.find import files_opened_by, problem_class
from pinnkit.problem.watching import OpenedFiles, record_opened_files
from pinnkit.runs.checkpoint import Checkpoints
from pinnkit.runs.folder import RunFolder
from pinnkit.runs.problem_copy import Source, copy_problem, files_of, problem_class_of
from pinnkit.runs.restore import differences, restore_problem, restore_run
from pinnkit.runs.session import Session
from pinnkit.settings import from_plain, to_plain

FILE = """from pathlib import Path

import numpy as np
import pinnkit as pk

{read}


class Wall(pk.Problem):
    k: float = {k}
    domain = pk.Box(x=(0.0, 1.0))
    scales = None  # no verdict on four steps
    {body}

    @pk.interior
    def heat(self, u, u_x):
        return u_x + self.k * u

    @pk.boundary("x-")
    def start(self, u):
        return u - 1.0

    def reference(self, x):  # with a truth no other method is asked
        return np.exp(-self.k * x)

    model = pk.MLP(width=3, depth=1)
    recipe = pk.Recipe(stages=(pk.Adam(steps=4),), sampling=pk.Sampling(interior=8, boundary=1))
"""
BESIDE = 'table = np.loadtxt(Path(__file__).parent / "data/table.csv", delimiter=",", skiprows=1)'
FROM_HERE = 'table = np.loadtxt("tables/table.csv", delimiter=",", skiprows=1)'


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name="problems/wall.py", read="", body="", k="1.0"):
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(FILE.format(read=read, body=body, k=k))
    return file


def table(name):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("x,y\n0,1\n1,2\n")
    return Path(name).resolve()


def copied(file):
    cls, folder = problem_class(str(file)), RunFolder.create("wall", Path("run"))
    return copy_problem(cls(), folder, OpenedFiles(), file), folder


def test_python_itself_says_which_files_are_opened(tmp_path):
    one, two, three = (table(f"data/{n}.csv") for n in ("one", "two", "three"))
    with record_opened_files() as opened:
        np.loadtxt(one, skiprows=1, delimiter=",")
        two.read_bytes()
        (tmp_path / "written").write_text("")
        assert not Path("missing").exists()
    three.read_text()
    assert opened.files == {one, two} and not opened.relative
    with record_opened_files() as opened, open("data/three.csv"):
        pass
    assert opened.files == {three} and opened.relative


@pytest.mark.parametrize(("read", "place"), [(BESIDE, "problems/data/table.csv"), (FROM_HERE, "tables/table.csv")])
def test_files_that_the_problem_reads_by_itself_are_kept(read, place, monkeypatch, tmp_path):
    path, file = table(place), write(read=read)
    assert files_opened_by(problem_class(str(file))).files >= {path}
    source, folder = copied(file)
    shutil.rmtree("problems")
    path.unlink(missing_ok=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    again = problem_class_of(source, RunFolder(tmp_path / folder.path))
    assert again().name == "wall" and Path.cwd() == elsewhere


@pytest.mark.slow
def test_such_a_run_can_be_loaded_when_everything_else_is_gone():
    table("problems/data/table.csv")
    file = write(read=BESIDE)
    status, out, err = pinnkit("train", file, "--out", "run")
    assert status == 0, out + err
    shutil.rmtree("problems")
    assert pk.load("run")(x=0.5)["u"].shape == ()
    assert pinnkit("resume", "run")[0] == 0


def test_what_is_read_later_and_what_is_named_is_kept_too():
    late, named = table("problems/late.csv"), table("problems/named.h5")
    file = write(body='files = ("named.h5",)')
    problem = problem_class(str(file))()
    assert set(files_of(problem, OpenedFiles({late}))[0]) == {late, named}
    named.unlink()
    refused(lambda: files_of(problem, OpenedFiles()), "no file 'named.h5'", "wall.py")


def test_files_of_python_and_of_runs_are_none_of_the_problems():
    Path("runs/wall").mkdir(parents=True)
    foreign = {Path(np.__file__).resolve(), table("runs/wall/table.csv"), Path("/etc/hostname")}
    assert files_of(problem_class(str(write()))(), OpenedFiles(foreign, relative=True))[0] == []


def test_a_copy_that_cannot_be_imported_is_said_before_anything_is_trained(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    table("elsewhere/table.csv")
    file = write(
        read='table = np.loadtxt(Path(__file__).parents[1] / "elsewhere/table.csv", delimiter=",", skiprows=1)'
    )
    status, out, err = pinnkit("train", file, "--out", "run")
    assert status == 2 and "Traceback" not in out + err
    for words in (
        "copy of the problem that the run would keep cannot be imported",
        "table.csv",
        'files = ("table.h5",)',
    ):
        assert words in err
    assert not Path("run").exists()


@pytest.mark.parametrize("place", ["/etc/passwd", "../outside.py", "a/../../outside.py"])
def test_no_file_outside_of_the_folder_is_executed(place):
    marker = Path("executed")
    Path("outside.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    with pytest.raises(ValueError, match="outside of the run folder"):
        Source.of({"problem": {"name": "x", "file": place, "class": "X"}})
    source, folder = copied(write())
    folder.start({"problem": source.plain() | {"file": place}, "parameters": {}})
    refused(lambda: restore_problem(folder), "run.json does not describe a run", "outside of the run folder")
    (folder.problem / "link.py").symlink_to(Path("outside.py").resolve())
    folder.start({"problem": source.plain() | {"file": "link.py"}, "parameters": {}})
    refused(lambda: restore_problem(folder), "outside of the run folder")
    assert not marker.exists()


@pytest.mark.parametrize(
    "value",
    [1.5, 3, True, None, "inf", float("inf"), float("-inf"), (1.0, 2.0), ((1.0, float("inf")), (2, 3)), [1, 2],
     {"a": (1.0,), "b": float("inf")}, ()],
    ids=repr,
)  # fmt: skip
def test_parameters_survive_json(value):
    assert repr(from_plain(json.loads(json.dumps(to_plain(value))), Any, like=value)) == repr(value)


def test_arrays_survive_json_with_their_kind():
    for value in (np.array([1.0, np.inf]), jnp.arange(3)):
        again = from_plain(json.loads(json.dumps(to_plain(value))), Any, like=value)
        assert type(again) is type(value) and again.dtype == value.dtype and bool((again == value).all())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which a run has been trained."""
    place = tmp_path_factory.mktemp("finished")
    (place / "problems").mkdir()
    (place / "problems/wall.py").write_text(FILE.format(read="", body="", k="1.0"))
    status, out, err = pinnkit("train", "problems/wall.py", "--out", "run", folder=place)
    assert status == 0, out + err
    return place


@pytest.fixture
def run(finished):
    """A copy of that run, in the current folder."""
    shutil.copytree(finished, ".", dirs_exist_ok=True)
    return RunFolder(Path("run"))


@pytest.mark.parametrize("k", ["(1.0, 2.0)[0]", "float('inf')"])
def test_infinite_parameters_and_tuples_can_be_resumed(k):
    folder = RunFolder.create("wall", Path("run"))
    file = write(body="ks: tuple[float, ...] = (1.0, 2.0)", k=k)
    cls = problem_class(str(file))
    source = copy_problem(cls(), folder, OpenedFiles(), file)
    folder.start({"problem": source.plain(), "parameters": to_plain(cls().parameters())})
    assert restore_problem(folder).parameters() == cls().parameters()


def test_what_differs_from_the_start_of_a_run_is_said(run):
    assert differences(run) == []
    Path("problems/wall.py").write_text("changed = 1\n")
    assert "problems/wall.py has changed since" in " ".join(differences(run))
    Path("problems/wall.py").unlink()
    assert differences(run) == []
    copy = run.problem / "wall.py"
    copy.write_text(copy.read_text().replace("self.k * u", "self.k * u**2"))
    (said,) = differences(run)
    assert "own copy of wall.py was changed" in said
    config = json.loads((run.path / "run.json").read_text())
    config["parameters"]["k"] = 2.0
    config["versions"]["jax"] = "0.1"
    config["devices"] = 64
    (run.path / "run.json").write_text(json.dumps(config))
    said = " ".join(differences(run))
    for words in ("run.json was edited", "jax 0.1 (now", "64 device(s)", "equal to the bit"):
        assert words in said
    assert restore_run(run).problem.k == 2.0


def test_a_run_goes_on_with_other_settings_and_keeps_them(run):
    status, out, err = pinnkit("resume", "run", "--adam.steps", "9", "--weights.start", "5")
    assert status == 0, out + err
    assert "adam.steps: 4 -> 9" in out and "going on at step 4 of 9" in out
    config, summary = run.config(), run.summary()
    assert summary["steps"] == 9
    (entry,) = config["history"]
    assert entry["step"] == 4 and entry["changes"] == {"adam.steps": [4, 9], "weights.start": [None, 5.0]}
    assert restore_run(run).recipe.stages[0].steps == 9
    assert differences(run) == []
    status, out, _ = pinnkit("resume", "run")
    assert status == 0 and "nothing is left to do" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--seed", "3"), "cannot change the seed"),
        (("--model.width", "9"), "cannot change the network"),
        (("--problem.k", "9"), "cannot change the parameters of the problem"),
        (("--precision", "float32"), "cannot change the precision"),
        (("--stages", "lbfgs"), "cannot change the stages that have begun"),
        (("--out", "x"), "cannot change the output folder"),
        (("--adam.stesp", "9"), "--adam.steps"),
    ],
)
def test_what_a_run_that_has_begun_cannot_change(options, words, run):
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file() and p.name != "lock"}
    status, out, err = pinnkit("resume", "run", *options)
    assert status == 2 and words in err, out + err
    assert before == {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file() and p.name != "lock"}


def test_an_untrained_network_is_no_solution(run):
    for number in sorted((run.path / "checkpoints").iterdir())[1:]:
        (number / "state.npz").unlink()
    refused(lambda: pk.load("run"), "no trained network", "not written to its end", "pinnkit resume run")
    with pytest.warns(UserWarning, match="cannot be read"):
        assert pk.load("run", untrained=True)(x=0.5)["u"].shape == ()
    status, out, err = pinnkit("export", "run")
    assert status == 2 and "no trained network" in err, out


OTHER = ("--adam.steps", "9", "--weights.start", "5", "--sampling.interior", "12")


@pytest.mark.slow
@pytest.mark.parametrize("saved", [False, True], ids=["no checkpoint of it yet", "a damaged checkpoint of it"])
def test_a_state_of_the_recipe_before_is_carried_over(saved, run, monkeypatch):
    shutil.copytree("run", "straight")
    assert pinnkit("resume", "straight", *OTHER)[0] == 0
    with monkeypatch.context() as patch:
        train = (lambda session, state: session.states.save(state)) if saved else lambda session, state: None
        patch.setattr(Session, "train", train)
        assert pinnkit("resume", "run", *OTHER)[0] == 0
    if saved:
        newest = max((run.path / "checkpoints").iterdir(), key=lambda path: int(path.name))
        (newest / "state.npz").write_bytes(b"")
    with pytest.warns(UserWarning, match="cannot be read") if saved else nullcontext():
        assert pk.load("run")(x=0.5)["u"].shape == ()
    status, out, err = pinnkit("resume", "run")
    assert status == 0 and "going on at step 4 of 9" in out and ("cannot be read" in out) == saved, out + err
    ours, theirs = (Checkpoints(Path(name) / "checkpoints").read() for name in ("run", "straight"))
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours if "seconds" not in name)
