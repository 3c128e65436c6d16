"""A user's mistake as a notebook shows it, and where things are."""

import importlib.util

import pytest

import pinnkit as pk
from pinnkit.errors import UsageError, location, place, suggestion


def error_of(call):
    with pytest.raises(UsageError) as caught:
        call()
    return caught.value


def test_a_notebook_shows_the_message_and_the_users_lines_without_internal_frames():
    error = error_of(lambda: pk.Box(x=(1.0, 0.0)))
    message, blank, *lines = error._render_traceback_()
    assert message == f"UsageError: {error}" and blank == ""
    assert all("test_errors.py:" in line for line in lines)
    assert lines[-1].endswith("error = error_of(lambda: pk.Box(x=(1.0, 0.0)))")


def test_an_error_that_was_never_raised_is_shown_too():
    assert UsageError("What.", do="Do.")._render_traceback_() == ["UsageError: What.\n  do:       Do."]


@pytest.mark.parametrize("file", ["/tmp/ipykernel_17/123.py", "<ipython-input-3-abc>"])
def test_a_cell_is_a_place(file):
    assert place(file, 2) == "a cell of the notebook, line 2"
    namespace = {}
    exec(compile("\ndef f(): pass", file, "exec"), namespace)
    assert location(namespace["f"]) == "a cell of the notebook, line 2"


def test_code_without_a_file_has_no_place():
    assert place("<stdin>", 1) == "" and place("<string>", 3) == ""


def test_a_function_in_a_file_is_located(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rod.py").write_text("\n\ndef heat(): pass\n")
    spec = importlib.util.spec_from_file_location("rod", tmp_path / "rod.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert location(module.heat) == "rod.py:3"


@pytest.mark.parametrize(
    ("name", "known", "words"),
    [
        ("windows", ["schedule", "weights"], "did you mean 'schedule'?"),
        ("lr", ["learning_rate", "steps"], "did you mean 'learning_rate'?"),
        ("lr", ["depth", "width"], "known: depth, width"),
        ("widht", ["depth", "width"], "did you mean 'width'?"),
    ],
)
def test_a_name_of_another_library_or_version_leads_to_ours(name, known, words):
    assert suggestion(name, known) == words
