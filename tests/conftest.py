"""For every test: float64, rank promotion refused, annotated shapes checked, no display, a cache of its own."""

import os
import shutil
import signal
import tempfile
from importlib.metadata import version

import pytest

if "PINNKIT_CACHE" not in os.environ:
    # Set before the workers of pytest-xdist start: they inherit it, so that each reference is computed once a session.
    os.environ["PINNKIT_CACHE"] = tempfile.mkdtemp(prefix="pinnkit-tests-")
CACHE = os.environ["PINNKIT_CACHE"]
os.environ["MPLBACKEND"] = "Agg"
# Two workers share the cores, and the number of threads with which LAPACK rounds must not follow from that.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Most programs here run for less time than they take to compile.
flags = ["--xla_backend_optimization_level=0"]
if tuple(int(n) for n in version("jaxlib").split(".")[:2]) < (0, 11):
    flags.append(
        "--xla_cpu_use_fusion_emitters=false"
    )  # they take a third of all compilation; later versions have no choice
os.environ.setdefault("XLA_FLAGS", " ".join(flags))

import jax  # noqa: E402
from beartype import beartype  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402
from representative import mark_the_others_long  # noqa: E402

jax.config.update("jax_enable_x64", True)
# How many cores are devices is decided here, not by the first test of the command line: PINNKIT_TEST_DEVICES=2 for two.
jax.config.update("jax_num_cpu_devices", int(os.environ.get("PINNKIT_TEST_DEVICES", "1")))
jax.devices()
jax.config.update("jax_numpy_rank_promotion", "raise")
# What one worker compiled, the other need not.
jax.config.update("jax_compilation_cache_dir", os.path.join(CACHE, "jax"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# nohup and & start a program that ignores signals, and so would the programs that tests start and send signals to.
# A handler of Python, unlike that, is not inherited.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else lambda *_: None)


def shapes(function):
    """Check the annotated arrays at run time, and nothing else: a user's wrong type must meet pinnkit's own message."""
    function.__annotations__ = {name: a for name, a in function.__annotations__.items() if "Array" in str(a)}
    return beartype(function)


# An eighth of the time: not where the same tests run a second time.
if os.environ.get("PINNKIT_TEST_SHAPES") != "0":
    install_import_hook("pinnkit", "conftest.shapes")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    mark_the_others_long(items)
    if os.environ.get("PINNKIT_TEST_CASES") == "first":
        # Of each test its first case: for a second version of Python, beside a run of all cases.
        first = {item.nodeid.partition("[")[0]: item for item in reversed(items)}
        config.hook.pytest_deselected(items=[item for item in items if item not in first.values()])
        items[:] = [item for item in items if item in first.values()]


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and "pinnkit-tests-" in CACHE:
        shutil.rmtree(CACHE, ignore_errors=True)
