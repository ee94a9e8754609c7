"""The dense networks that are cut: small ResNets, trained here on Fashion-MNIST and kept in `out/quality`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from secateur.bench.tasks.fashion_mnist import fashion_mnist
from secateur.bench.tasks.images import Batches, Split
from secateur.bench.zoo.resnet import ResNet
from secateur.core.contracts import Progress
from secateur.core.recipe import FineTune
from secateur.training import train_

OUT = Path(__file__).parents[2] / "out" / "quality"
HOW = FineTune(epochs=6, lr=0.1, weight_decay=5e-4)
#: The last of the training images train nothing: they are there to choose by.
HELD_OUT = 5_000


@cache
def pictures(train: bool) -> Split:
    """All training or all test pictures."""
    return fashion_mnist(train)


def resnet(seed: int, progress: Progress | None = None) -> ResNet:
    """ResNet-20 of half width (8, 16, 32 channels), trained on Fashion-MNIST; from the file if it is there.

    Args:
        seed: of weights and the order of pictures.
        progress: called as `(what, steps done, steps in all)` while it trains.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ResNet(3, 8, channels=1)
    file = OUT / f"resnet-{seed}.safetensors"
    if file.exists():
        model.load_state_dict(load_file(file))
        return model.eval()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub leaves it out
    data = pictures(train=True).part(0, 60_000 - HELD_OUT)
    train_(model, Batches(data, seed=seed), HOW, progress=progress, what=f"train ResNet {seed}")
    model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), file)
    return model.eval()
