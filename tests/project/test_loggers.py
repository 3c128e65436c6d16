"""Importing pinnkit leaves the loggers of the program that imports it as they are."""

import json
import subprocess
import sys

import pytest

PROGRAM = '''
import importlib, json, logging, pkgutil, sys

def state():
    """Everything that an import could change of the loggers that a user sees."""
    loggers = {"": logging.getLogger(), **{n: logging.getLogger(n) for n in ("absl", "jax", "jax._src", "flax", "optax")}}
    told = {
        name: [log.level, log.propagate, log.disabled, [repr(h) for h in log.handlers], [repr(f) for f in log.filters]]
        for name, log in loggers.items()
    }
    verbosity = sys.modules["absl.logging"].get_verbosity() if "absl.logging" in sys.modules else None
    return {**told, "disabled": logging.root.manager.disable, "class": repr(logging.getLoggerClass()),
            "last resort": repr(logging.lastResort), "absl verbosity": verbosity}

if "first" in sys.argv:  # the libraries that pinnkit uses have been imported and set by the user
    import absl.logging, flax, jax, optax
    logging.basicConfig(level=logging.DEBUG)
    logging.getLogger("jax").setLevel(logging.ERROR)
    logging.getLogger("jax").addHandler(logging.NullHandler())
    absl.logging.set_verbosity(absl.logging.INFO)
before = state()
import pinnkit
if "first" in sys.argv:
    for module in pkgutil.walk_packages(pinnkit.__path__, "pinnkit."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
import pinnkit.api, pinnkit.cli.main
after = state()
if "first" not in sys.argv:  # what JAX itself adds while it is imported is not pinnkit's
    for key in ("absl verbosity", "class"):
        del before[key], after[key]
    for key in [k for k in before if k.startswith(("absl", "jax", "flax", "optax"))]:
        del before[key], after[key]
print(json.dumps({k: [before[k], after[k]] for k in before if before[k] != after[k]}))
'''


@pytest.mark.slow
@pytest.mark.parametrize("imported", ["first", "later"])
def test_importing_changes_no_logger(imported):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, imported], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {}
