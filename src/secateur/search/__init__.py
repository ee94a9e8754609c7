"""Searches that try plans on the network itself."""

from secateur.search.particle_filter import ParticleFilter, particle_filter

__all__ = ["ParticleFilter", "particle_filter"]
