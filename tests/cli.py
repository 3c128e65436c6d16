"""Running the command line inside the test's own process."""

import contextlib
import io
import os

from pinnkit.cli import program


def pinnkit(*arguments, folder=None):
    """Exit status, stdout and stderr of a command, run from a folder."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        if folder is not None:
            stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        try:
            status = program.run([str(a) for a in arguments])
        except SystemExit as stop:  # tyro, for --help and for options that it does not know
            status = stop.code
    return status, out.getvalue(), err.getvalue()


def everything_in(folder):
    """The files and folders below a folder, without what Python itself leaves."""
    found = (os.path.relpath(os.path.join(d, n), folder) for d, _, names in os.walk(folder) for n in (*names, ""))
    return {path for path in found if "__pycache__" not in path} - {"."}
