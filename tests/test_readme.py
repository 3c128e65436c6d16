"""The README's own problem and commands work as they stand."""

import ast
import re
from pathlib import Path

import pytest
from cli import pinnkit

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def class_of(text):
    """The statements of the first class in a file, without comments and docstrings."""
    (cls,) = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    return [ast.unparse(s) for s in cls.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]


def test_the_readmes_links_lead_to_files():
    links = re.findall(r"\]\(([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


@pytest.mark.slow
@pytest.mark.parametrize("options", [("check",), ("train", "--auto.steps", "10", "--model.width", "8")])
def test_the_readmes_commands_work_on_its_problem(options, tmp_path):
    (problem,) = blocks("python")
    (tmp_path / "cooling.py").write_text(problem)
    (shown,) = [block for block in blocks("bash") if "cooling.py" in block]
    (words,) = [w for line in shown.splitlines() if (w := line.partition("#")[0].split())[1] == options[0]]
    status, out, err = pinnkit(*words[1:], *options[1:], folder=tmp_path)
    assert (status, err) == (0, "")
    assert "warning" not in out
