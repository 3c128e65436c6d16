"""What type checkers see of the package: a user's script without errors, and a misspelt name as an error."""

import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec

import pytest
from paths import ROOT

import pinnkit as pk

SCRIPT = ROOT / "tests" / "typed_script.py"
mypy_is_there = pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is in the extra 'lint'")


def mypy(file):
    command = ["-m", "mypy", "--config-file", "", "--ignore-missing-imports", "--python-version", "3.11", str(file)]
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )


@mypy_is_there
@pytest.mark.slow
def test_a_users_script_has_no_type_errors_and_mistakes_are_seen(tmp_path):
    done = mypy(SCRIPT)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import pinnkit as pk\n\npk.Adaam()\npk.MLP(width='20')\npk.optim.soap_scale()\n")
    seen = mypy(wrong)
    assert seen.returncode == 1
    assert [line.split(":")[1] for line in seen.stdout.splitlines() if ": error:" in line] == ["3", "4", "5"]


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "pinnkit" / "py.typed").read_bytes() == b""


def test_the_version_is_that_of_the_installed_package_and_needs_no_jax():
    assert pk.__version__ == version("pinnkit")
    assert "__version__" in dir(pk)
    code = "import sys, pinnkit; print(pinnkit.__version__, 'jax' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == [version("pinnkit"), "False"]


def test_a_command_imports_nothing_slow_that_it_may_not_need():
    code = "import sys, pinnkit.cli.program; print({'matplotlib', 'orbax', 'scipy.stats'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == ["set()"]


def test_modules_of_the_package_need_no_import_of_their_own():
    code = "import pinnkit; print(pinnkit.optim.self_scaled_broyden.__name__, pinnkit.init.initialise.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == ["self_scaled_broyden", "initialise"]
