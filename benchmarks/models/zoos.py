"""The zoos, found by listing, not by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from benchmarks.models.case import Attempt, Case, images
from benchmarks.models.shim import torchvision

#: Picture sizes that are tried in turn, smallest first: attention and windows cost by area, and no rule looks at it.
SIZES = (64, 96, 128, 224)
#: Seconds to look for the smallest variant of one timm family.
_PATIENCE = 25.0


def names(zoo: str, cache_in: Path) -> list[str]:
    """Names of all models of a zoo that are checked.

    Args:
        zoo: a key of `ZOOS`.
        cache_in: folder for lists that take long to make.
    """
    match zoo:
        case "timm":
            return [name for name, _ in smallest_of_timm(cache_in / "timm.json").values()]
        case "transformers":
            from benchmarks.models.architectures import ARCHITECTURES  # noqa: PLC0415  it imports transformers

            return list(ARCHITECTURES)
        case _:
            module = _module(zoo)
            return torchvision().models.list_models(module=module)


def find(zoo: str, name: str) -> Case:
    """The case behind a name."""
    return Case(zoo, name, tuple(ZOOS[zoo](name)))


def smallest_of_timm(file: Path) -> dict[str, tuple[str, int]]:
    """For every family of timm (a module of `timm.models`) its variant with the fewest parameters, and how many.

    Variants are built on the meta device, which costs no memory, for at most 25 seconds a family.
    """
    if file.exists():
        return {family: (name, count) for family, (name, count) in json.loads(file.read_text()).items()}
    torchvision()
    import timm  # noqa: PLC0415  an extra

    found = {}
    for family in timm.models.list_modules():
        counts: dict[str, int] = {}
        start = time.perf_counter()
        for name in timm.list_models(module=family):
            if counts and time.perf_counter() - start > _PATIENCE:
                break
            try:
                with torch.device("meta"):
                    counts[name] = sum(p.numel() for p in timm.create_model(name).parameters())
            except Exception:  # some read values of a tensor while they are built
                continue
        if counts:
            name = min(counts, key=lambda n: (counts[n], n))
            found[family] = (name, counts[name])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=1))
    return found


def _classifier(name: str) -> Iterator[Attempt]:
    make = partial(torchvision().models.get_model, name, weights=None)
    plain = {"aux_logits": True, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    for size in (299,) if name == "inception_v3" else SIZES:  # its second output needs the whole picture
        if name.startswith("vit_"):
            yield Attempt(partial(make, image_size=size), images(size), f"{size} px")
        elif name.startswith("maxvit"):
            yield Attempt(partial(make, input_size=(size, size)), images(size), f"{size} px")
        else:
            yield Attempt(partial(make, **plain), images(size), f"{size} px")


def _segmenter(name: str) -> Iterator[Attempt]:
    make = partial(torchvision().models.get_model, name, weights=None, weights_backbone=None, num_classes=21)
    for size in SIZES:
        yield Attempt(make, images(size), f"{size} px")


def _film(name: str) -> Iterator[Attempt]:
    make = partial(torchvision().models.get_model, name, weights=None)
    for size, frames in ((64, 8), (112, 16), (224, 16)):
        sized = partial(_small_mvit, make, size, frames) if name.startswith("mvit") else make
        yield Attempt(sized, images(size, frames=frames), f"{frames} frames of {size} px")


def _small_mvit(make: Callable[[], nn.Module], size: int, frames: int) -> nn.Module:
    """An MViT for small films; its public builders fix the size, though the network behind them does not."""
    module = torchvision().models.video.mvit

    def smaller(**arguments: Any) -> nn.Module:
        return original(**{**arguments, "spatial_size": (size, size), "temporal_size": frames})

    original = module._mvit  # noqa: SLF001
    with patch.object(module, "_mvit", smaller):
        return make()


def _timm(name: str) -> Iterator[Attempt]:
    torchvision()
    import timm  # noqa: PLC0415  an extra

    channels, *_, default = timm.get_pretrained_cfg(name).input_size
    for size in sorted({size for size in SIZES if size < default} | {default}):
        draw = images(size, channels=channels)
        if size != default:
            yield Attempt(partial(timm.create_model, name, img_size=size), draw, f"{size} px")
        yield Attempt(partial(timm.create_model, name), draw, f"{size} px")


def _transformers(name: str) -> Iterator[Attempt]:
    from benchmarks.models.architectures import ARCHITECTURES  # noqa: PLC0415  it imports transformers

    yield ARCHITECTURES[name].attempt()


@cache
def _module(zoo: str) -> Any:
    models = torchvision().models
    return {
        "torchvision": models,
        "torchvision-segmentation": models.segmentation,
        "torchvision-video": models.video,
    }[zoo]


ZOOS: dict[str, Callable[[str], Iterator[Attempt]]] = {
    "torchvision": _classifier,
    "torchvision-segmentation": _segmenter,
    "torchvision-video": _film,
    "timm": _timm,
    "transformers": _transformers,
}
