"""The papers: one file, one function, one recipe."""

from secateur.methods.base import METHODS, recipe
from secateur.methods.fpgm import fpgm
from secateur.methods.han2015 import han2015
from secateur.methods.li2017 import li2017
from secateur.methods.network_slimming import network_slimming
from secateur.methods.random import random
from secateur.methods.taylor2019 import taylor2019

__all__ = ["METHODS", "fpgm", "han2015", "li2017", "network_slimming", "random", "recipe", "taylor2019"]
