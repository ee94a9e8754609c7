"""Networks in as few bytes as they go: entropy codecs, sparse positions, codebooks, and the `.sct` file."""

from secateur.coding.codecs import CODECS
from secateur.coding.packing import Packed, PackedTensor, inspect, pack, unpack

__all__ = ["CODECS", "Packed", "PackedTensor", "inspect", "pack", "unpack"]
