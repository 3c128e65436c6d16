"""Files are written whole or not at all."""

import os
from pathlib import Path

import pytest

from pinnkit.files import write_whole


def test_text_and_bytes_replace_what_was_there(tmp_path):
    file = tmp_path / "summary.json"
    write_whole(file, "é 1\n")
    assert file.read_bytes() == "é 1\n".encode()
    write_whole(file, b"\x892")
    assert file.read_bytes() == b"\x892"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("stage", ["write", "rename"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_no_draft(stage, error, tmp_path, monkeypatch):
    file = tmp_path / "summary.json"
    write_whole(file, "old")

    def half(path, content):
        with path.open("wb") as f:
            f.write(content[:1])
        raise error

    def refuse(*_):
        raise error

    monkeypatch.setattr(*((Path, "write_bytes", half) if stage == "write" else (os, "replace", refuse)))
    with pytest.raises(type(error)):
        write_whole(file, "new content")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
