"""The papers: one file, one function, one recipe."""

from secateur.methods.admm import admm
from secateur.methods.apoz import apoz
from secateur.methods.asfp import asfp
from secateur.methods.base import METHODS, recipe
from secateur.methods.channel_pruning import channel_pruning
from secateur.methods.chip import chip
from secateur.methods.dcp import dcp
from secateur.methods.dns import dns
from secateur.methods.erk_magnitude import erk_magnitude
from secateur.methods.exact_obs import exact_obs
from secateur.methods.fpgm import fpgm
from secateur.methods.gmp import gmp
from secateur.methods.grasp import grasp
from secateur.methods.greg import greg
from secateur.methods.group_brain_damage import group_brain_damage
from secateur.methods.han2015 import han2015
from secateur.methods.hoyer import hoyer
from secateur.methods.hrank import hrank
from secateur.methods.kernel import kernel
from secateur.methods.l0 import l0
from secateur.methods.lamp import lamp
from secateur.methods.less_is_more import less_is_more
from secateur.methods.li2017 import li2017
from secateur.methods.li2017_greedy import li2017_greedy
from secateur.methods.lottery import lottery
from secateur.methods.lrr import lrr
from secateur.methods.movement import movement
from secateur.methods.n_m import n_m
from secateur.methods.network_slimming import network_slimming
from secateur.methods.obd import obd
from secateur.methods.obs import obs
from secateur.methods.progressive_admm import progressive_admm
from secateur.methods.random import random
from secateur.methods.random_global import random_global
from secateur.methods.rigl import rigl
from secateur.methods.set import set
from secateur.methods.sfp import sfp
from secateur.methods.shortgpt import shortgpt
from secateur.methods.snip import snip
from secateur.methods.sparse_vd import sparse_vd
from secateur.methods.sparsegpt import sparsegpt
from secateur.methods.ssl import ssl
from secateur.methods.sss import sss
from secateur.methods.synflow import synflow
from secateur.methods.taylor2017 import taylor2017
from secateur.methods.taylor2019 import taylor2019
from secateur.methods.thinet import thinet
from secateur.methods.wanda import wanda
from secateur.methods.woodfisher import woodfisher

__all__ = [
    "METHODS",
    "admm",
    "apoz",
    "asfp",
    "channel_pruning",
    "chip",
    "dcp",
    "dns",
    "erk_magnitude",
    "exact_obs",
    "fpgm",
    "gmp",
    "grasp",
    "greg",
    "group_brain_damage",
    "han2015",
    "hoyer",
    "hrank",
    "kernel",
    "l0",
    "lamp",
    "less_is_more",
    "li2017",
    "li2017_greedy",
    "lottery",
    "lrr",
    "movement",
    "n_m",
    "network_slimming",
    "obd",
    "obs",
    "progressive_admm",
    "random",
    "random_global",
    "recipe",
    "rigl",
    "set",
    "sfp",
    "shortgpt",
    "snip",
    "sparse_vd",
    "sparsegpt",
    "ssl",
    "sss",
    "synflow",
    "taylor2017",
    "taylor2019",
    "thinet",
    "wanda",
    "woodfisher",
]
