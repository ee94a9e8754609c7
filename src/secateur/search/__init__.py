"""Searches that try choices on the network itself: how many units each block keeps, or which."""

from secateur.search.amc import AMC, environment
from secateur.search.base import SEARCHES, Attempt, Trial, project
from secateur.search.bayesian import Bayesian
from secateur.search.channel_genetic import ChannelGenetic, channel_genetic
from secateur.search.genetic import Genetic
from secateur.search.netadapt import NetAdapt
from secateur.search.particle_filter import ParticleFilter, particle_filter
from secateur.search.random import Random
from secateur.search.uniform import Uniform

__all__ = [
    "AMC",
    "SEARCHES",
    "Attempt",
    "Bayesian",
    "ChannelGenetic",
    "Genetic",
    "NetAdapt",
    "ParticleFilter",
    "Random",
    "Trial",
    "Uniform",
    "channel_genetic",
    "environment",
    "particle_filter",
    "project",
]
