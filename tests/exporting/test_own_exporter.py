"""An exporter that a user writes: from Python, and from a problem file by `pinnkit export`."""

import json

import numpy as np
import pytest
from cli import pinnkit
from markdown import blocks
from paths import ROOT
from tiny import Decay

import pinnkit as pk

(EXAMPLE,) = [b for b in blocks("python", (ROOT / "docs" / "extend.md").read_text()) if "class Profile" in b]


@pytest.fixture(scope="module")
def solution():
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=20),), sampling=pk.Sampling(interior=16, boundary=1))
    return pk.train(Decay(), recipe=recipe)


def test_a_solution_is_exported_by_several_exporters(solution, tmp_path):
    paths = solution.export(tmp_path / "out", pk.StableHLO(), pk.Int8())
    assert [path.name for path in paths] == ["solution.stablehlo", "solution_int8.npz", "int8_reader.py"]
    assert all(path.stat().st_size > 100 for path in paths)


def test_nothing_is_written_where_one_of_them_cannot(solution, tmp_path):
    class Refusing(pk.Exporter):
        def convert(self, solution):
            raise pk.UsageError("It cannot.")

    with pytest.raises(pk.UsageError, match="It cannot"):
        solution.export(tmp_path / "out", pk.StableHLO(), Refusing())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_exporter_of_a_problem_file_is_an_option(tmp_path, monkeypatch):
    text = EXAMPLE.partition("\n\nrecipe = ")[0]
    (tmp_path / "decay.py").write_text(text + "\n\n    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=20),))\n")
    monkeypatch.chdir(tmp_path)
    assert pinnkit("train", "decay.py", "--model.width", "5", "--out", "run")[0] == 0
    status, out, err = pinnkit("export", "run", "--profile", "--profile.points", "7")
    assert status == 0 and "profile.csv" in out, out + err
    folder = tmp_path / "run" / "export"
    assert {path.name for path in folder.iterdir()} == {"solution.stablehlo", "profile.csv", "export.json"}
    table = np.loadtxt(folder / "profile.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(table[:, 1], pk.load("run")(t=table[:, 0])["u"], rtol=1e-12)
    assert json.loads((folder / "export.json").read_text())["profile"] == {"points": 7}
    status, out, err = pinnkit("export", "run", "--profil")
    assert status == 2 and "--profile" in err, out + err
