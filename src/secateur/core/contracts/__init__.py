"""Every plug-in contract. A plug-in is a frozen dataclass of hyper-parameters with one or two methods.

Register it with the decorator of its folder (`@criterion("taylor")`) in its own file. Other packages do the same and
name their module under the entry-point group `secateur.<kind>`.
"""

from secateur.core.contracts.allocation import Allocation, Evaluate, Limits, Search
from secateur.core.contracts.codec import Codec
from secateur.core.contracts.common import Batch, Batches, Loss, Progress, Quality
from secateur.core.contracts.criteria import Criterion, ElementCriterion, ModuleCriterion, Traits, UnitCriterion
from secateur.core.contracts.distill import DistillLoss, Outputs
from secateur.core.contracts.evidence import Collector, Step
from secateur.core.contracts.granularity import Block, Granularity
from secateur.core.contracts.quantizer import Quantizer
from secateur.core.contracts.repair import Known, Repair
from secateur.core.contracts.shapes import Call, Candidate, CompactBlock, Factorizer, Ranks
from secateur.core.contracts.training import Regularizer, Schedule, Surgery

__all__ = [
    "Allocation",
    "Batch",
    "Batches",
    "Block",
    "Call",
    "Candidate",
    "Codec",
    "Collector",
    "CompactBlock",
    "Criterion",
    "DistillLoss",
    "ElementCriterion",
    "Evaluate",
    "Factorizer",
    "Granularity",
    "Known",
    "Limits",
    "Loss",
    "ModuleCriterion",
    "Outputs",
    "Progress",
    "Quality",
    "Quantizer",
    "Ranks",
    "Regularizer",
    "Repair",
    "Schedule",
    "Search",
    "Step",
    "Surgery",
    "Traits",
    "UnitCriterion",
]
