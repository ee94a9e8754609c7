"""The papers: one file, one function, one recipe."""

from secateur.methods.apoz import apoz
from secateur.methods.base import METHODS, recipe
from secateur.methods.chip import chip
from secateur.methods.erk_magnitude import erk_magnitude
from secateur.methods.fpgm import fpgm
from secateur.methods.grasp import grasp
from secateur.methods.han2015 import han2015
from secateur.methods.hrank import hrank
from secateur.methods.lamp import lamp
from secateur.methods.li2017 import li2017
from secateur.methods.li2017_greedy import li2017_greedy
from secateur.methods.movement import movement
from secateur.methods.network_slimming import network_slimming
from secateur.methods.random import random
from secateur.methods.random_global import random_global
from secateur.methods.snip import snip
from secateur.methods.synflow import synflow
from secateur.methods.taylor2017 import taylor2017
from secateur.methods.taylor2019 import taylor2019

__all__ = [
    "METHODS",
    "apoz",
    "chip",
    "erk_magnitude",
    "fpgm",
    "grasp",
    "han2015",
    "hrank",
    "lamp",
    "li2017",
    "li2017_greedy",
    "movement",
    "network_slimming",
    "random",
    "random_global",
    "recipe",
    "snip",
    "synflow",
    "taylor2017",
    "taylor2019",
]
