"""What the library as a whole promises, as checks on any network: S1 to S14.

Every check is a function that raises `AssertionError` with the finding. `SystemContract` runs those that need nothing
but a network; subclass it with networks of your own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from secateur.apply.live_calls import LiveForward
from secateur.apply.masking import Masked, is_masked, mask
from secateur.apply.shrinking import shrink
from secateur.apply.verify import difference, outputs
from secateur.core.budget import Budget
from secateur.core.contracts import Allocation, Batch, Criterion, Granularity
from secateur.core.copying import copied
from secateur.core.errors import BudgetError, IncompatibleError
from secateur.core.example import Example
from secateur.core.groups import ChannelGraph, Role, Slot, is_in
from secateur.core.plan import PruningPlan
from secateur.core.rng import generator
from secateur.evidence import collect
from secateur.files.codec import plan_from_json, plan_to_json
from secateur.granularity import Channel, Layer
from secateur.graph.cost import cost
from secateur.graph.record import plain_operators
from secateur.graph.trace import trace
from secateur.measure.macs import UNCOUNTED_BY_TORCH
from secateur.planning import Constraints, plan, score
from secateur.testing.models import Tiny

TOLERANCE = 1e-9
#: A gradient that is so much smaller than the network's largest may be rounding noise where zero is meant, as that of a
#: bias in front of a norm. Adam divides every gradient by its own size, and would step as far for noise as for others.
_NOISE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A network, traced.

    Attributes:
        model: in eval mode, float64, with strong random weights; checks must not change it.
        graph: its channel graph.
        batches: pairs of inputs and a target that nobody reads.
    """

    model: nn.Module
    graph: ChannelGraph
    batches: tuple[Batch, ...]

    @property
    def examples(self) -> list[Example]:
        """The inputs of the batches, and one batch with one sample more than was traced."""
        found = [Example.of(inputs) for inputs, _ in self.batches]
        return [*found, found[0].map(lambda x: torch.cat([x, x[:1]]))]

    def plan(
        self, criterion: Criterion, granularity: Granularity, budget: Budget, allocation: Allocation
    ) -> PruningPlan:
        """The plan that the library makes."""
        evidence = collect(self.model, self.batches, criterion.needs, graph=self.graph, loss=squared)
        return plan(self.graph, score(self.graph, criterion, evidence, granularity=granularity), budget, allocation)


@cache
def prepare(network: Tiny) -> Prepared:
    """Build and trace a tiny network, once."""
    model = network.build()
    graph = trace(model, network.example(), depth=True)
    return Prepared(model, graph, tuple((network.inputs(seed), None) for seed in range(1, 6)))


def squared(output: Any, _: object = None) -> Tensor:
    """A loss that every output tensor enters: the mean of squares, summed over tensors."""
    return sum((x.square().mean() for x in _tensors(output)), torch.zeros((), dtype=torch.float64))


def random_plan(graph: ChannelGraph, seed: int = 0, granularity: Granularity | None = None) -> PruningPlan:
    """Random units of everything that may be cut, another share in each; channels, if nothing else is named."""
    unit, kept = Channel() if granularity is None else granularity, {}
    for block in unit.blocks(graph):
        rng = generator(seed, "plan", block.name)
        least = max(block.minimum, block.group.minimum if block.group else 0)
        count = int(torch.randint(least, block.units + 1, (1,), generator=rng))
        count = block.group.width_near(count) if block.group else count
        keep = torch.zeros(block.units, dtype=torch.bool)
        keep[torch.randperm(block.units, generator=rng)[:count]] = True
        kept[block.name] = keep
    return PruningPlan(kept, unit, graph)


def check_masked_is_shrunk(model: nn.Module, plan: PruningPlan, examples: Iterable[Example]) -> None:
    """S1: the masked network computes what the shrunk one computes."""
    masked, shrunk = mask(model, plan), shrink(model, plan)
    _check_alike(masked, shrunk, examples, "before training")
    _check_alike(masked, shrink(masked, plan), examples, "shrunk from the masked network")


#: Optimisers of S2 by name.
OPTIMIZERS: Mapping[str, Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9, weight_decay=1e-2),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=1e-2),
}


def check_trains_alike(prepared: Prepared, plan: PruningPlan, optimizer: str, clip: float | None) -> None:
    """S2: five optimiser steps keep masked and shrunk networks alike, in outputs and in every tensor.

    Networks with rescaled weights (`Rescaling`) are the same function too, but in other coordinates, in which an
    optimiser takes other steps; so those groups are left whole here.
    """
    scaled = {name for one in prepared.graph.rescalings for name, _ in one.axis.terms}
    plan = replace(plan, kept={name: keep for name, keep in plan.kept.items() if name not in scaled})
    masked, shrunk = mask(prepared.model, plan), shrink(prepared.model, plan, verify=False)
    for model in (masked, shrunk):
        _train_(model, prepared.batches, optimizer, clip)
    when = f"after training with {optimizer}, clip {clip}"
    baked = shrink(masked, plan).state_dict()
    gaps = {name: difference([baked[name]], [tensor]) for name, tensor in shrunk.state_dict().items()}
    apart = {name: f"{gap:.1e}" for name, gap in gaps.items() if not gap <= TOLERANCE}
    assert not apart, f"tensors differ {when}: {apart}"
    _check_alike(masked, shrunk, prepared.examples, when)


def check_dead_units(model: nn.Module, plan: PruningPlan, examples: Iterable[Example]) -> None:
    """S3: once what consumes them is zero, dead units may hold anything."""
    shrunk = shrink(model, plan, verify=False)
    _check_alike(wake_(mask(model, plan), plan), shrunk, examples, "with noise in dead units")


def check_untouched(model: nn.Module, step: Callable[[], object]) -> None:
    """S4: `step` leaves `model` and the global state as they are, also when it raises."""
    with untouched(model):
        step()


def check_identity(model: nn.Module, graph: ChannelGraph, examples: Iterable[Example]) -> None:
    """S5: a plan that keeps everything changes no bit."""
    before = model.state_dict()
    for unit, empty in ((Channel(), True), (Channel(), False), (Layer(), False)):
        everything = {b.name: torch.ones(b.units, dtype=torch.bool) for b in unit.blocks(graph)}
        for step in (mask, shrink):
            same = step(model, PruningPlan({} if empty else everything, unit, graph))
            _check_same_state(same.state_dict(), before)
            for example in examples:
                pairs = zip(outputs(model, example), outputs(same, example), strict=True)
                assert all(torch.equal(a, b) for a, b in pairs), (
                    f"{step.__name__} changed an output though all was kept"
                )


def check_composes(model: nn.Module, first: PruningPlan, example: Any) -> None:
    """S6: cutting twice is cutting once by both plans."""
    small = shrink(model, first)
    second = random_plan(trace(small, example, depth=first.granularity.modular), 1, first.granularity)
    twice, once = shrink(small, second), shrink(model, first.then(second))
    _check_same_state(twice.state_dict(), once.state_dict())
    _check_alike(twice, once, [Example.of(example)], "cut twice and once")


def check_masks_once(model: nn.Module, plan: PruningPlan, examples: Iterable[Example]) -> None:
    """S7: masking twice is masking once."""
    once = mask(model, plan)
    twice = mask(once, plan)
    _check_same_state(twice.state_dict(), once.state_dict())
    _check_alike(once, twice, examples, "masked once and twice")


def check_budget(
    prepared: Prepared, criterion: Criterion, budget: Budget, allocation: Allocation, multiple: int
) -> None:
    """S8 and S13: the budget is met and leaves no room for one more step; multiples and minima hold."""
    graph = prepared.graph
    evidence = collect(prepared.model, prepared.batches, criterion.needs, graph=graph, loss=squared)
    scores, rules = score(graph, criterion, evidence), Constraints(multiple=multiple)
    try:
        made = plan(graph, scores, budget, allocation, constraints=rules)
    except BudgetError as error:
        reachable = error.reachable
        assert reachable is not None and reachable > budget.keep, (
            f"{budget} was refused, yet {reachable} can be reached"
        )
        budget = Budget(min(reachable * (1 + 1e-9), 1.0), budget.of)
        made = plan(graph, scores, budget, allocation, constraints=rules)
    allowed = budget.keep * cost(graph).of(budget.of) * (1 + 1e-12)
    widths = {name: made.width(name) for name in graph.cuttable}
    spent = cost(graph, widths).of(budget.of)
    assert spent <= allowed, f"{spent} {budget.of} are over {allowed}"
    for name, width in widths.items():
        units = graph.groups[name].units
        assert 1 <= width <= units and width >= graph.groups[name].minimum, f"{name} keeps {width} of {units}"
        assert width % multiple == 0 or width == units, f"{name} keeps {width}, no multiple of {multiple}"
        more = min(width // multiple * multiple + multiple, units)
        dearer = cost(graph, widths | {name: more}).of(budget.of)
        assert more == width or dearer > allowed, f"{name} could keep {more} instead of {width} within {budget}"


def check_budget_of_modules(
    prepared: Prepared, criterion: Criterion, budget: Budget, granularity: Granularity, allocation: Allocation
) -> None:
    """S8 and S13 for whole modules: the budget is met, no module could come back, and the minimum holds."""
    graph = prepared.graph
    block = granularity.blocks(graph)[0]
    try:
        made = prepared.plan(criterion, granularity, budget, allocation)
    except BudgetError as error:
        reachable = error.reachable
        assert reachable is not None and reachable > budget.keep, f"{budget} was refused, yet {reachable} is reachable"
        budget = Budget(min(reachable * (1 + 1e-9), 1.0), budget.of)
        made = prepared.plan(criterion, granularity, budget, allocation)

    def spent(removed: tuple[str, ...]) -> int:
        return block.units - len(removed) if budget.of == "units" else cost(graph.without(removed)).of(budget.of)

    allowed = budget.keep * spent(()) * (1 + 1e-12)
    assert spent(made.removed) <= allowed, f"{spent(made.removed)} {budget.of} are over {allowed}"
    assert made.width(block.name) >= block.minimum
    for name in made.removed if allocation.fills else ():
        fewer = tuple(other for other in made.removed if other != name)
        assert spent(fewer) > allowed, f"{name} could stay within {budget}"


def check_written_and_read(plan: PruningPlan) -> None:
    """S9: a plan survives JSON, and refuses a model of another structure."""
    again = plan_from_json(plan_to_json(plan))
    assert again == plan and again.digest() == plan.digest() and again.provenance == plan.provenance
    try:
        mask(nn.Linear(1, 1), plan)
    except IncompatibleError:
        return
    raise AssertionError("a plan was applied to a model of another structure")


def check_cost(model: nn.Module, plan: PruningPlan, example: Example) -> None:
    """S10: the predicted cost of a cut is the measured one, to the integer."""
    shrunk = shrink(model, plan, verify=False)
    predicted, found = cost(plan.left, plan.graph.widths(plan.channels)), measured(shrunk, example)
    assert (predicted.macs, predicted.params, predicted.weights) == found, f"predicted {predicted}, measured {found}"


def check_clean(model: nn.Module, plan: PruningPlan, example: Example) -> None:
    """S11: the shrunk network is of the same classes under the same paths, holds nothing of ours, and can be saved.

    Of modules that go as a whole nothing is left but an identity.
    """
    for shrunk in (shrink(model, plan), shrink(mask(model, plan), plan)):
        assert not is_masked(shrunk)
        names = [name for name in model.state_dict() if not is_in(name, plan.removed)]
        assert list(shrunk.state_dict()) == names, "names in the state changed"
        assert _kinds(shrunk, plan.removed) == _kinds(model, plan.removed), "a module changed class, path or attributes"
        assert all(type(shrunk.get_submodule(name)) is nn.Identity for name in plan.removed)
        _check_same_ties(model, shrunk)
        other = copied(shrunk)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.zero_()
        other.load_state_dict(shrunk.state_dict(), strict=True)
        _check_alike(shrunk, other, [example], "saved and loaded")


def check_pinned(model: nn.Module, plan: PruningPlan) -> None:
    """S14: pinned groups say why, and keep every unit."""
    shrunk = dict(shrink(model, plan).named_parameters())
    for name, group in plan.graph.groups.items():
        if group.pinned:
            assert name not in plan.kept, f"{name} is pinned and yet in the plan"
            whys = ("operator ", "output of the model", "not used", "one unit only")
            assert any(why in group.pinned for why in whys), f"{name} is pinned because {group.pinned!r}"
            for slot in group.slots:
                assert slot.tensor not in shrunk or shrunk[slot.tensor].shape[slot.dim] >= group.units, slot.tensor


class SystemContract:
    """S1 to S7, S9 to S11 and S14 on one network. Subclass it, and parametrise `network` or define it as a fixture."""

    def test_masked_is_shrunk(self, network: Tiny) -> None:
        """S1, for three plans."""
        for prepared, made in _random_plans(network, 3):
            check_masked_is_shrunk(prepared.model, made, prepared.examples)

    def test_trains_alike(self, network: Tiny) -> None:
        """S2, for two optimisers, with clipping and without."""
        for prepared, made in _random_plans(network, 1):
            for optimizer in OPTIMIZERS:
                for clip in (None, 0.1):
                    check_trains_alike(prepared, made, optimizer, clip)

    def test_dead_units(self, network: Tiny) -> None:
        """S3, for three plans."""
        for prepared, made in _random_plans(network, 3):
            check_dead_units(prepared.model, made, prepared.examples)

    def test_untouched(self, network: Tiny) -> None:
        """S4, for every step of the line, in training mode and with gradients around."""
        prepared = prepare(network)
        model = copied(prepared.model).train()
        squared(prepared.examples[0].call(model)).backward()
        made = random_plan(prepared.graph)
        check_untouched(model, lambda: trace(model, network.example()))
        check_untouched(model, lambda: mask(model, made))
        check_untouched(model, lambda: shrink(model, made))
        shallow = random_plan(prepared.graph, granularity=Layer())
        check_untouched(model, lambda: (mask(model, shallow), shrink(model, shallow)))
        masked = mask(model, made)
        check_untouched(masked, lambda: (mask(masked, made), shrink(masked, made)))

    def test_identity(self, network: Tiny) -> None:
        """S5."""
        prepared = prepare(network)
        check_identity(prepared.model, prepared.graph, prepared.examples)

    def test_composes(self, network: Tiny) -> None:
        """S6."""
        for prepared, made in _random_plans(network, 1):
            check_composes(prepared.model, made, network.example())

    def test_masks_once(self, network: Tiny) -> None:
        """S7."""
        for prepared, made in _random_plans(network, 1):
            check_masks_once(prepared.model, made, prepared.examples)

    def test_written_and_read(self, network: Tiny) -> None:
        """S9."""
        for _, made in _random_plans(network, 1):
            check_written_and_read(made)

    def test_cost(self, network: Tiny) -> None:
        """S10, for three plans and the whole network."""
        for prepared, made in _random_plans(network, 3):
            example = Example.of(network.example())
            check_cost(prepared.model, made, example)
            check_cost(prepared.model, replace(made, kept={}), example)

    def test_clean(self, network: Tiny) -> None:
        """S11."""
        for prepared, made in _random_plans(network, 1):
            check_clean(prepared.model, made, prepared.examples[0])

    def test_pinned(self, network: Tiny) -> None:
        """S14."""
        for prepared, made in _random_plans(network, 1):
            check_pinned(prepared.model, made)


def _random_plans(network: Tiny, count: int) -> Iterator[tuple[Prepared, PruningPlan]]:
    """Plans of channels, and of residual blocks where there are any."""
    prepared = prepare(network)
    for unit in (Channel(), Layer()):
        for seed in range(count if unit.blocks(prepared.graph) else 0):
            yield prepared, random_plan(prepared.graph, seed, unit)


def measured(model: nn.Module, example: Example) -> tuple[int, int, int]:
    """Multiply-accumulates, parameters and weights of a network as PyTorch counts them."""
    counter = FlopCounterMode(display=False, custom_mapping=UNCOUNTED_BY_TORCH)
    with torch.no_grad(), plain_operators(), counter:
        example.map(torch.clone).call(model)
    parameters = list(model.parameters())
    weights = sum(p.numel() for p in parameters if p.ndim > 1)
    return counter.get_total_flops() // 2, sum(p.numel() for p in parameters), weights


def wake_(masked: nn.Module, plan: PruningPlan) -> nn.Module:
    """Take the masks off in place, keep consumers zero, and write noise into all else that dead units hold.

    Groups that meet themselves in a product of two activations are left alone: there, dead units must be silent. In
    modules that go as a whole nothing but norm statistics may hold anything.
    """
    for module in list(masked.modules()):
        chains = getattr(module, "parametrizations", {})
        for leaf in [leaf for leaf, chain in chains.items() if isinstance(chain[0], Masked)]:
            parametrize.remove_parametrizations(module, leaf, leave_parametrized=True)
    parameters = dict(masked.named_parameters())
    slots = [(s, ~keep) for name, keep in plan.channels.items() for s in _loud(plan.graph, name)]
    with torch.no_grad():
        for name, buffer in masked.named_buffers():
            if is_in(name, plan.removed) and name.rpartition(".")[2].startswith("running_"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator(0, name)))
        for slot, dead in slots:
            if slot.tensor in parameters and slot.role is not Role.CONSUMES:
                view = parameters[slot.tensor].movedim(slot.dim, 0)
                entries = slot.index[dead].flatten()
                view[entries] = torch.randn(view[entries].shape, generator=generator(0, slot.tensor)).to(view)
        for slot, dead in slots:
            if slot.tensor in parameters and slot.role is Role.CONSUMES:
                parameters[slot.tensor].movedim(slot.dim, 0)[slot.index[dead].flatten()] = 0
    return masked


def _loud(graph: ChannelGraph, name: str) -> tuple[Slot, ...]:
    """The slots of a group, none if activations are multiplied by activations along it, or its weights are computed."""
    slots = graph.groups[name].slots
    if any(".parametrizations." in f".{s.tensor}" for s in slots):  # a norm may count what a dead unit holds
        return ()
    bare = [op for op in graph.ops if op.weight not in graph.tensors]
    silent = {group for op in bare for axis in op.loops for group, _ in axis.terms}
    return () if name in silent else slots


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Assert on leaving, by error or not, that nothing about `model` or the global random state has changed."""
    before = _snapshot(model)
    try:
        yield
    finally:
        after = _snapshot(model)
        changed = sorted(k for k in {*before, *after} if not _same(before.get(k), after.get(k)))
        assert not changed, f"changed: {', '.join(changed[:5])}"


def _snapshot(model: nn.Module) -> dict[str, Any]:
    seen: dict[str, Any] = {
        "torch.rng": torch.get_rng_state(),
        "numpy.rng": str(np.random.get_state()),  # noqa: NPY002  the global state is what is watched
        "python.rng": random.getstate(),
        "grad mode": torch.is_grad_enabled(),
        "fast path": torch.backends.mha.get_fastpath_enabled(),
    }
    for name, x in [*model.named_parameters(), *model.named_buffers()]:
        seen[f"{name} object"] = (id(x), x._version, x.requires_grad, id(x.grad))  # noqa: SLF001  the version counts writes
        seen[name] = x.detach().clone()
        seen[f"{name}.grad"] = None if x.grad is None else x.grad.clone()
    for path, module in model.named_modules(remove_duplicate=False):
        own = [key for key in vars(type(module)) if not key.startswith("__")]  # `copy` leaves notes under such names
        seen[f"{path} class"] = (id(type(module)), sorted(own))
        for key, value in vars(module).items():
            seen[f"{path}.{key}"] = repr(sorted(value)) if isinstance(value, dict) else value
    return seen


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.equal(a, b)
    return type(a) is type(b) and bool(a == b)


def _train_(model: nn.Module, batches: Iterable[Batch], optimizer: str, clip: float | None) -> None:
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    stepper = OPTIMIZERS[optimizer](model.parameters())
    for inputs, _ in batches:
        stepper.zero_grad()
        squared(Example.of(inputs).call(model)).backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        if optimizer.startswith("adam"):
            _still_noise_([p.grad for p in model.parameters() if p.grad is not None])
        stepper.step()
    model.eval()


def _still_noise_(gradients: list[Tensor]) -> None:
    largest = max((float(g.abs().max()) for g in gradients if g.numel()), default=0.0)
    for gradient in gradients:
        gradient[gradient.abs() < _NOISE * largest] = 0


def _tensors(output: Any) -> list[Tensor]:
    return [x for x in tree_leaves(output) if isinstance(x, Tensor)]


def _check_alike(a: nn.Module, b: nn.Module, examples: Iterable[Example], when: str) -> None:
    for example in examples:
        gap = difference(outputs(a, example), outputs(b, example))
        assert gap <= TOLERANCE, f"outputs differ by {gap:.1e} {when}"


def _check_same_state(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> None:
    assert list(a) == list(b), f"names differ: {sorted(set(a) ^ set(b))}"
    for name, tensor in a.items():
        assert torch.equal(tensor, b[name]), f"{name} differs"


def _check_same_ties(model: nn.Module, shrunk: nn.Module) -> None:
    for a, b in zip(_ties(model), _ties(shrunk), strict=True):
        assert a == b, f"tied parameters {a} became {b}"


def _ties(model: nn.Module) -> list[list[str]]:
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return list(names.values())


def _kinds(model: nn.Module, removed: tuple[str, ...] = ()) -> list[Any]:
    """Path, class, attribute names and number of hooks of every module outside `removed`."""
    ours = (Masked, LiveForward)
    found = []
    for path, module in model.named_modules():
        assert not isinstance(module, ours), f"{path} is a {type(module).__name__}"
        if is_in(path, removed):
            continue
        hooks = sum(len(v) for k, v in vars(module).items() if k.endswith("hooks"))
        found.append((path, type(module), sorted(vars(module)), hooks))
    return found


__all__ = [
    "OPTIMIZERS",
    "TOLERANCE",
    "Prepared",
    "SystemContract",
    "check_budget",
    "check_budget_of_modules",
    "check_clean",
    "check_composes",
    "check_cost",
    "check_dead_units",
    "check_identity",
    "check_masked_is_shrunk",
    "check_masks_once",
    "check_pinned",
    "check_trains_alike",
    "check_untouched",
    "check_written_and_read",
    "measured",
    "prepare",
    "random_plan",
    "squared",
    "untouched",
    "wake_",
]
