"""Data sets: whole, where they are looked for, and what is said when they are damaged or nowhere."""

import gzip
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from secateur.bench.tasks import fashion_mnist as fashion
from secateur.bench.tasks.images import from_idx
from secateur.bench.tasks.sources import Source, content
from secateur.core.errors import CodecError

TEXT = b"some bytes " * 1000
NAME = "file.gz"
DIGESTS = {NAME: hashlib.sha256(TEXT).hexdigest()}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The three places, and the folder that a server serves."""
    monkeypatch.setenv("SECATEUR_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("SECATEUR_CACHE", str(tmp_path / "cache"))
    return {
        "own": tmp_path / "own" / "set",
        "package": tmp_path / "package",
        "cache": tmp_path / "cache" / "set",
        "served": tmp_path / "served",
    }


@pytest.fixture
def source(folders):
    folders["served"].mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folders["served"])))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Source("set", "a package", (folders["package"],), f"http://127.0.0.1:{server.server_port}/", DIGESTS)
    server.shutdown()
    server.server_close()


def put(folder, data):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_bytes(data)


@pytest.mark.parametrize("place", ["own", "package", "cache"])
def test_found_where_it_lies(source, folders, place):
    put(folders[place], gzip.compress(TEXT, compresslevel=1))  # packed in another way than at the official address
    assert content(source, NAME) == TEXT


def test_your_own_folder_comes_first(source, folders):
    put(folders["own"], gzip.compress(b"another"))
    put(folders["package"], gzip.compress(TEXT))
    with pytest.raises(CodecError, match="is not the file that set is known for"):
        content(source, NAME)


def test_downloaded_once(source, folders):
    put(folders["served"], gzip.compress(TEXT))
    size, seen = (folders["served"] / NAME).stat().st_size, []
    assert content(source, NAME, lambda *step: seen.append(step)) == TEXT
    assert seen[-1] == (f"download {NAME}", size, size)
    (folders["served"] / NAME).unlink()
    assert content(source, NAME) == TEXT
    assert [x.name for x in folders["cache"].iterdir()] == [NAME]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (gzip.compress(b"other", mtime=0), "known for"),
        (gzip.compress(TEXT, mtime=0)[:-9], "no whole gzip"),
        (b"", "SHA-256"),
    ],
)
def test_damaged_downloads_are_not_kept(source, folders, data, what):
    put(folders["served"], data)
    with pytest.raises(CodecError, match=what):
        content(source, NAME)
    assert not folders["cache"].exists()


def test_nowhere(source):
    with pytest.raises(CodecError, match=r"Install a package, or put its files into a folder 'set'.*SECATEUR_DATA"):
        content(source, NAME)


@pytest.mark.skipif(not fashion.SOURCE.places[0].is_dir(), reason=f"needs {fashion.SOURCE.package}")
def test_fashion_mnist_is_whole():
    train, test = fashion.fashion_mnist(train=True), fashion.fashion_mnist(train=False)
    assert (train.images.shape, test.images.shape) == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert torch.bincount(train.labels).tolist() == [6000] * 10
    assert abs(float(train.images.mean())) < 1e-3
    assert abs(float(train.images.std()) - 1) < 1e-3
    part = train.part(10, 30)
    assert torch.equal(part.images[0], train.images[10]) and len(part) == 20


def test_idx_by_hand():
    images = bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255])
    found = from_idx(images, bytes([0, 0, 8, 1, 0, 0, 0, 1, 7]), mean=0.5, std=0.25)
    assert found.images.tolist() == [[[[-2.0, 2.0]]]] and found.labels.tolist() == [7]
    for wrong in (images[:-1], images + b"x", b"\x00\x00\x09" + images[3:], b""):
        with pytest.raises(CodecError, match="whole IDX file"):
            from_idx(wrong, bytes([0, 0, 8, 1, 0, 0, 0, 1, 7]), mean=0.5, std=0.25)
