"""pinnkit: physics-informed neural networks, checked before training and measured after.

The names are those of `pinnkit.api`, which is imported when the first of them is asked for: JAX takes seconds, and the command
line has to answer, and to heed Ctrl-C, before that.
"""

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors see: they know no names that a function looks up
    from pinnkit import init as init
    from pinnkit import optim as optim
    from pinnkit.api import *  # noqa: F403

    __version__: str
else:

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return importlib.import_module("pinnkit.runs.versions").version_of("pinnkit")
        if not name.startswith("__"):
            if importlib.util.find_spec(f"pinnkit.{name}"):  # a module or a folder of the package: no name of the API
                return importlib.import_module(f"pinnkit.{name}")
            api = importlib.import_module("pinnkit.api")
            if name in api.__all__:
                return getattr(api, name)
        raise AttributeError(f"module 'pinnkit' has no attribute '{name}'", name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    return sorted({*globals(), "__version__", *importlib.import_module("pinnkit.api").__all__})
