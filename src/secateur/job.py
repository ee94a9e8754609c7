"""Job: a recipe at work."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch
from torch import nn

from secateur.apply.masking import mask, unmask_
from secateur.core.budget import Budget
from secateur.core.contracts import Batches, Collector, Known, Progress
from secateur.core.copying import copied
from secateur.core.evidence import Evidence
from secateur.core.groups import ChannelGraph
from secateur.core.plan import PruningPlan
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Random
from secateur.distill import taught
from secateur.evidence import collect
from secateur.files import plan_from_json, plan_to_json
from secateur.planning import decide, plan, score
from secateur.run import Run
from secateur.training import Calibration, Checkpoint, Session, batches_in, train_


@dataclass(frozen=True, slots=True)
class Job:
    """A recipe at work on one network: train, decide, mask, mend, train, as often as it says.

    Attributes:
        how: the recipe.
        dense: the network as it came; it is not touched.
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

    def prune(self) -> tuple[nn.Module, PruningPlan]:
        """The masked network and what was decided."""
        trains = self.data is not None or self.settings.train is not None
        if trains:
            self._rehearse()
        dense, early, decision = self._sparsified()
        if decision is not None:
            return self._after_surgery(dense, self._within_budget(dense, decision))
        rounds = self.how.schedule.rounds if trains or not self.how.schedule.trains else 1
        decision, first = self._resumed(rounds)
        masked = dense
        for number in range(first, rounds + 1):
            if self._is_under_way(self._stage(number, rounds)):
                assert decision is not None
                masked = mask(dense, decision)  # the checkpoint has the weights
            else:
                share = 1.0 if number == rounds else number / rounds
                masked, decision = self._cut(dense, early, self.how.schedule.keep(share, self.budget.keep), decision)
            if self.how.schedule.trains or number == rounds:
                self._note(decision, number)
                self._train_(masked, self._stage(number, rounds))
            dense = unmask_(copied(masked))
        assert decision is not None
        return masked, decision

    def _cut(
        self, dense: nn.Module, early: nn.Module | None, share: float, before: PruningPlan | None
    ) -> tuple[nn.Module, PruningPlan]:
        """One round: look, decide, mask (what there was early on, if the recipe rewinds), mend."""
        evidence = self._evidence(dense)
        decision = self._decided(evidence, share, before)
        masked = mask(dense if early is None else early, decision)
        self._repair_(masked, dense, decision, evidence)
        return masked, decision

    def _is_under_way(self, stage: str) -> bool:
        """Whether an interrupted run was in this stage."""
        return self.checkpoint is not None and self.checkpoint.of(stage) is not None

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

    def _after_surgery(self, dense: nn.Module, decision: PruningPlan) -> tuple[nn.Module, PruningPlan]:
        """What a surgery left, masked, repaired and fine-tuned."""
        before = unmask_(copied(dense))
        masked = mask(before, decision)
        if not self._is_under_way("fine-tune"):
            needs = [need for repair in self.how.repair for need in repair.needs]
            evidence = collect(before, self.data, needs, graph=self.graph, loss=self.settings.loss)
            self._repair_(masked, before, decision, evidence)
        self._note(decision, 1)
        self._train_(masked, "fine-tune")
        return masked, decision

    def _repair_(self, masked: nn.Module, dense: nn.Module, decision: PruningPlan, evidence: Evidence) -> None:
        if self.data is not None:
            for repair in self.how.repair:
                repair.repair_(masked, dense, decision, Known(evidence, self.data))

    def _rehearse(self) -> None:
        """Plan once with what is known without data, so that what cannot work fails now and not after hours."""
        criterion = self.how.criterion if self.how.criterion.traits.data_free else Random()
        evidence = collect(self.dense, None, criterion.needs, graph=self.graph)
        scores = score(self.graph, criterion, evidence, granularity=self.how.granularity)
        plan(self.graph, scores, self.budget, self.how.allocation, constraints=self.settings.constraints)

    def _sparsified(self) -> tuple[nn.Module, nn.Module | None, PruningPlan | None]:
        """A copy after the recipe's first training, what to rewind to, and what a surgery decided."""
        dense, how = copied(self.dense), self.how
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
        self._at = None if rewind is None else round(rewind / how.epochs * how.steps(batches_in(batches)))
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
