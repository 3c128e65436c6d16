"""Arrays that are expensive to compute, kept in the user's cache folder between runs."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

# Raise it when a solver here changes its answers: files of another version are not read again.
VERSION = 1

_warned: set[Path] = set()


def load_or_compute(
    name: str, key_parts: Mapping[str, Any], compute: Callable[[], Mapping[str, NDArray[Any]]]
) -> Arrays:
    """Return the arrays that `compute` returns, from a file where an earlier run with the same inputs left one.

    The file is NAME-HASH.npz; the hash is over the name, the inputs, and the version number of this module.

    A file that cannot be read is computed again and replaced. A folder that cannot be written is warned of once; the
    result is then computed each time.

    Args:
        name: Start of the file's name: letters, digits, '-' and '_'.
        key_parts: Everything that the result depends on: numbers, strings, lists, arrays.
        compute: A function that returns the arrays by name; called only if there is no usable file.

    Raises:
        TypeError: An input has no fixed text, such as a function.
    """
    own = private_folder()
    path = own / f"{name}-{_hash(name, key_parts)}.npz" if own else None
    stored = _read(path) if path else None
    if stored is not None:
        return stored
    arrays = {key: np.asarray(value) for key, value in compute().items()}
    if path:
        _write(path, arrays)
    return arrays


def folder() -> Path:
    """Return the folder of the cache files: $PINNKIT_CACHE, else $XDG_CACHE_HOME/pinnkit, else ~/.cache/pinnkit."""
    if own := os.environ.get("PINNKIT_CACHE"):
        return Path(own)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "pinnkit"
    return Path(os.path.expanduser("~")) / ".cache" / "pinnkit"


def private_folder() -> Path | None:
    """Return the folder, which only this user can write to; None, with a warning the first time, where others can.

    Results and compiled programs of others are not trusted: the latter are machine code. A new folder is made private.
    """
    place = folder()
    try:
        place.mkdir(parents=True, mode=0o700, exist_ok=True)
        state = place.stat()
    except OSError:
        return place  # whoever writes there says what is wrong
    others = bool(state.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    if not hasattr(os, "geteuid") or (state.st_uid == os.geteuid() and not others):
        return place
    if place not in _warned:
        _warned.add(place)
        whose = "others can write to it" if others else "it belongs to another user"
        warnings.warn(
            f"the cache folder {place} is not used, because {whose}. Make it your own (chmod 700), or set PINNKIT_CACHE "
            "to a folder that is.",
            stacklevel=4,
        )
    return None


def _hash(name: str, key_parts: Mapping[str, Any]) -> str:
    text = json.dumps([VERSION, name, dict(key_parts)], sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """Convert what json cannot write: NumPy's numbers to Python's, arrays to a hash of their contents."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        contents = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return [value.dtype.str, value.shape, contents]
    raise TypeError(f"an input of a cached result must be a number, a text or an array, not {type(value).__name__}")


def _read(path: Path) -> Arrays | None:
    """Return the arrays of a file; None where there is none, or one that is cut off or is something else."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    # AttributeError: a bare .npy under this name loads as an array, which has no files.
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error):
        return None


def _write(path: Path, arrays: Arrays) -> None:
    """Write beside the target and rename: a reader, or a run that is killed, never meets half a file."""
    temporary = ""
    try:
        path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=path.stem, suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    except OSError as problem:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        _warn(path.parent, problem)


def _warn(where: Path, problem: OSError) -> None:
    if where in _warned:
        return
    _warned.add(where)
    warnings.warn(
        f"cannot keep what was computed in {where} ({problem.strerror or problem}); it is computed again each "
        "time. Set PINNKIT_CACHE to a folder that can be written.",
        stacklevel=4,
    )
