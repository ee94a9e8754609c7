"""The papers: one file, one function, one recipe."""

from secateur.methods.base import METHODS, recipe
from secateur.methods.channel_pruning import channel_pruning
from secateur.methods.dcp import dcp
from secateur.methods.fpgm import fpgm
from secateur.methods.han2015 import han2015
from secateur.methods.kernel import kernel
from secateur.methods.li2017 import li2017
from secateur.methods.n_m import n_m
from secateur.methods.network_slimming import network_slimming
from secateur.methods.random import random
from secateur.methods.shortgpt import shortgpt
from secateur.methods.taylor2019 import taylor2019
from secateur.methods.thinet import thinet

__all__ = [
    "METHODS",
    "channel_pruning",
    "dcp",
    "fpgm",
    "han2015",
    "kernel",
    "li2017",
    "n_m",
    "network_slimming",
    "random",
    "recipe",
    "shortgpt",
    "taylor2019",
    "thinet",
]
