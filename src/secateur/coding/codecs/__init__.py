"""Whole numbers to bytes and back: one file per entropy codec."""

from secateur.coding.codecs.adaptive import Adaptive
from secateur.coding.codecs.base import CODECS
from secateur.coding.codecs.fixed import Fixed
from secateur.coding.codecs.golomb_rice import GolombRice
from secateur.coding.codecs.huffman import Huffman
from secateur.coding.codecs.range_ import Range

__all__ = ["CODECS", "Adaptive", "Fixed", "GolombRice", "Huffman", "Range"]
