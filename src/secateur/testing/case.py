"""What the contract suites run on: a small network in float64, its channel graph and some labelled batches."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from secateur.apply.masking import parameters_of
from secateur.apply.verify import strengthen_
from secateur.bench.zoo.resnet import BasicBlock
from secateur.bench.zoo.vit import ViT
from secateur.core.budget import Budget
from secateur.core.contracts import Batch, Collector
from secateur.core.evidence import Evidence
from secateur.core.groups import ChannelGraph, Group, Role
from secateur.core.moment import Moment
from secateur.core.plan import PruningPlan
from secateur.core.rng import generator
from secateur.criteria import Magnitude
from secateur.evidence import Weight, collect
from secateur.graph.trace import trace
from secateur.planning import decide

_CLASSES = 3
_EXAMPLES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A network that a contract is tried on; the functions of this module give changed copies.

    Attributes:
        model: in eval mode, float64, with strong random weights.
        graph: its channel graph.
        batches: `(inputs, class numbers)`.
    """

    model: nn.Module
    graph: ChannelGraph
    batches: tuple[Batch, ...]

    def evidence(self, needs: Iterable[type[Collector]]) -> Evidence:
        """Everything in `needs` about this network."""
        return collect(self.model, self.batches, needs, graph=self.graph)

    def first(self) -> Group:
        """The first group that may be cut."""
        return next(iter(self.graph.cuttable.values()))


def moment(case: Case, **changes: Any) -> Moment:
    """The first moment of a training of this network; `changes` are attributes of `Moment`."""
    whole: dict[str, Any] = {
        "model": case.model,
        "graph": case.graph,
        "parameters": parameters_of(case.model),
        "generator": generator(0, "moment"),
        "decide": partial(_decide, case),
        "budget": Budget("0.5 units"),
        "keep": _half,
    }
    return Moment(**{**whole, **changes})


def _half(t: float) -> float:
    return 0.5


def _decide(
    case: Case, keep: float, *, saliency: Mapping[str, Tensor] | None = None, again: bool = False
) -> PruningPlan:
    """A plan of channels by the size of their weights, the same share of each group; `again` changes nothing."""
    weights = saliency or {n: p.detach() for n, p in parameters_of(case.model).items()}
    return decide(case.graph, Magnitude(), Evidence({Weight: weights}), Budget(keep, "units"))


def normed(first: int = 6, second: int = 4) -> Case:
    """Convolution, batch norm and ReLU, twice, then flatten and a linear layer; both inner groups may be cut."""
    return _case(_normed(first, second), (2, 6, 6))


def plain() -> Case:
    """Three linear layers with ReLU between them and no norm, so that layers can be rescaled against each other."""
    return _case(_plain(), (5,))


def folding() -> Case:
    """Convolution, ReLU, convolution: what a removed channel says on average is all that a bias can make up for."""
    return _case(_folding(), (2, 6, 6), (4,))


def residual() -> Case:
    """A convolution and three residual blocks of unequal size, each a module that may go as a whole."""
    return _case(_residual(), (2, 6, 6))


def attentive(heads: bool) -> Case:
    """A small vision transformer, cut by whole heads or by positions within them."""
    return _case(_attentive(heads), (3, 8, 8))


def permuted(case: Case, group: Group, order: Tensor) -> Case:
    """The same function, with unit `order[u]` of `group` in the place of unit u."""
    changed = copy.deepcopy(case.model)
    with torch.no_grad():
        for view, index in _entries(changed, group):
            view[index.flatten()] = view[index[order].flatten()].clone()
    return replace(case, model=changed)


def silenced(case: Case, group: Group, unit: int) -> Case:
    """All parameters of one unit set to zero."""
    changed = copy.deepcopy(case.model)
    with torch.no_grad():
        for view, index in _entries(changed, group, *(r for r in Role if r is not Role.TRACKS)):
            view[index[unit]] = 0
    return replace(case, model=changed)


def without(case: Case, module: str) -> Case:
    """All parameters of one module set to zero."""
    changed = copy.deepcopy(case.model)
    with torch.no_grad():
        for parameter in changed.get_submodule(module).parameters():
            parameter.zero_()
    return replace(case, model=changed)


def scaled(case: Case, group: Group, factor: float) -> Case:
    """All parameters of `group` multiplied by `factor`."""
    return _multiplied(case, group, factor, factor)


def rescaled(case: Case, group: Group, factor: float) -> Case:
    """What makes the units multiplied by `factor`, what consumes them divided by it."""
    return _multiplied(case, group, factor, 1 / factor)


def filled(case: Case, value: float) -> Case:
    """All parameters set to `value`."""
    changed = copy.deepcopy(case.model)
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.fill_(value)
    return replace(case, model=changed)


def in_precision(case: Case, dtype: torch.dtype) -> Case:
    """Weights and inputs in another precision."""
    batches = tuple((x.to(dtype), y) for x, y in case.batches)
    return replace(case, model=copy.deepcopy(case.model).to(dtype), batches=batches)


def _multiplied(case: Case, group: Group, makers: float, consumers: float) -> Case:
    changed = copy.deepcopy(case.model)
    with torch.no_grad():
        for view, index in _entries(changed, group, Role.PRODUCES, Role.SCALES, Role.SHIFTS):
            view[index.flatten()] *= makers
        for view, index in _entries(changed, group, Role.CONSUMES):
            view[index.flatten()] *= consumers
    return replace(case, model=changed)


def _entries(model: nn.Module, group: Group, *roles: Role) -> list[tuple[Tensor, Tensor]]:
    """Views of the tensors of `group`, units' entries first, and the `(units, k)` entries of each unit."""
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    slots = group.slots_with(*(roles or tuple(Role)))
    return [(tensors[s.tensor].detach().movedim(s.dim, 0), s.index) for s in slots]


@cache
def _normed(first: int, second: int) -> tuple[nn.Module, ChannelGraph]:
    model = nn.Sequential(
        nn.Conv2d(2, first, 3, padding=1),
        nn.BatchNorm2d(first),
        nn.ReLU(),
        nn.Conv2d(first, second, 3),
        nn.BatchNorm2d(second),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(second * 16, _CLASSES),
    )
    return _traced(model, (2, 6, 6))


@cache
def _plain() -> tuple[nn.Module, ChannelGraph]:
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, _CLASSES))
    return _traced(model, (5,))


@cache
def _folding() -> tuple[nn.Module, ChannelGraph]:
    model = nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, _CLASSES, 3), nn.Flatten(2))
    return _traced(model, (2, 6, 6))


@cache
def _residual() -> tuple[nn.Module, ChannelGraph]:
    wide = BasicBlock(4, 4, 1)
    wide.conv1, wide.bn1, wide.conv2 = nn.Conv2d(4, 9, 3, padding=1), nn.BatchNorm2d(9), nn.Conv2d(9, 4, 3, padding=1)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), BasicBlock(4, 4, 1), wide, nn.MaxPool2d(2), BasicBlock(4, 4, 1), nn.Flatten(),
        nn.Linear(16, _CLASSES),
    )  # fmt: skip
    return _traced(model, (2, 6, 6))


@cache
def _attentive(heads: bool) -> tuple[nn.Module, ChannelGraph]:
    model = strengthen_(ViT(size=8, patch=4, width=12, heads=3, depth=1, classes=_CLASSES)).eval()
    return model, trace(model, torch.zeros(2, 3, 8, 8, dtype=torch.float64), heads=heads)


def _traced(model: nn.Module, shape: tuple[int, ...]) -> tuple[nn.Module, ChannelGraph]:
    strong = _settled_(strengthen_(model), _batches(shape, ()))
    return strong, trace(strong, torch.zeros(2, *shape, dtype=torch.float64), depth=True)


def _settled_(model: nn.Module, batches: Iterable[Batch]) -> nn.Module:
    """Running statistics as training would have left them: those of the data."""
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = None  # a plain average
    with torch.no_grad():
        for inputs, _ in batches:
            model.train()(inputs)
    return model.eval()


def _batches(shape: tuple[int, ...], places: tuple[int, ...]) -> tuple[Batch, ...]:
    rng = generator(0, "case")
    return tuple(
        (
            torch.randn(_EXAMPLES, *shape, generator=rng, dtype=torch.float64),
            torch.randint(_CLASSES, (_EXAMPLES, *places), generator=rng),
        )
        for _ in range(3)
    )


def _case(found: tuple[nn.Module, ChannelGraph], shape: tuple[int, ...], places: tuple[int, ...] = ()) -> Case:
    model, graph = found
    return Case(copy.deepcopy(model), graph, _batches(shape, places))
