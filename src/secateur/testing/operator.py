"""The contract of operator rules: a small network around the operator, traced, cut, and compared with its mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import nn

from secateur.apply.masking import mask
from secateur.apply.shrinking import shrink
from secateur.apply.verify import difference, outputs, strengthen_
from secateur.core.example import Example
from secateur.core.groups import ChannelGraph
from secateur.core.plan import PruningPlan
from secateur.core.rng import generator
from secateur.granularity import Channel
from secateur.graph.record import private_copy, record
from secateur.graph.trace import trace

_CLOSE = 1e-9
_PLANS = 3
#: Reasons that say nothing about the operator: the network begins and ends there.
_EDGES = ("is an output of the model", "an input of the model")


class Around(nn.Module):
    """A forward function with layers, `Around(lambda net, x: net.b(net.a(x)), {"a": …, "b": …})`."""

    def __init__(self, function: Callable[..., Any], layers: Mapping[str, nn.Module | nn.Parameter]) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *inputs: Any) -> Any:
        """What the function makes of this module and the inputs."""
        return self.function(self, *inputs)


@dataclass(frozen=True, slots=True, eq=False)
class OperatorCase:
    """A small network around an operator, and what is known of it.

    Attributes:
        operator: its name, `aten::mm`.
        function: the forward pass, `function(net, *inputs)`; `net` has the layers as attributes.
        layers: builds the layers and free parameters by name, with whatever weights PyTorch draws.
        inputs: builds the example inputs; floating-point ones in float64.
        pinned: groups that may not be cut, each with a text that the reason must contain. All other groups must be
            cuttable, those aside that are inputs or outputs of the model.
        groups: the groups that can be cut, with their units; empty leaves that open.
        dtype: of weights and floating-point inputs, for operators that do not run in float64.
    """

    operator: str
    function: Callable[..., Any]
    layers: Callable[[], Mapping[str, nn.Module | nn.Parameter]]
    inputs: Callable[[], tuple[Any, ...]]
    pinned: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    dtype: torch.dtype = torch.float64

    def build(self) -> nn.Module:
        """The network in eval mode with strong weights, the same on every call."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return strengthen_(Around(self.function, self.layers())).eval().to(self.dtype)

    def example(self) -> Example:
        """The inputs."""
        return Example.of(self.inputs()).map(lambda x: x.to(self.dtype) if x.is_floating_point() else x)

    @property
    def close(self) -> float:
        """The largest difference of outputs that are equal."""
        return _CLOSE if self.dtype is torch.float64 else 1e-5

    def __repr__(self) -> str:
        return self.operator


class OperatorContract:
    """What every operator rule promises. Subclass it, and parametrise `case` or define it as a fixture.

    Example:
        ```python
        @pytest.mark.parametrize("case", CASES, ids=repr)
        class TestMyRules(OperatorContract): ...
        ```
    """

    def test_is_called(self, case: OperatorCase) -> None:
        """The network calls the operator, or the case would prove nothing."""
        model, example = case.build(), case.example()
        seen = {call.name for mode in (False, True) for call in _calls(model, example, mode)}
        assert case.operator in seen, f"{case.operator} is not called; these are: {', '.join(sorted(seen))}"

    def test_has_a_rule(self, case: OperatorCase) -> None:
        """No operator of the network is without a rule."""
        assert not _traced(case).unknown, f"no rule for {', '.join(_traced(case).unknown)}"

    def test_cut_or_pinned_as_stated(self, case: OperatorCase) -> None:
        """Something can be cut, and nothing is pinned but what the case says, for the reason that it gives."""
        graph = _traced(case)
        for name, text in case.pinned.items():
            assert name in graph.groups, f"there is no group {name}; there are: {', '.join(graph.groups)}"
            assert text in graph.groups[name].pinned, f"{name} is pinned: {graph.groups[name].pinned or 'not at all'}"
        surprises = {
            name: group.pinned
            for name, group in graph.groups.items()
            if group.pinned and name not in case.pinned and not any(edge in group.pinned for edge in _EDGES)
        }
        assert not surprises, f"pinned: {surprises}"
        assert graph.cuttable or case.pinned, "nothing can be cut, and the case does not say why"
        found = {name: group.units for name, group in graph.cuttable.items()}
        assert found == dict(case.groups) or not case.groups, f"can be cut: {found}, stated: {dict(case.groups)}"

    def test_masked_is_shrunk(self, case: OperatorCase) -> None:
        """Masked and shrunk networks agree in eval mode, on one sample more, too, and differ from the whole one."""
        model, changed = case.build(), 0.0
        for plan in _plans(_traced(case)):
            masked, small = mask(model, plan), shrink(model, plan)
            for example in _examples(case):
                wanted = outputs(masked, example)
                gap = difference(wanted, outputs(small, example))
                assert gap <= case.close, f"masked and shrunk outputs differ by {gap:.1e} ({_widths(plan)})"
                changed = max(changed, difference(wanted, outputs(model, example)))
        assert changed > case.close or not _traced(case).cuttable, "what was cut has no say in the outputs"

    def test_masked_is_shrunk_in_training(self, case: OperatorCase) -> None:
        """The same in training mode; where that draws at random, in shapes."""
        model = case.build()
        for plan in _plans(_traced(case)):
            masked, small = mask(model, plan), shrink(model, plan)
            for example in _examples(case):
                one, other = (outputs(masked, example, training=True, seed=seed) for seed in (0, 1))
                found = outputs(small, example, training=True)
                if difference(one, other) == 0:
                    gap = difference(one, found)
                    assert gap <= case.close, f"masked and shrunk outputs differ by {gap:.1e} in training"
                assert [x.shape for x in one] == [x.shape for x in found]


def check_rule(case: OperatorCase) -> None:
    """The whole contract on one case, for those who do not use pytest classes.

    Raises:
        AssertionError: with the finding.
    """
    contract = OperatorContract()
    for name in sorted(vars(OperatorContract)):
        if name.startswith("test_"):
            getattr(contract, name)(case)


@cache
def _traced(case: OperatorCase) -> ChannelGraph:
    return trace(case.build(), case.example())


def _calls(model: nn.Module, example: Example, training: bool) -> list[Any]:
    return record(private_copy(model).train(training), example).calls


def _examples(case: OperatorCase) -> list[Example]:
    """The inputs, and the same with one sample more where the network takes that."""
    example = case.example()
    try:
        outputs(case.build(), example.wider())
    except RuntimeError:
        return [example]
    return [example, example.wider()]


def _plans(graph: ChannelGraph) -> Iterator[PruningPlan]:
    """Random cuts, in which every group that may lose something does, another share in each."""
    for seed in range(_PLANS if graph.cuttable else 0):
        kept = {}
        for name, group in graph.cuttable.items():
            rng = generator(seed, "rule", name)
            keep = torch.zeros(group.units, dtype=torch.bool)
            low, high = min(group.minimum, group.units), max(group.units, group.minimum + 1)
            count = group.width_near(int(torch.randint(low, high, (1,), generator=rng)))
            keep[torch.randperm(group.units, generator=rng)[:count]] = True
            kept[name] = keep
        yield PruningPlan(kept, Channel(), graph)


def _widths(plan: PruningPlan) -> str:
    return ", ".join(f"{name} {int(keep.sum())}/{len(keep)}" for name, keep in plan.kept.items())
