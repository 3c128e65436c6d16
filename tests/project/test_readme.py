"""The README's own problem and commands work as they stand."""

import re

import pytest
from cli import pinnkit
from markdown import blocks
from paths import ROOT

README = (ROOT / "README.md").read_text()


def test_the_readmes_links_lead_to_files():
    links = re.findall(r"\]\(([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


@pytest.mark.slow
@pytest.mark.parametrize("options", [("check",), ("train", "--auto.steps", "10", "--model.width", "8")])
def test_the_readmes_commands_work_on_its_problem(options, tmp_path):
    (problem,) = blocks("python", README)
    (tmp_path / "cooling.py").write_text(problem)
    (shown,) = [block for block in blocks("bash", README) if "cooling.py" in block]
    (words,) = [w for line in shown.splitlines() if (w := line.partition("#")[0].split())[1] == options[0]]
    status, out, err = pinnkit(*words[1:], *options[1:], folder=tmp_path)
    assert (status, err) == (0, "")
    assert "warning" not in out
