"""Contract suites for plug-ins, importable by other packages: subclass one, name your plug-in, and it is tested.

The suites are plain classes of `test_*` methods for pytest; this package itself does not import pytest.
"""

from secateur.testing.allocation import AllocationContract
from secateur.testing.codec import CodecContract
from secateur.testing.collector import CollectorContract
from secateur.testing.compact import CompactContract
from secateur.testing.criterion import CriterionContract
from secateur.testing.distillation import DistillationContract
from secateur.testing.factorizer import FactorizerContract
from secateur.testing.granularity import GranularityContract
from secateur.testing.models import TINY, Tiny
from secateur.testing.operator import Around, OperatorCase, OperatorContract, check_rule
from secateur.testing.quantizer import QuantizerContract
from secateur.testing.regularizer import RegularizerContract
from secateur.testing.repair import RepairContract
from secateur.testing.schedule import ScheduleContract
from secateur.testing.search import SearchContract
from secateur.testing.surgery import SurgeryContract
from secateur.testing.system import SystemContract

__all__ = [
    "TINY",
    "AllocationContract",
    "Around",
    "CodecContract",
    "CollectorContract",
    "CompactContract",
    "CriterionContract",
    "DistillationContract",
    "FactorizerContract",
    "GranularityContract",
    "OperatorCase",
    "OperatorContract",
    "QuantizerContract",
    "RegularizerContract",
    "RepairContract",
    "ScheduleContract",
    "SearchContract",
    "SurgeryContract",
    "SystemContract",
    "Tiny",
    "check_rule",
]
