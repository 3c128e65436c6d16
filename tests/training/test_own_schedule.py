"""A schedule that a problem file defines: the one of docs/extend.md is trained, resumed to the bit, and has options."""

import json

import numpy as np
import pytest
from cases import refused
from cli import pinnkit
from markdown import blocks
from paths import ROOT
from resuming import assert_same_end, interrupted_at

import pinnkit as pk

(EXAMPLE,) = [b for b in blocks("python", (ROOT / "docs" / "extend.md").read_text()) if "class Refinement" in b]
OPTIONS = ["--model.width", "5", "--model.depth", "1", "--ssbroyden.steps", "12", "--sampling.interior", "10"]


@pytest.fixture
def problem_file(tmp_path, monkeypatch):
    text = EXAMPLE.partition("\n\nrecipe = ")[0]
    recipe = "pk.Recipe(stages=(pk.SSBroyden(steps=30),), schedule=Refinement())"
    (tmp_path / "decay.py").write_text(f"{text}\n\n    recipe = {recipe}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_it_is_trained_and_resumed_to_the_bit(problem_file):
    command = ["train", "decay.py", *OPTIONS, "--refinement.factor", "3"]
    status, out, err = pinnkit(*command, "--out", "straight")
    assert status == 0 and "coarse: stage" in out and "fine: stage" in out, out + err
    described = json.loads((problem_file / "straight" / "run.json").read_text())["recipe"]["schedule"]
    assert described == {"name": "refinement", "factor": 3}
    summary = json.loads((problem_file / "straight" / "summary.json").read_text())
    assert summary["steps"] == 24
    with interrupted_at(13):
        assert pinnkit(*command, "--out", "broken")[0] == 130
    assert pinnkit("resume", "broken")[0] == 0
    assert_same_end(problem_file / "straight", problem_file / "broken")
    values = [pk.load(name)(t=np.linspace(0.0, 2.0, 5))["u"] for name in ("straight", "broken")]
    np.testing.assert_array_equal(*values)


def test_its_options_are_checked(problem_file):
    status, out, err = pinnkit("train", "decay.py", *OPTIONS, "--refinement.factor", "many")
    assert status == 2 and "--refinement.factor is 'many'" in err, out + err
    status, out, err = pinnkit("train", "decay.py", *OPTIONS, "--windows", "2")
    assert status == 2 and "windows is 2, and there is a schedule" in err, out + err


def test_an_abstract_schedule_cannot_be_made():
    class Nothing(pk.Schedule):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Nothing()
    refused(lambda: pk.Recipe(schedule=Nothing), "schedule is <class", "pk.Windows(5)")
