"""`compress`: the whole line, from a trained model to a verified, measured, smaller one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from operator import length_hint
from pathlib import Path
from typing import Any

import torch
from torch import nn

from secateur.apply.masking import mask, unmask_
from secateur.apply.shrinking import shrink
from secateur.comparison import compare
from secateur.core.budget import Budget
from secateur.core.contracts import Batches, Collector, Known, Loss, Progress, Quality
from secateur.core.copying import copied
from secateur.core.errors import BudgetError, MissingEvidenceError
from secateur.core.evidence import Evidence
from secateur.core.groups import ChannelGraph
from secateur.core.plan import PruningPlan
from secateur.core.recipe import FineTune, Recipe
from secateur.core.report import CompressionReport
from secateur.criteria import Random
from secateur.distill import Distill, taught
from secateur.evidence import collect, cross_entropy
from secateur.files import plan_from_json, plan_to_json
from secateur.graph.trace import trace
from secateur.methods import recipe as named_recipe
from secateur.planning import Constraints, decide, plan, score
from secateur.planning.check import check
from secateur.training import Calibration, Checkpoint, Session, train_


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """What `compress` returns.

    Attributes:
        model: the shrunk network, ready to ship.
        masked: the same function in the original shapes.
        plan: what was kept.
        report: what it cost before and after.
    """

    model: nn.Module
    masked: nn.Module
    plan: PruningPlan
    report: CompressionReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a recipe is carried out; none of it changes what the recipe means.

    Attributes:
        loss: `(output, target) -> scalar`.
        train: your own training of the masked network, in place of the recipe's fine-tuning; any loop will do.
        distill: fine-tuning also follows the network as it came, if this says how.
        constraints: multiples, frozen blocks.
        calibration: most batches used for collecting evidence.
        runtimes: where latency is measured: "torch", "onnxruntime"; empty for none.
        checkpoint: file that training saves its state in, half a minute apart; None saves nothing.
        resume: go on from that file, if it is there. The result is the one of a run that was never interrupted.
        progress: called as `(what, done, total)`.
    """

    loss: Loss = cross_entropy
    train: Callable[[nn.Module], object] | None = None
    distill: Distill | None = None
    constraints: Constraints = field(default_factory=Constraints)
    calibration: int = 32
    runtimes: tuple[str, ...] = ("torch",)
    checkpoint: Path | None = None
    resume: bool = False
    progress: Progress | None = None


def compress(
    model: nn.Module,
    recipe: str | Recipe,
    *,
    example_inputs: Any,
    budget: Budget | str | None = None,
    data: Batches | None = None,
    quality: Quality | None = None,
    seed: int = 0,
    run: Run | None = None,
) -> Compressed:
    """Make `model` smaller by a recipe, prove that nothing else changed, and measure.

    Without data, a data-free recipe prunes once and trains nothing.

    Args:
        model: a trained network; it is left exactly as it was.
        recipe: a name from `secateur list recipes`, or a `Recipe`.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments.
        budget: what may remain, `"0.5 macs"` or a `Budget`; the recipe's own by default.
        data: `(inputs, target)` batches that can be walked through more than once (a list, a DataLoader).
        quality: `model -> figure(s)`, higher is better, measured before and after.
        seed: for everything random; the global random state is put back afterwards.
        run: loss, constraints, progress.

    Returns:
        The shrunk network, the masked one, the plan and the report.

    Raises:
        UnknownNameError: no such recipe.
        BudgetError: the budget is malformed, missing or out of reach.
        MissingEvidenceError: the recipe needs data and there is none.
        TraceError: the model does not run on the example inputs.
        UnsupportedError: nothing may be cut.
        VerificationError: masked and shrunk networks would differ.
    """
    how = named_recipe(recipe) if isinstance(recipe, str) else recipe
    settings = run or Run()
    target = Budget(budget) if isinstance(budget, str) else budget or how.budget
    _check(how, target, data)
    assert target is not None
    graph = trace(model, example_inputs, heads=how.granularity.heads, depth=how.granularity.modular)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        job = _Job(
            _seeded(how, seed),
            model,
            graph,
            target,
            data,
            settings,
            seed,
            _checkpoint(how, graph, target, settings, seed),
        )
        masked, decision = job.prune(model)
        small = shrink(masked, decision)
    report = compare(
        model,
        small,
        example_inputs,
        plan=decision,
        masked=masked,
        recipe=how,
        quality=quality,
        runtimes=settings.runtimes,
    )
    return Compressed(model=small, masked=masked, plan=decision, report=report)


def _check(how: Recipe, target: Budget | None, data: Batches | None) -> None:
    check(how.criterion, how.granularity)
    if target is None:
        raise BudgetError("neither compress() nor the recipe names a budget. Pass budget='0.5 macs'.")
    if data is None and not how.data_free:
        raise MissingEvidenceError(
            f"the recipe needs data ({how.criterion!r}, {how.regularizer!r}) and none was given. "
            "Pass data=, an iterable of (inputs, target) batches, or use a data-free recipe such as 'li2017'."
        )


def _seeded(how: Recipe, seed: int) -> Recipe:
    """The recipe with the run's seed in its criterion, if that has one."""
    if not hasattr(how.criterion, "seed"):
        return how
    return replace(how, criterion=replace(how.criterion, seed=seed))  # type: ignore[type-var]  # criteria are dataclasses


def _checkpoint(how: Recipe, graph: ChannelGraph, target: Budget, settings: Run, seed: int) -> Checkpoint | None:
    """The file to save in, which goes with everything that the result depends on but the data."""
    if settings.checkpoint is None:
        return None
    work = (
        f"{how!r}, {target!r}, {settings.constraints!r}, {settings.distill!r}, seed {seed}, network {graph.fingerprint}"
    )
    return Checkpoint(settings.checkpoint, work, resume=settings.resume)


@dataclass(frozen=True, slots=True)
class _Job:
    """A recipe at work on one network.

    Attributes:
        how: the recipe.
        dense: the network as it came, which teaches.
        graph: structure of the network.
        budget: what may remain.
        data: batches, if there are any.
        settings: how to carry it out.
        seed: for everything random.
        checkpoint: where training saves its state.
    """

    how: Recipe
    dense: nn.Module
    graph: ChannelGraph
    budget: Budget
    data: Batches | None
    settings: Run
    seed: int
    checkpoint: Checkpoint | None

    def prune(self, model: nn.Module) -> tuple[nn.Module, PruningPlan]:
        """The masked network and what was decided."""
        trains = self.data is not None or self.settings.train is not None
        if trains:
            self._rehearse(model)
        dense, early, decision = self._sparsified(model)
        if decision is not None:
            decision = self._within_budget(dense, decision)
            return self._mended(dense, mask(unmask_(copied(dense)), decision), decision), decision
        rounds = self.how.schedule.rounds if trains or not self.how.schedule.trains else 1
        decision, first = self._resumed(rounds)
        masked = dense
        for number in range(first, rounds + 1):
            again = self.checkpoint is not None and self.checkpoint.of(self._stage(number, rounds)) is not None
            if not again:
                share = (
                    self.budget.keep if number == rounds else self.how.schedule.keep(number / rounds, self.budget.keep)
                )
                evidence = self._evidence(dense)
                decision = self._decided(evidence, share, decision)
                masked = mask(dense if early is None else early, decision)
                self._repair_(masked, dense, decision, evidence)
            else:
                assert decision is not None
                masked = mask(dense, decision)
            if self.how.schedule.trains or number == rounds:
                self._note(decision, number)
                self._train_(masked, self._stage(number, rounds))
            dense = unmask_(copied(masked))
        assert decision is not None
        return masked, decision

    def _resumed(self, rounds: int) -> tuple[PruningPlan | None, int]:
        """The last decision and the round to go on in."""
        notes = {} if self.checkpoint is None else self.checkpoint.notes
        if "round" not in notes:
            return self.settings.constraints.within, 1
        return plan_from_json(str(notes["plan"])), min(int(notes["round"]), rounds)

    def _note(self, decision: PruningPlan, number: int) -> None:
        """What a run that is started again must know of this round."""
        if self.checkpoint is not None:
            self.checkpoint.notes |= {"round": number, "plan": plan_to_json(decision)}

    def _stage(self, number: int, rounds: int) -> str:
        once = rounds == 1 or not self.how.schedule.trains
        return "fine-tune" if once else f"fine-tune {number}/{rounds}"

    def _decided(self, evidence: Evidence, share: float, before: PruningPlan | None) -> PruningPlan:
        return decide(
            self.graph,
            self.how.criterion,
            evidence,
            Budget(share, self.budget.of),
            self.how.allocation,
            granularity=self.how.granularity,
            constraints=replace(self.settings.constraints, within=before),
            seed=self.seed,
        )

    def _within_budget(self, dense: nn.Module, decision: PruningPlan) -> PruningPlan:
        """What a surgery left, and less where that is more than may remain: thresholds know of no budget."""
        if decision.provenance.reached <= self.budget.keep * (1 + 1e-9):
            return decision
        return self._decided(self._evidence(unmask_(copied(dense))), self.budget.keep, decision)

    def _mended(self, dense: nn.Module, masked: nn.Module, decision: PruningPlan) -> nn.Module:
        """What a surgery left, repaired and fine-tuned."""
        if self.checkpoint is None or self.checkpoint.of("fine-tune") is None:
            needs = [need for repair in self.how.repair for need in repair.needs]
            before = unmask_(copied(dense))
            evidence = collect(before, self.data, needs, graph=self.graph, loss=self.settings.loss)
            self._repair_(masked, before, decision, evidence)
        self._note(decision, 1)
        self._train_(masked, "fine-tune")
        return masked

    def _repair_(self, masked: nn.Module, dense: nn.Module, decision: PruningPlan, evidence: Evidence) -> None:
        if self.data is not None:
            for repair in self.how.repair:
                repair.repair_(masked, dense, decision, Known(evidence, self.data))

    def _rehearse(self, model: nn.Module) -> None:
        """Plan once with what is known without data, so that what cannot work fails now and not after hours."""
        criterion = self.how.criterion if self.how.criterion.traits.data_free else Random()
        evidence = collect(model, None, criterion.needs, graph=self.graph)
        scores = score(self.graph, criterion, evidence, granularity=self.how.granularity)
        plan(self.graph, scores, self.budget, self.how.allocation, constraints=self.settings.constraints)

    def _sparsified(self, model: nn.Module) -> tuple[nn.Module, nn.Module | None, PruningPlan | None]:
        """A copy after the recipe's first training, what to rewind to, and what a surgery decided."""
        dense, how = copied(model), self.how
        if how.sparsify is None or self.data is None:
            return dense, None, None
        early = _Early(dense, how.rewind, how.sparsify, self.data, self.checkpoint)
        opened: list[Session] = []

        def work(optimizer: torch.optim.Optimizer, steps: int) -> Session:
            opened.append(
                Session(
                    dense,
                    optimizer,
                    replace(how, budget=self.budget),
                    graph=self.graph,
                    steps=steps,
                    constraints=self.settings.constraints,
                    calibration=Calibration(
                        batches=self.data, loss=self.settings.loss, limit=self.settings.calibration
                    ),
                    seed=self.seed,
                )
            )
            return opened[0]

        if self.checkpoint is None or "round" not in self.checkpoint.notes:
            train_(
                dense,
                self.data,
                how.sparsify,
                loss=self.settings.loss,
                work=work,
                checkpoint=self.checkpoint,
                progress=early.watch(self.settings.progress),
                what="sparsify",
            )
            return dense, early.model(), opened[0].plan
        decided = plan_from_json(str(self.checkpoint.notes["plan"])) if how.surgery is not None else None
        return dense, early.model(), decided

    def _train_(self, masked: nn.Module, what: str) -> None:
        settings, checkpoint = self.settings, self.checkpoint
        if settings.train is not None:
            settings.train(masked)
        elif self.data is not None and self.how.finetune is not None:
            with ExitStack() as stack:
                data, loss = self.data, settings.loss
                if settings.distill is not None:
                    lesson = stack.enter_context(taught(masked, self.dense, settings.distill, loss=loss))
                    data, loss = lesson.batches(data), lesson.loss
                train_(
                    masked,
                    data,
                    self.how.finetune,
                    loss=loss,
                    checkpoint=checkpoint,
                    progress=settings.progress,
                    what=what,
                )

    def _evidence(self, dense: nn.Module) -> Evidence:
        needs: Iterable[type[Collector]] = self.how.criterion.needs
        if self.data is not None:
            needs = (*needs, *(need for repair in self.how.repair for need in repair.needs))
        settings = self.settings
        return collect(
            dense,
            self.data,
            needs,
            graph=self.graph,
            loss=settings.loss,
            limit=settings.calibration,
            progress=settings.progress,
        )


class _Early:
    """The network as it was early in its first training, for recipes that rewind."""

    def __init__(
        self,
        model: nn.Module,
        rewind: float | None,
        how: FineTune,
        batches: Batches,
        checkpoint: Checkpoint | None,
    ) -> None:
        self._live, self._checkpoint = model, checkpoint
        self._at = None if rewind is None else round(rewind / how.epochs * max(1, round(how.epochs * _length(batches))))
        self._model = copied(model) if rewind is not None else None
        if self._model is not None and checkpoint is not None and "early" in checkpoint.notes:
            self._model.load_state_dict(checkpoint.notes["early"])

    def watch(self, progress: Progress | None) -> Progress:
        """A progress that also looks when the moment has come."""

        def call(what: str, done: int, total: int) -> None:
            if self._at is not None and done == self._at:
                self._model = copied(self._live)
                if self._checkpoint is not None:
                    self._checkpoint.notes["early"] = self._model.state_dict()
            if progress is not None:
                progress(what, done, total)

        return call

    def model(self) -> nn.Module | None:
        """What to go back to."""
        return self._model


def _length(batches: Batches) -> int:
    return length_hint(batches) or sum(1 for _ in batches)
