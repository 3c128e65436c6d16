"""The command line as the trials run it: short chunks, frequent checkpoints, and a death at a chosen place.

    python driver.py '{"chunk": 5, "kill": ["figure", 2]}' train problem.py --out run

The choices (all optional):
    chunk: steps per chunk.
    pause: seconds to wait after each chunk, so that another process can meet it there.
    checkpoint_seconds: between two checkpoints.
    kill: where this process ends itself by SIGKILL:
        ["figure", n]: when half of its n-th figure is written;
        ["checkpoint", n, seconds]: so many seconds after it began to write its n-th checkpoint;
        ["rename", name, n]: before a finished file gets this name for the n-th time.
    signal: where it gets another signal:
        ["row", n, number]: when it is to write the n-th row of metrics;
        ["figure", n, number]: before its n-th figure is written.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path


def die():
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60.0)  # the signal ends this


def replace(owner, name, value):
    """Set an attribute that must exist: a trial that changes nothing would prove nothing."""
    assert hasattr(owner, name), f"{owner} has no {name}"
    setattr(owner, name, value)


def counting(number, call, then):
    """`call`, where `then` takes its place the n-th time."""
    count = 0

    def counted(*arguments, **options):
        nonlocal count
        count += 1
        return (then if count == number else call)(*arguments, **options)

    return counted


def die_in_figure(number):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    write = FigureCanvasAgg.print_figure

    def half(canvas, file, *arguments, **options):
        write(canvas, file, *arguments, **options)
        if isinstance(file, (str, Path)):
            os.truncate(file, Path(file).stat().st_size // 2)
        die()

    replace(FigureCanvasAgg, "print_figure", counting(number, write, half))


def die_in_checkpoint(number, seconds):
    from pinnkit.runs.checkpoint import Checkpoints

    write = Checkpoints.save

    def begin(*arguments, **options):
        threading.Timer(seconds, die).start()
        return write(*arguments, **options)

    replace(Checkpoints, "save", counting(number, write, begin))


def die_before_rename(name, number):
    count = 0

    def watched(rename):
        def call(source, target, *arguments, **options):
            nonlocal count
            count += Path(os.fsdecode(target)).name == name
            if count == number:
                die()
            return rename(source, target, *arguments, **options)

        return call

    for function in ("replace", "rename"):
        replace(os, function, watched(getattr(os, function)))


def interrupt(place, number, signal_number):
    """Send a signal to this process before the n-th row of metrics, or figure, is made."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from pinnkit.runs.history import History

    owner, name = {"row": (History, "row"), "figure": (FigureCanvasAgg, "print_figure")}[place]
    call = getattr(owner, name)

    def signalled(*arguments, **options):
        os.kill(os.getpid(), signal_number)
        return call(*arguments, **options)

    replace(owner, name, counting(number, call, signalled))


DEATHS = {"figure": die_in_figure, "checkpoint": die_in_checkpoint, "rename": die_before_rename}


def main():
    choices = json.loads(sys.argv[1])
    from pinnkit.runs import trackers
    from pinnkit.training import loop

    if length := choices.get("chunk"):

        def next_length(*_):
            time.sleep(choices.get("pause", 0.0))
            return length

        replace(loop, "FIRST", length)
        replace(loop, "next_chunk_length", next_length)
    if "checkpoint_seconds" in choices:
        replace(trackers, "CHECKPOINT_SECONDS", choices["checkpoint_seconds"])
    if "kill" in choices:
        place, *details = choices["kill"]
        DEATHS[place](*details)
    if "signal" in choices:
        interrupt(*choices["signal"])
    from pinnkit.cli.main import main

    del sys.argv[1]
    main()


if __name__ == "__main__":
    main()
