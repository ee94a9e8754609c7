"""What a network costs and how good it is, measured and never estimated."""

from secateur.measure.bytes import size
from secateur.measure.environment import environment
from secateur.measure.latency import latencies, latency
from secateur.measure.lowered import lowered_rows
from secateur.measure.macs import macs
from secateur.measure.measuring import measure, measure_all
from secateur.measure.params import nonzeros, parameters
from secateur.measure.quality import accuracy
from secateur.measure.time_limit import remeasured, within

__all__ = [
    "accuracy",
    "environment",
    "latencies",
    "latency",
    "lowered_rows",
    "macs",
    "measure",
    "measure_all",
    "nonzeros",
    "parameters",
    "remeasured",
    "size",
    "within",
]
