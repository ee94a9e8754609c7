"""Where data sets lie: in a folder of yours, where a package put them, or at their official address."""

from __future__ import annotations

import gzip
import hashlib
import os
import urllib.request
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from secateur.core.contracts import Progress
from secateur.core.errors import CodecError
from secateur.files.atomic import atomically

_PIECE = 1 << 18
_TIMEOUT = 60


@dataclass(frozen=True, slots=True)
class Source:
    """A data set of gzipped files.

    Attributes:
        name: of the folder that holds it, under `$SECATEUR_DATA` or the cache.
        package: what to install, in words.
        places: folders in which packages put it.
        address: where it is officially found, with a slash at the end.
        digests: file name to the SHA-256 of what it unpacks to; packages may have packed it anew.
    """

    name: str
    package: str
    places: tuple[Path, ...]
    address: str
    digests: Mapping[str, str]


def content(source: Source, name: str, progress: Progress | None = None) -> bytes:
    """The unpacked bytes of one file of a data set, downloaded into the cache if it is nowhere on this machine.

    Args:
        source: the data set.
        name: a key of `source.digests`.
        progress: called as `(what, bytes done, bytes in all)` while downloading.

    Raises:
        CodecError: the file is damaged or another one, or it is nowhere and cannot be downloaded.
    """
    for folder in _folders(source):
        if (folder / name).is_file():
            return _checked(source, name, (folder / name).read_bytes(), str(folder / name))
    packed = b"".join(_download(source, name, progress))
    unpacked = _checked(source, name, packed, source.address + name)
    kept = cache() / source.name / name
    kept.parent.mkdir(parents=True, exist_ok=True)
    with atomically(kept) as file:
        file.write(packed)
    return unpacked


def cache() -> Path:
    """The folder of everything that was downloaded: `$SECATEUR_CACHE`, or `~/.cache/secateur`."""
    return Path(os.environ.get("SECATEUR_CACHE", "~/.cache/secateur")).expanduser()


def _folders(source: Source) -> Iterator[Path]:
    own = os.environ.get("SECATEUR_DATA")
    if own:
        yield Path(own).expanduser() / source.name
    yield from source.places
    yield cache() / source.name


def _checked(source: Source, name: str, packed: bytes, where: str) -> bytes:
    try:
        unpacked = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise CodecError(f"{where} is no whole gzip file ({error}). Delete it, and it is looked for again.") from error
    found = hashlib.sha256(unpacked).hexdigest()
    if found != source.digests[name]:
        raise CodecError(
            f"{where} is not the file that {source.name} is known for: SHA-256 of its content is {found}, not "
            f"{source.digests[name]}. Delete it, and it is looked for again."
        )
    return unpacked


def _download(source: Source, name: str, progress: Progress | None) -> Iterator[bytes]:
    address = source.address + name
    done = 0
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer:
            total = int(answer.headers.get("Content-Length", 0))
            while piece := answer.read(_PIECE):
                yield piece
                done += len(piece)
                if progress is not None:
                    progress(f"download {name}", done, max(total, done))
    except OSError as error:
        raise CodecError(
            f"{name} of {source.name} is not on this machine, and {address} cannot be read ({error}). "
            f"Install {source.package}, or put its files into a folder {source.name!r} and name the folder around it "
            "in SECATEUR_DATA."
        ) from error
