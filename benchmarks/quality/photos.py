"""MobileNetV2 and the photos of the example, which its `fetch.py` brings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from secateur.bench.zoo.mobilenet_v2 import MobileNetV2
from secateur.core.rng import generator

_EXAMPLE = Path(__file__).parents[2] / "examples" / "mobilenet_v2"
CALIBRATION = 256


@dataclass(frozen=True, slots=True)
class Task:
    """A network, what it is calibrated on, and how a cut copy of it is judged.

    Attributes:
        dense: the network.
        example: inputs for the trace.
        data: calibration batches.
        quality: of a cut copy.
        photos: that judge it.
    """

    dense: nn.Module
    example: Any
    data: list[Any]
    quality: Callable[[nn.Module], float]
    photos: Tensor


def task(seed: int) -> Task:
    """Calibration on random crops of photos, with the dense network's own guesses as labels; held-out photos judge."""
    photos, dense, exam = pictures()
    crops = photos.random_crops(photos.split(photos.photos()).calibration, CALIBRATION, generator(seed, "crops"))
    data = [(part, _guesses(dense, part)) for part in crops.split(32)]
    wanted = _guesses(dense, exam)

    def quality(model: nn.Module) -> float:
        return float((_guesses(model, exam) == wanted).double().mean())

    return Task(dense, exam[:1], data, quality, exam)


@cache
def pictures() -> tuple[Any, MobileNetV2, Tensor]:
    sys.path.insert(0, str(_EXAMPLE))  # the example is a folder of scripts, not a package
    import photos  # noqa: PLC0415

    dense = MobileNetV2()
    dense.load_state_dict(photos.weights())
    every = photos.photos()
    held_out = photos.split(every).held_out
    return photos, dense.eval(), photos.batch(held_out)


def _guesses(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(part).argmax(1) for part in images.split(32)])
