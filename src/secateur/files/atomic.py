"""Whole files or none: what was there stays until everything new is safely on disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from secateur.core.errors import CodecError


@contextmanager
def atomically(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; leaving the context without an error renames it to `path`.

    Args:
        path: file to be made or replaced. A symbolic link is followed, so it stays a link.

    Yields:
        A binary file to write into.

    Raises:
        CodecError: the folder does not exist, or `path` is a folder.
        OSError: the disk is full, or writing is not allowed; whatever stood at `path` is still there, unchanged.
    """
    # The temporary file must lie in the same folder: a rename is atomic only within one file system.
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise CodecError(f"cannot write {str(path)!r}: there is no folder {str(target.parent)!r}. Make it first.")
    if target.is_dir():
        raise CodecError(f"cannot write {str(path)!r}: it is a folder. Name a file inside it.")
    temporary = target.parent / f".secateur-{uuid4().hex}.tmp"
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write `content` to `path` as a whole or not at all; returns the path."""
    with atomically(path) as file:
        file.write(content)
    return Path(path)


def write_text(path: str | os.PathLike[str], content: str) -> Path:
    """Write `content` to `path` in UTF-8, as a whole or not at all; returns the path."""
    return write_bytes(path, content.encode())


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut; not every system can, and the file is complete either way."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
