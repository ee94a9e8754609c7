"""Session: masks, schedule and regulariser of a recipe at work in anyone's training loop."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch import distributed as dist

from secateur.apply.masking import (
    Masked,
    SoftMasked,
    is_masked,
    mask_,
    masks_by_name,
    masks_of,
    parameters_of,
    remask_,
    unmask_,
)
from secateur.core.budget import Budget
from secateur.core.contracts import Batches, ElementCriterion, Loss, Traits
from secateur.core.copying import copied
from secateur.core.errors import BudgetError, IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.groups import ChannelGraph, Role
from secateur.core.moment import Moment
from secateur.core.plan import PruningPlan
from secateur.core.recipe import Recipe
from secateur.core.rng import generator
from secateur.core.scores import Scope
from secateur.evidence import Weight, collect, cross_entropy
from secateur.files import plan_from_json, plan_to_json
from secateur.planning import Constraints, decide
from secateur.planning.reached import with_reached
from secateur.training.moments import silence_moments_


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What criteria that look at data may look at.

    Attributes:
        batches: `(inputs, target)` pairs.
        loss: `(output, target) -> scalar`.
        limit: most batches.
    """

    batches: Batches | None = None
    loss: Loss = cross_entropy
    limit: int | None = 32


class Session:
    """What a recipe does while a network trains: revise masks, charge the loss, keep optimiser and masks in step.

    Use it in your own loop:

        with Session(model, optimizer, recipe, graph=graph, steps=steps) as session:
            for inputs, target in loader:
                loss = criterion(model(inputs), target) + session.penalty()
                loss.backward()              # clip, accumulate, scale as you like
                optimizer.step()
                session.step()               # once for every optimizer.step(), before gradients are thrown away
                optimizer.zero_grad()
            session.epoch()                  # at the end of every walk through the data

    Entering it masks `model` in place, if the recipe has a surgery; leaving it makes soft masks hard. `session.plan`
    is then what was decided: `shrink(model, session.plan)` is the network to ship. A surgery that holds no masks leaves
    the network as it trained it, so that repairs can look at what dead units still say: mask it, repair it, ship it.

    Under `torch.distributed`, open it before the model is wrapped: what rank 0 decides holds everywhere.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        *,
        graph: ChannelGraph,
        steps: int,
        constraints: Constraints | None = None,
        calibration: Calibration | None = None,
        seed: int = 0,
    ) -> None:
        """Prepare; nothing is changed before the session is entered.

        Args:
            model: the network in training, not masked yet.
            optimizer: of its parameters.
            recipe: budget, criterion, granularity, allocation, schedule, surgery and regulariser are used.
            graph: `trace(model, example_inputs)`.
            steps: optimiser steps in all.
            constraints: multiples, frozen blocks.
            calibration: data and loss, for criteria that need any.
            seed: for everything random.

        Raises:
            IncompatibleError: the model is masked already, or `steps` is not positive.
            BudgetError: the recipe has a surgery and no budget; one that is out of reach is told on entering.
        """
        if is_masked(model):
            raise IncompatibleError(
                "the model is masked already, and a session brings masks of its own. Pass the network before mask()."
            )
        if steps < 1:
            raise IncompatibleError(f"steps must be 1 or more, got steps={steps!r}. It is optimiser steps in all.")
        self.recipe, self.graph, self.model, self.optimizer = recipe, graph, model, optimizer
        self.budget = recipe.budget
        if recipe.surgery is not None and self.budget is None:
            raise BudgetError("the recipe names no budget. Give it one: replace(recipe, budget=Budget('0.1 weights')).")
        if recipe.surgery is not None and recipe.granularity.modular:
            raise IncompatibleError(
                f"{recipe.surgery!r} masks while it trains, and {recipe.granularity!r} takes whole modules out. "
                "Use channels, heads or weights."
            )
        self.plan: PruningPlan | None = None
        self._constraints, self._calibration = constraints or Constraints(), calibration or Calibration()
        self._steps, self._step = steps, 0
        self._generator = generator(seed, "session")
        self._memory: dict[str, dict[str, Tensor]] = {"surgery": {}, "regularizer": {}}
        self._parameters: Mapping[str, nn.Parameter] = {}
        self._dense = _DenseGradients()
        self._attached: AbstractContextManager[None] = nullcontext()
        self._added: list[nn.Parameter] = []
        self._state: Mapping[str, Any] | None = None

    @classmethod
    def waiting(
        cls,
        model: nn.Module,
        recipe: Recipe,
        *,
        graph: ChannelGraph,
        steps: int,
        calibration: Calibration | None = None,
        seed: int = 0,
    ) -> Self:
        """A session, entered, whose optimiser is yet to be made: set `session.optimizer` before the first step.

        For trainers that make an optimiser of what the model holds, so that masks and gates must be there already. The
        arguments are those of the constructor; it raises the same errors.
        """
        stand_in = torch.optim.SGD(model.parameters(), lr=0.0)  # it has no moments that anyone could miss
        made = cls(model, stand_in, recipe, graph=graph, steps=steps, calibration=calibration, seed=seed)
        return made.__enter__()

    def __enter__(self) -> Self:
        try:
            self._enter_()
        except BaseException:  # the user's model and optimiser stay what they were
            self._leave_()
            raise
        return self

    def _enter_(self) -> None:
        recipe = self.recipe
        if recipe.surgery is not None and self.budget is not None:  # a budget out of reach is told now, not in hours
            weights = {n: p.detach() for n, p in parameters_of(self.model).items()}
            self._decide(self.budget.keep, saliency=weights)
        _share(self._generator, self.model)
        if recipe.regularizer is not None:
            known = set(self.model.parameters())
            attached = recipe.regularizer.attach(self.model, self.graph)
            attached.__enter__()
            self._attached = attached
            self._added = [p for p in self.model.parameters() if p not in known]
            if self._added:
                self.optimizer.add_param_group({"params": self._added, "weight_decay": 0.0})
        if recipe.surgery is not None and recipe.surgery.holds:
            self._mask_everything_()
        self._parameters = parameters_of(self.model)
        if self._state is not None:
            self.restore_(self._state)
        else:
            if recipe.surgery is not None and (first := recipe.surgery.start(self._moment("surgery"))) is not None:
                self._put_in_force_(first)
            if recipe.regularizer is not None:
                recipe.regularizer.start(self._moment("regularizer"))
        self._listen_()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave_()
        if self.plan is None or self.recipe.surgery is None or self.budget is None:
            return
        self.plan = with_reached(self.plan, self.budget.of)
        if self.recipe.surgery.holds:
            mask_(self.model, self.plan)
            self._silence_moments_()

    def _leave_(self) -> None:
        """Take off hooks, masks and what a regulariser attached, from the optimiser too."""
        self._dense.close()
        unmask_(self.model)
        self._attached.__exit__(None, None, None)
        self._attached = nullcontext()
        gone = set(self._added)
        groups = self.optimizer.param_groups
        groups[:] = [group for group in groups if not gone or not gone.issuperset(group["params"])]
        for parameter in self._added:
            self.optimizer.state.pop(parameter, None)

    def penalty(self) -> Tensor:
        """What to add to the loss: a scalar, zero if no regulariser charges the loss."""
        if self.recipe.regularizer is None or self.recipe.regularizer.takes:
            return torch.zeros((), device=next(self.model.parameters()).device)
        return self.recipe.regularizer.penalty(self._moment("regularizer"))

    def step(self) -> None:
        """Call once after every `optimizer.step()`, before gradients are thrown away."""
        self._step += 1
        self._act(ended=False)
        self._dense.clear()

    def epoch(self) -> None:
        """Call at the end of every walk through the data."""
        self._act(ended=True)

    def _act(self, *, ended: bool) -> None:
        charge, surgery = self.recipe.regularizer, self.recipe.surgery
        if charge is not None:
            (charge.after_epoch if ended else charge.after_step)(self._moment("regularizer", ended=ended))
        if surgery is not None:
            at = self._moment("surgery", ended=ended)
            if not ended:
                surgery.watch(at)
            if surgery.due(at):
                self._put_in_force_(surgery.revise(at))
        if not ended:
            self._listen_()

    def state_dict(self) -> dict[str, Any]:
        """Everything that a checkpoint needs beside model and optimiser: plan, memory, position, random state."""
        return {
            "step": self._step,
            "plan": plan_to_json(self.plan) if self.plan is not None else "",
            "memory": {part: dict(tensors) for part, tensors in self._memory.items()},
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict()`. Call it before the session is entered; load model and optimiser after that."""
        self._state = state

    def restore_(self, state: Mapping[str, Any]) -> None:
        """Go to where `state_dict()` was taken, in a session that is entered already."""
        self._step = int(state["step"])
        self._memory = {part: dict(tensors) for part, tensors in state["memory"].items()}
        self._generator.set_state(state["generator"])
        if state["plan"]:
            self.plan = plan_from_json(str(state["plan"]))
            if is_masked(self.model):
                remask_(self.model, self.plan)

    @property
    def taken(self) -> int:
        """Optimiser steps taken."""
        return self._step

    def _moment(self, part: str, *, ended: bool = False) -> Moment:
        final, second = self.budget.keep if self.budget is not None else 1.0, self.optimizer.state
        parameters = self._parameters
        return Moment(
            model=self.model,
            graph=self.graph,
            parameters=parameters,
            generator=self._generator,
            step=self._step,
            steps=self._steps,
            ended=ended,
            lr=float(self.optimizer.param_groups[0]["lr"]),
            budget=self.budget,
            keep=lambda t: self.recipe.schedule.keep(t, final),
            plan=self.plan,
            memory=self._memory[part],
            dense=self._dense.by_name(),
            second={n: second[p]["exp_avg_sq"] for n, p in parameters.items() if "exp_avg_sq" in second.get(p, {})},
            decide=self._decide,
        )

    def _decide(self, keep: float, *, saliency: Mapping[str, Tensor] | None = None, again: bool = False) -> PruningPlan:
        recipe, unit = self.recipe, self.budget.of if self.budget is not None else "macs"
        within = None if again else self.plan
        criterion = recipe.criterion if saliency is None else _Given()
        evidence = (
            Evidence({Weight: {name: value.detach() for name, value in saliency.items()}})
            if saliency is not None
            else self._evidence()
        )
        return decide(
            self.graph,
            criterion,
            evidence,
            Budget(keep, unit),
            recipe.allocation,
            granularity=recipe.granularity,
            constraints=replace(self._constraints, within=within),
        )

    def _evidence(self) -> Evidence:
        """What the recipe's criterion needs, about the network as it is now, without masks."""
        needs = self.recipe.criterion.needs
        if set(needs) <= {Weight}:  # nothing has to be run, and a copy of the network would be all that it costs
            return Evidence({Weight: {n: p.detach().clone() for n, p in self._parameters.items()}})
        self._dense.close()  # or hooks would be copied along; they come back before the next step
        plain = unmask_(copied(self.model))
        how = self._calibration
        return collect(plain, how.batches, needs, graph=self.graph, loss=how.loss, limit=how.limit)

    def _mask_everything_(self) -> None:
        """Mask, for now with ones, every parameter that a plan of this granularity may silence."""
        surgery, unit = self.recipe.surgery, self.recipe.granularity
        everything: dict[str, Tensor] = {}
        for block in unit.blocks(self.graph):
            for name, keep in unit.expand(self.graph, block, torch.zeros(block.units, dtype=torch.bool)).items():
                everything[name] = torch.ones_like(keep)
        kind = SoftMasked if surgery is not None and surgery.straight_through else Masked
        mask_(self.model, PruningPlan({}, unit, self.graph), masks=everything, kind=kind)

    def _put_in_force_(self, plan: PruningPlan) -> None:
        surgery = self.recipe.surgery
        assert surgery is not None
        for keep in plan.kept.values():
            _broadcast_(keep, self.model)
        held = surgery.holds and self.plan is not None and _equal(plan, self.plan)
        self.plan = plan
        if held:  # as most revisions of whole channels say: masks and moments are what they should be
            return
        if not surgery.holds:
            _silence_producers_(self.model, self.plan, self.optimizer)
            return
        remask_(self.model, self.plan)
        if not surgery.straight_through:
            self._silence_moments_()

    def _silence_moments_(self) -> None:
        parameters = parameters_of(self.model)
        silence_moments_(self.optimizer, {parameters[n]: keep for n, keep in masks_of(self.model).items()})

    def _listen_(self) -> None:
        """Before a step after which masks are revised, keep the gradients of masked entries as well."""
        surgery = self.recipe.surgery
        if surgery is not None and surgery.dense_gradients and not surgery.straight_through:
            ahead = replace(self._moment("surgery"), step=self._step + 1)
            self._dense.listen(self.model, on=surgery.due(ahead))


def _equal(plan: PruningPlan, other: PruningPlan) -> bool:
    """Whether both keep the same of the same blocks."""
    same = plan.kept.keys() == other.kept.keys()
    return same and all(torch.equal(keep, other.kept[name]) for name, keep in plan.kept.items())


class _Given(ElementCriterion):
    """Scores that a surgery brings along."""

    needs = (Weight,)
    traits = Traits(zero_is_least=False, comparable=Scope.GLOBAL)

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """What was given."""
        return evidence[Weight][tensor]

    def __repr__(self) -> str:
        return "scores of the surgery"


class _DenseGradients:
    """Keeps the gradients of masked weights before the mask silences them, while it is told to."""

    def __init__(self) -> None:
        self._found: dict[str, Tensor] = {}
        self._hooks: list[Any] = []

    def listen(self, model: nn.Module, *, on: bool) -> None:
        """Start or stop listening to every mask of `model`."""
        self.close()
        if on:
            for name, parts in masks_by_name(model).items():  # what a tied weight gets in all its places adds up
                self._hooks += [mask.register_forward_hook(self._keeper(name)) for mask in parts]

    def _keeper(self, name: str) -> Any:
        def keep(gradient: Tensor) -> None:
            self._found[name] = self._found[name] + gradient if name in self._found else gradient.clone()

        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            if output.requires_grad:
                output.register_hook(keep)

        return hook

    def by_name(self) -> dict[str, Tensor]:
        """Gradients by parameter name, summed over the backward passes since the last step."""
        return dict(self._found)

    def clear(self) -> None:
        """Forget the gradients."""
        self._found.clear()

    def close(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()


def _silence_producers_(model: nn.Module, plan: PruningPlan, optimizer: torch.optim.Optimizer) -> None:
    """Zero what makes the units that go, once; what consumes them stays, or no gradient could ever wake them."""
    parameters = parameters_of(model)
    if not plan.is_structured or plan.granularity.modular:
        masks = {parameters[name]: keep for name, keep in plan.masks().items()}
    else:
        masks = {}
        for name, keep in plan.channels.items():
            for slot in plan.graph.groups[name].slots_with(Role.PRODUCES):
                whole = torch.ones(parameters[slot.tensor].shape, dtype=torch.bool)
                masks[parameters[slot.tensor]] = whole.index_fill(slot.dim, slot.index[~keep].flatten(), False)
    with torch.no_grad():
        for parameter, keep in masks.items():
            parameter.mul_(keep.to(parameter))
    silence_moments_(optimizer, masks)


def _share(drawn: torch.Generator, model: nn.Module) -> None:
    """The same random numbers on all ranks, or they would not even agree on when to decide."""
    state = drawn.get_state()
    _broadcast_(state, model)
    drawn.set_state(state)


def _broadcast_(tensor: Tensor, model: nn.Module) -> None:
    """What rank 0 has, in place, where several processes train together; their last bits may differ otherwise."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        shared = tensor.to(next(model.parameters()).device, torch.uint8)  # some backends speak of their device only
        dist.broadcast(shared, 0)
        tensor.copy_(shared)
