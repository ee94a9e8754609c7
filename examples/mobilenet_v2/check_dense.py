"""Measures the dense network on the labelled photos, to show that weights and preprocessing are right.

    python check_dense.py

The photos are few and no sample of ImageNet's validation set, so the figures are a sanity check and
not ImageNet top-1.
"""

import math

import photos
import torch

from secateur.bench.zoo.mobilenet_v2 import MobileNetV2, mobilenet_v2


def dense() -> MobileNetV2:
    """Builds the network with its ImageNet weights, in evaluation mode."""
    network = mobilenet_v2()
    network.load_state_dict(photos.weights(), strict=True)
    return network.eval()


@torch.inference_mode()
def correct(network: torch.nn.Module, chosen: list[photos.Photo], batch_size: int = 32) -> list[bool]:
    """Tells for each labelled photo whether the network's first guess is its label.

    Args:
        network: Maps ``[batch, 3, 224, 224]`` to logits ``[batch, 1000]``.
        chosen: Photos with a label.
        batch_size: Photos in one pass.

    Returns:
        One truth value a photo.
    """
    hits: list[bool] = []
    for start in range(0, len(chosen), batch_size):
        part = chosen[start : start + batch_size]
        guesses = network(photos.batch(part)).argmax(dim=1).tolist()
        hits += [guess == photo.label for guess, photo in zip(guesses, part, strict=True)]
    return hits


def main() -> None:
    """Prints top-1 with its binomial standard error, for each package and for all."""
    labelled = [photo for photo in photos.photos() if photo.label is not None]
    if not labelled:
        raise SystemExit("no labelled photos: run fetch.py first")
    hits = correct(dense(), labelled)
    groups = dict.fromkeys(photo.source for photo in labelled)
    for group in (*groups, "all"):
        here = [hit for hit, photo in zip(hits, labelled, strict=True) if group in (photo.source, "all")]
        top1 = sum(here) / len(here)
        error = math.sqrt(top1 * (1 - top1) / len(here))
        print(f"{group:24} top-1 {top1:.3f} ± {error:.3f}  ({sum(here)} of {len(here)})")


if __name__ == "__main__":
    main()
