"""Mistakes in problem files and data files: exit status 2, one message that says what and where, nothing written.

Every row is refused before anything is compiled. Problem files that are right, though they look odd, are at the end.
"""

import pytest
from cli import everything_in, pinnkit
from mistakes import BODIES, BOXES, CONDITIONS, FILES, HEATS, MODELS, RECIPES, TABLES, heat, rod

DATA = rod('    @pk.data("data.csv")\n    def sensors(self, u, u_measured):\n        return u - u_measured\n')
K = "    k: float = 1.0\n"
CASES = {  # the text of rod.py, that of data.csv, and words of the message
    **{f"box: {n}": (rod(box=f"    domain = {e}\n"), "", w) for n, (e, w) in BOXES.items()},
    **{f"equation: {n}": (rod(heat=heat(s, v)), "", w) for n, (s, v, w) in HEATS.items()},
    **{
        f"condition: {n}": (rod(f"    {d}\n    def condition(self, {s}):\n        return {v}\n"), "", w)
        for n, (d, s, v, w) in CONDITIONS.items()
    },
    **{f"class: {n}": (rod(f"    {lines}\n"), "", w) for n, (lines, w) in BODIES.items()},
    **{f"recipe: {n}": (rod(f"{K}    recipe = {e}\n"), "", w) for n, (e, w) in RECIPES.items()},
    **{f"model: {n}": (rod(f"    model = {e}\n"), "", w) for n, (e, w) in MODELS.items()},
    **{f"data: {n}": (DATA, table, w) for n, (table, w) in TABLES.items()},
    **{f"file: {n}": (text, "", w) for n, (text, w) in FILES.items()},
}


def write(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content, encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_has_one_message_and_leaves_nothing_behind(case, tmp_path):
    problem, table, words = CASES[case]
    write(tmp_path / "rod.py", problem)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "helper.py").write_text("")
    if table or case == "data: nothing":
        write(tmp_path / "data.csv", table)
    before = everything_in(tmp_path)
    status, out, err = pinnkit("train", "rod.py", folder=tmp_path)
    assert status == 2, out + err
    assert err.startswith("error: ")
    assert words in err.splitlines()[0], err
    # One message with all four parts, that names the file, the option or the part of the recipe.
    assert [line.split(":")[0].strip() for line in err.splitlines()[1:] if line.startswith("  ")] == [
        "where",
        "expected",
        "do",
    ], err
    assert "Traceback" not in err + out and "Warning" not in err
    assert everything_in(tmp_path) == before


def test_there_are_as_many_mistakes_as_were_tried_by_hand():
    assert len(CASES) >= 226


ODD_BUT_RIGHT = {
    "a byte-order mark": (b"\xef\xbb\xbf" + rod().encode(), ""),
    "windows line ends": (rod().replace("\n", "\r\n").encode(), ""),
    "a comment above the header": (DATA, "# made by me\nt,x,u_measured\n0.1,0.2,0.3\n"),
    "a header in a comment": (DATA, "# made by me\n# t,x,u_measured\n0.1,0.2,0.3\n"),
    "comments between rows": (DATA, "t,x,u_measured\n0.1,0.2,0.3\n# lunch\n0.2,0.2,0.3\n"),
    "a text that nobody asks for": (DATA, "t,x,u_measured,place\n0.1,0.2,0.3,lab\n"),
    "a gap that nobody asks for": (DATA, "t,x,u_measured,v\n0.1,0.2,0.3,\n"),
    "a table of a spreadsheet": (DATA, b"\xef\xbb\xbft,x,u_measured\r\n0.1,0.2,0.3\r\n"),
    "columns in another order": (DATA, "u_measured,x,t\n0.3,0.2,0.1\n"),
    "a parameter that is no number": (rod("    mode: str = 'fast'\n"), ""),
    "a parameter that may be missing": (rod("    k: float | None = None\n"), ""),
    "a whole number for a parameter": (rod("    k: float = 2\n"), ""),
    "an infinite parameter": (rod("    k: float = float('inf')\n"), ""),
    "stages without a tuple": (rod("    recipe = pk.Recipe(stages=pk.Adam(steps=3))\n"), ""),
    "numbers of NumPy": (rod("    recipe = pk.Recipe(sampling=pk.Sampling(interior=int(np.int64(40))))\n"), ""),
}


@pytest.mark.long
@pytest.mark.parametrize("case", ODD_BUT_RIGHT)
def test_what_looks_odd_and_is_right_is_accepted(case, tmp_path):
    problem, table = ODD_BUT_RIGHT[case]
    write(tmp_path / "rod.py", problem)
    write(tmp_path / "data.csv", table)
    status, _, err = pinnkit("check", "rod.py", folder=tmp_path)
    assert (status, err) == (0, "")
