"""The papers: one file, one function, one recipe."""

from secateur.methods.base import METHODS, recipe
from secateur.methods.exact_obs import exact_obs
from secateur.methods.fpgm import fpgm
from secateur.methods.han2015 import han2015
from secateur.methods.li2017 import li2017
from secateur.methods.network_slimming import network_slimming
from secateur.methods.obd import obd
from secateur.methods.obs import obs
from secateur.methods.random import random
from secateur.methods.sparsegpt import sparsegpt
from secateur.methods.taylor2019 import taylor2019
from secateur.methods.wanda import wanda
from secateur.methods.woodfisher import woodfisher

__all__ = [
    "METHODS",
    "exact_obs",
    "fpgm",
    "han2015",
    "li2017",
    "network_slimming",
    "obd",
    "obs",
    "random",
    "recipe",
    "sparsegpt",
    "taylor2019",
    "wanda",
    "woodfisher",
]
