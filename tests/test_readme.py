"""The README's own problem and commands work as they stand."""

import ast
import re
from pathlib import Path

import pytest
from cli import pinnkit

from pinnkit.cli.template import problem_file

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def class_of(text):
    """The statements of the first class in a file, without comments and docstrings."""
    (cls,) = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    return [ast.unparse(s) for s in cls.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]


def test_the_template_is_the_problem_that_the_readme_shows():
    (shown,) = [block for block in blocks("python") if "class Rod" in block]
    assert class_of(problem_file("rod")) == class_of(shown)


def commands():
    (block,) = [block for block in blocks("bash") if "problems/rod.py" in block]
    return [line.partition("#")[0].split() for line in block.splitlines()]


def test_the_readme_checks_diagnoses_and_trains_its_problem():
    assert [words[:3] for words in commands()] == [
        ["pinnkit", command, "problems/rod.py"] for command in ("check", "diagnose", "train")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["check", "train"])
def test_the_readmes_commands_work_on_the_template(command, tmp_path):
    assert pinnkit("new", "rod", folder=tmp_path)[0] == 0
    (words,) = [words for words in commands() if words[1] == command]
    status, out, err = pinnkit(*words[1:], folder=tmp_path)
    assert (status, err) == (0, "")
    assert "warning" not in out
