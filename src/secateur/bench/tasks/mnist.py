"""MNIST, bundled: 60,000 training and 10,000 test images of handwritten digits (LeCun, Cortes, Burges)."""

from __future__ import annotations

import gzip
from importlib.resources import files

from secateur.bench.tasks.images import Split, from_idx


def mnist(train: bool) -> Split:
    """The training (60,000) or the test (10,000) images, `(n, 1, 28, 28)`."""
    name, folder = "train" if train else "t10k", files("secateur.bench.tasks").joinpath("mnist")
    images, labels = (
        gzip.decompress(folder.joinpath(f"{name}-{what}-ubyte.gz").read_bytes())
        for what in ("images-idx3", "labels-idx1")
    )
    return from_idx(images, labels, mean=0.1307, std=0.3081)
