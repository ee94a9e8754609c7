import errno
import os
from pathlib import Path

import pytest

from secateur.core.errors import CodecError
from secateur.files import atomically, save, save_plan, write_text


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "a.txt"
    assert write_text(path, "one") == path
    write_text(path, "two é")
    assert path.read_text(encoding="utf-8") == "two é"
    assert names(tmp_path) == ["a.txt"]


def test_an_error_inside_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomically(path) as file:
        file.write(b"half of the n")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["fsync", "rename", "write"])
@pytest.mark.parametrize("before", [None, b"old"])
def test_full_disk(tmp_path, monkeypatch, lenet, where, before):
    path = tmp_path / "net.safetensors"
    if before is not None:
        path.write_bytes(before)
    if where == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    elif where == "rename":
        monkeypatch.setattr(Path, "replace", full)
    else:
        real = Path.open

        def opens(self, mode="r", *args, **kwargs):
            file = real(self, mode, *args, **kwargs)
            return Full(file) if "x" in mode else file

        monkeypatch.setattr(Path, "open", opens)
    for attempt in (lambda: save(lenet.small, lenet.plan, path), lambda: save_plan(lenet.plan, path)):
        with pytest.raises(OSError, match="No space left"):
            attempt()
    monkeypatch.undo()
    assert names(tmp_path) == ([] if before is None else ["net.safetensors"])
    assert before is None or path.read_bytes() == before


class Full:
    """A file on a disk that fills up after ten bytes."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, content):
        self.file.write(content[:10])
        full()


def test_a_missing_folder_and_a_folder_are_refused(tmp_path):
    with pytest.raises(CodecError, match="no folder"):
        write_text(tmp_path / "nowhere" / "a.txt", "x")
    with pytest.raises(CodecError, match="is a folder"):
        write_text(tmp_path, "x")


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
