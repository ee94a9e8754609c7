"""Fashion-MNIST: 60,000 training and 10,000 test images of clothes in ten classes (Xiao, Rasul, Vollgraf; MIT)."""

from __future__ import annotations

from pathlib import Path

from secateur.bench.tasks.images import Split, from_idx
from secateur.bench.tasks.sources import Source, content
from secateur.core.contracts import Progress

SOURCE = Source(
    name="fashion-mnist",
    package="the Debian package dataset-fashion-mnist",
    places=(Path("/usr/share/datasets/fashion-mnist"),),
    address="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    digests={
        "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
)


def fashion_mnist(train: bool, progress: Progress | None = None) -> Split:
    """The training (60,000) or the test (10,000) images, `(n, 1, 28, 28)`.

    Args:
        train: which of the two.
        progress: called as `(what, bytes done, bytes in all)` if they have to be downloaded.

    Raises:
        CodecError: they are damaged, or nowhere to be had; the message says what to install.
    """
    name = "train" if train else "t10k"
    images, labels = (content(SOURCE, f"{name}-{what}-ubyte.gz", progress) for what in ("images-idx3", "labels-idx1"))
    return from_idx(images, labels, mean=0.2860, std=0.3530)
