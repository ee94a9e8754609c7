"""Thin layers and compact blocks, beside oracles and on a trained network."""
