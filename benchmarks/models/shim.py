"""`import torchvision` beside a torch that its wheel was not linked with."""

from __future__ import annotations

import importlib
from typing import Any

import torch

_KEPT: list[Any] = []  # the declarations live as long as this list


def torchvision() -> Any:
    """The module; where its compiled operators do not load, the two that its import asks for are declared first.

    Only detection models use those operators, and they are not checked.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)
        return importlib.import_module("torchvision")
