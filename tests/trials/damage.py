"""Kinds of damage to a run folder, by name: what disks, copies, editors and other programs leave behind."""

import json
import os
import shutil
from functools import partial

import numpy as np


def write(name, content, folder):
    file = folder / name
    if isinstance(content, str):
        content = content.encode()
    file.unlink(missing_ok=True)
    file.write_bytes(content)


def remove(name, folder):
    path = folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def cut(name, folder):
    """The first half of a file."""
    file = folder / name
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def be_folder(name, folder):
    remove(name, folder)
    (folder / name).mkdir()


def be_file(name, folder):
    remove(name, folder)
    (folder / name).write_text("precious")


def dangle(name, folder):
    remove(name, folder)
    (folder / name).symlink_to("nowhere")


MISSING = object()


def change(name, place, value, folder):
    """Set what a JSON file has at a place (keys joined by dots), or remove it."""
    content = json.loads((folder / name).read_text())
    *path, last = place.split(".")
    inner = content
    for key in path:
        inner = inner[int(key) if isinstance(inner, list) else key]
    if value is MISSING:
        del inner[last]
    else:
        inner[last] = value
    (folder / name).write_text(json.dumps(content))


def newest(folder):
    """The checkpoint with the largest number."""
    return max((p for p in (folder / "checkpoints").iterdir() if p.name.isdigit()), key=lambda p: int(p.name))


def all_checkpoints(damage, folder):
    for path in sorted((folder / "checkpoints").iterdir()):
        damage(path)


def files(checkpoint):
    """The files of a checkpoint, the largest first."""
    return sorted((f for f in checkpoint.rglob("*") if f.is_file()), key=lambda f: (-f.stat().st_size, f.name))


def flip(position, checkpoint):
    """Flip a bit at a place of the file of a checkpoint, counted in eighths of its length."""
    file = files(checkpoint)[0]
    content = bytearray(file.read_bytes())
    content[len(content) * position // 8] ^= 16
    file.write_bytes(content)


def zero(checkpoint):
    file = files(checkpoint)[0]
    file.write_bytes(bytes(file.stat().st_size))


def truncate(checkpoint):
    for file in files(checkpoint):
        file.write_bytes(b"")


def at_newest(damage, folder):
    damage(newest(folder))


def without_its_file(checkpoint):
    """As a checkpoint that was copied while it was written."""
    (checkpoint / "state.npz").rename(checkpoint / "state.npz.draft")


def empty(checkpoint):
    shutil.rmtree(checkpoint)
    checkpoint.mkdir()


def half(checkpoint):
    file = files(checkpoint)[0]
    os.truncate(file, file.stat().st_size // 2)


def of_another_program(checkpoint):
    """An archive of numpy's that holds something else."""
    with (checkpoint / "state.npz").open("wb") as file:
        np.savez(file, u=np.zeros(3))


def pickled(checkpoint):
    """Objects, which would be executed if they were read."""
    with (checkpoint / "state.npz").open("wb") as file:
        np.savez(file, names=np.array([{}, []], dtype=object))


def add_empty(name, folder):
    (folder / "checkpoints" / name).mkdir()


def replace_text(name, old, new, folder):
    file = folder / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def without_only(key, name, folder):
    """Each row of a file of rows without a key."""
    lines = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    for line in lines:
        line.pop(key)
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


NESTED = "[" * 100_000
BINARY = bytes(range(256)) * 4
RUN = {
    **{f"run.json {what}": partial(act, "run.json") for what, act in
       {"missing": remove, "cut": cut, "a folder": be_folder, "a dangling link": dangle}.items()},
    **{f"run.json {what}": partial(write, "run.json", content) for what, content in
       {"empty": "", "binary": BINARY, "latin-1": '{"problem": "Wärme"}'.encode("latin-1"), "utf-16": "{}".encode("utf-16"),
        "a list": "[1, 2]", "null": "null", "a number": "5", "an empty object": "{}", "nested": NESTED,
        "twice": "{}{}"}.items()},
    **{f"run.json without {key}": partial(change, "run.json", key, MISSING) for key in
       ("problem", "parameters", "model", "recipe", "seed", "versions", "device", "command", "problem.name", "problem.file",
        "problem.class", "model.name", "model.width", "recipe.stages", "recipe.sampling", "recipe.precision",
        "recipe.schedule", "recipe.stages.0.name", "recipe.stages.0.steps")},
    **{f"run.json {key} null": partial(change, "run.json", key, None) for key in
       ("problem", "parameters", "model", "recipe", "seed", "versions", "problem.file", "problem.name", "recipe.stages",
        "recipe.sampling", "recipe.weights", "recipe.weighting", "model.width", "parameters.k")},
    **{f"run.json {key} {str(value)[:20]}": partial(change, "run.json", key, value) for key, value in
       [("problem.file", "gone.py"), ("problem.file", 5), ("problem.file", ""), ("problem.class", "Other"), ("problem.name", 7),
        ("seed", "abc"), ("seed", float("inf")), ("seed", float("nan")), ("seed", -1), ("seed", 2**63), ("seed", 1.5),
        ("model.name", "Transformer9"), ("model.name", ["MLP"]), ("model.width", -4), ("model.width", "wide"),
        ("model.width", 10**13),
        ("model.depth", 2), ("model.more", 1), ("model.masks", "x"), ("recipe.stages", []), ("recipe.stages", ["adam"]),
        ("recipe.stages.0.name", "adamant"), ("recipe.stages.0.steps", "many"), ("recipe.stages.0.steps", -3),
        ("recipe.stages.0.learning_rate", "quick"), ("recipe.sampling.interior", "x"), ("recipe.sampling.interior", -1),
        ("recipe.sampling.interior", 10**15), ("recipe.sampling.more", 3), ("recipe.weights", {"nothing": 2.0}),
        ("recipe.weights", {"decay": "2"}), ("recipe.weighting", [{"name": "fair"}]), ("recipe.weighting", "ntk"),
        ("recipe.weighting", [{"name": "causality", "slices": -1}]), ("recipe.precision", "float8"),
        ("recipe.schedule", {"name": "windows", "count": 0}), ("recipe.schedule", {"name": "windows", "count": 3}),
        ("recipe.schedule", "x"), ("recipe.schedule", {}), ("recipe.windows", 3), ("recipe.accuracy", "x"),
        ("parameters", {}), ("parameters", [1]),
        ("parameters.k", "x"), ("parameters.z", 1.0), ("versions", {"pinnkit": 3}), ("device", 5), ("command", "x")]},
    "run.json seed 1e400": partial(replace_text, "run.json", '"seed": 0', '"seed": 1e400'),
}  # fmt: skip
SUMMARY = {
    **{f"summary.json {what}": partial(act, "summary.json") for what, act in
       {"missing": remove, "cut": cut, "a folder": be_folder, "a dangling link": dangle}.items()},
    **{f"summary.json {what}": partial(write, "summary.json", content) for what, content in
       {"empty": "", "binary": BINARY, "a list": "[]", "an empty object": "{}", "nested": NESTED}.items()},
    **{f"summary.json {key} {str(value)[:20]}": partial(change, "summary.json", key, value) for key, value in
       [("errors", {"u": {}}), ("errors", 5), ("events", None), ("events", 7), ("exit_status", "x"), ("exit_status", None),
        ("exit_status", 10**30), ("verdict", 5), ("residuals", None), ("steps", "x"), ("unknowns", {"k": 1})]},
    **{f"summary.json without {key}": partial(change, "summary.json", key, MISSING) for key in
       ("exit_status", "errors", "verdict", "events")},
}  # fmt: skip
METRICS = {
    **{f"metrics.jsonl {what}": partial(act, "metrics.jsonl") for what, act in
       {"missing": remove, "cut": cut, "a folder": be_folder}.items()},
    **{f"metrics.jsonl {what}": partial(write, "metrics.jsonl", content) for what, content in
       {"empty": "", "binary": BINARY, "of numbers": "1\n2\n3\n", "of lists": "[1]\n[2]\n", "of empty objects": "{}\n{}\n",
        "with empty lines": "\n\n\n", "with a text as step": '{"step": "x"}\n{"step": 20}\n',
        "nested": NESTED + "\n1\n"}.items()},
    **{f"metrics.jsonl without {key}": partial(without_only, key, "metrics.jsonl") for key in ("step", "terms", "seconds")},
}  # fmt: skip
ONE_CHECKPOINT = {
    "newest without its file": without_its_file,
    "newest empty": empty,
    "newest with zeros": zero,
    "newest with empty files": truncate,
    "newest cut in half": half,
    "newest of another program": of_another_program,
    "newest with objects": pickled,
    **{f"newest with a flipped bit at {i} of 8": partial(flip, i) for i in range(8)},
}
"""Damage of the last checkpoint alone: the one before stays whole."""
CHECKPOINTS = {
    **{f"checkpoints: {what}": partial(at_newest, damage) for what, damage in ONE_CHECKPOINT.items()},
    **{f"checkpoints: {what.replace('newest', 'all')}": partial(all_checkpoints, damage)
       for what, damage in ONE_CHECKPOINT.items() if "flipped" not in what},
    "checkpoints missing": partial(remove, "checkpoints"),
    "checkpoints a file": partial(be_file, "checkpoints"),
    "checkpoints empty": partial(be_folder, "checkpoints"),
    "checkpoints: an empty one more": partial(add_empty, "3"),
    "checkpoints: what an interrupted copy leaves": partial(add_empty, "3.tmp"),
    "checkpoints: a file called 7": lambda folder: (folder / "checkpoints" / "7").write_text("seven"),
    "checkpoints: a folder of another": partial(add_empty, "mine"),
    "checkpoints: a number too large": partial(add_empty, "9" * 30),
}  # fmt: skip
PROBLEM = {
    "problem missing": partial(remove, "problem"),
    "problem empty": partial(be_folder, "problem"),
    "problem file a folder": partial(be_folder, "problem/tiny.py"),
    **{f"problem file {what}": partial(write, "problem/tiny.py", content) for what, content in
       {"empty": "", "binary": BINARY, "with a mistake": "class (", "that raises": "raise ValueError('no')",
        "that exits": "import sys; sys.exit(0)", "without the class": "import pinnkit as pk\n"}.items()},
    "problem file with another network": partial(replace_text, "problem/tiny.py", "self.k * u", "self.kk * u"),
}  # fmt: skip
FIGURES = {
    "figures missing": partial(remove, "figures"),
    "figures a file": partial(be_file, "figures"),
    "figures empty": partial(be_folder, "figures"),
}
DAMAGE = {"nothing": lambda folder: None} | RUN | SUMMARY | METRICS | CHECKPOINTS | PROBLEM | FIGURES
