"""One network, one calibration set, many methods: what each leaves at a number of budgets, nothing trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import process_time
from typing import Any

from torch import nn

import secateur
from secateur.allocation import Uniform
from secateur.core.contracts import Allocation, Batches, Criterion, Granularity, Known, Repair
from secateur.core.evidence import Evidence
from secateur.core.groups import ChannelGraph
from secateur.granularity import Weight
from secateur.repair import BatchNorm


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What is compared.

    Attributes:
        name: for tables.
        criterion: from the share that stays, for criteria that must know it.
        repair: what mends the cut network, before batch norms are estimated again.
        granularity: what one unit is.
        allocation: how many each block keeps; the same share of all, so that nothing but the choice differs.
        of: what the budget counts.
    """

    name: str
    criterion: Callable[[float], Criterion]
    repair: tuple[Repair, ...] = ()
    granularity: Granularity = field(default_factory=Weight)
    allocation: Allocation = field(default_factory=Uniform)
    of: str = "units"


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one method at one budget.

    Attributes:
        method: its name.
        keep: the share that was to stay.
        quality: of the masked and repaired network.
        seconds: of CPU time for scores, plan and repairs; evidence is collected once for all.
    """

    method: str
    keep: float
    quality: float
    seconds: float


def cut_all(
    model: nn.Module,
    example_inputs: Any,
    data: Batches,
    methods: Sequence[Method],
    keeps: Sequence[float],
    quality: Callable[[nn.Module], float],
) -> Iterator[Found]:
    """Cut `model` by every method at every budget.

    Args:
        model: the dense network; it is left as it is.
        example_inputs: for the trace.
        data: calibration batches, the same for all.
        methods: what is compared.
        keeps: shares that stay.
        quality: of a network.

    Yields:
        One finding after the other; nothing for a method that cannot meet a budget.
    """
    graph = secateur.trace(model, example_inputs)
    needs = {need for m in methods for need in m.criterion(0.5).needs}
    needs |= {need for m in methods for repair in m.repair for need in repair.needs}
    evidence = secateur.collect(model, data, sorted(needs, key=lambda need: need.__name__), graph=graph)
    for method in methods:
        for keep in keeps:
            start = process_time()
            student = cut(model, graph, evidence, data, method, keep)
            seconds = process_time() - start
            yield Found(method.name, keep, quality(student), seconds)


def cut(
    model: nn.Module, graph: ChannelGraph, evidence: Evidence, data: Batches, method: Method, keep: float
) -> nn.Module:
    """The masked and repaired network."""
    scores = secateur.score(graph, method.criterion(keep), evidence, granularity=method.granularity)
    plan = secateur.plan(graph, scores, secateur.Budget(keep, method.of), method.allocation)
    student = secateur.mask(model, plan)
    for repair in (*method.repair, BatchNorm()):
        repair.repair_(student, model, plan, Known(evidence, data))
    return student
