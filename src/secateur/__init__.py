"""Secateur makes a trained PyTorch network smaller and faster, and proves it.

The whole line, each step a function from values to a value:

    graph    = secateur.trace(model, example_inputs)
    evidence = secateur.collect(model, batches, Taylor.needs, graph=graph)
    scores   = secateur.score(graph, Taylor(), evidence)
    plan     = secateur.plan(graph, scores, secateur.Budget("0.5 macs"))
    student  = secateur.mask(model, plan)       # train me
    small    = secateur.shrink(student, plan)   # ship me

or in one call: `secateur.compress(model, "taylor2019", example_inputs=..., budget="0.5 macs", data=...)`.
"""

from secateur.apply.masking import mask
from secateur.apply.shrinking import shrink
from secateur.apply.verify import verify
from secateur.coding import inspect, pack, unpack
from secateur.compact import Rebuilt, rebuild
from secateur.comparison import compare
from secateur.core.budget import Budget, TimeLimit
from secateur.core.errors import SecateurError
from secateur.core.groups import ChannelGraph
from secateur.core.plan import PruningPlan
from secateur.core.recipe import FineTune, Recipe
from secateur.core.report import CompressionReport
from secateur.evidence import collect
from secateur.files import export, load, save
from secateur.graph.cost import cost
from secateur.graph.trace import trace
from secateur.lowrank import Factorized, factorize
from secateur.measure import measure
from secateur.pipeline import Compressed, compress
from secateur.planning import Constraints, plan, plan_by_hand, score
from secateur.planning.plan import library_version
from secateur.quantize import dequantize_, quantize, quantized_of
from secateur.run import Run
from secateur.searching import Searched, SearchRun, Sensitivities, search, sensitivity

__version__ = library_version()

__all__ = [
    "Budget",
    "ChannelGraph",
    "Compressed",
    "CompressionReport",
    "Constraints",
    "Factorized",
    "FineTune",
    "PruningPlan",
    "Rebuilt",
    "Recipe",
    "Run",
    "SearchRun",
    "Searched",
    "SecateurError",
    "Sensitivities",
    "TimeLimit",
    "collect",
    "compare",
    "compress",
    "cost",
    "dequantize_",
    "export",
    "factorize",
    "inspect",
    "load",
    "mask",
    "measure",
    "pack",
    "plan",
    "plan_by_hand",
    "rebuild",
    "quantize",
    "quantized_of",
    "save",
    "score",
    "search",
    "sensitivity",
    "shrink",
    "trace",
    "unpack",
    "verify",
]
