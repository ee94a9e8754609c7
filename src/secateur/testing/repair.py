"""The contract of repairs."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secateur.apply.masking import mask
from secateur.apply.shrinking import shrink
from secateur.core.contracts import Known, Repair
from secateur.core.plan import PruningPlan
from secateur.core.rng import generator
from secateur.granularity import Channel
from secateur.testing import case as cases
from secateur.testing.case import Case
from secateur.testing.criterion import check_docstring, check_value


class RepairContract:
    """What every repair promises. Subclass it, and parametrise `repair` or define it as a fixture."""

    def test_error_does_not_grow(self, repair: Repair) -> None:
        """Over several cuts, the repaired networks are no further from the dense one than the cut ones were.

        A repair that mends losses has to do so where little goes: the weights that do are made small before.
        """
        for whole in (cases.normed(), cases.folding()):
            before, after = 0.0, 0.0
            for seed in range(6):
                subject = whole if repair.mends == "outputs" else _faint(whole, seed)
                scene = _cut(subject, seed)
                before += _error(repair, scene.student, subject)
                repair.repair_(scene.student, subject.model, scene.plan, _known(repair, subject))
                after += _error(repair, scene.student, subject)
            assert after <= before * (1 + 1e-9)

    def test_dead_units_stay_dead(self, repair: Repair) -> None:
        """Whatever the mask silences is still exactly zero, and the shrunk network still agrees with the masked one."""
        for subject in (cases.normed(), cases.folding()):
            scene = _cut(subject, 0)
            repair.repair_(scene.student, subject.model, scene.plan, _known(repair, subject))
            for name, keep in scene.plan.masks().items():
                owner, _, leaf = name.rpartition(".")
                effective: Tensor = getattr(scene.student.get_submodule(owner), leaf)
                assert not bool(effective[~keep].any())
            wanted = [scene.student(inputs) for inputs, _ in subject.batches]
            small = shrink(scene.student, scene.plan)
            for (inputs, _), outputs in zip(subject.batches, wanted, strict=True):
                assert torch.allclose(small(inputs), outputs, rtol=1e-9, atol=1e-12)

    def test_nothing_cut_nothing_done(self, repair: Repair) -> None:
        """Where everything is kept, every tensor stays as it is, bit by bit."""
        subject = cases.normed()
        for buffer in subject.model.buffers():
            buffer.add_(1)  # statistics that are not those of the batches
        whole = PruningPlan({}, Channel(), subject.graph)
        student = mask(subject.model, whole)
        before = copy.deepcopy(student.state_dict())
        repair.repair_(student, subject.model, whole, _known(repair, subject))
        after = student.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)

    def test_touches_the_student_only(self, repair: Repair) -> None:
        """The dense network, the random state, and the student's modes and gradients stay as they are."""
        subject = cases.normed()
        scene = _cut(subject, 0)
        scene.student.train()
        scene.student[2].eval()  # type: ignore[index]  # a Sequential
        modes = [m.training for m in scene.student.modules()]
        dense, state = copy.deepcopy(subject.model.state_dict()), torch.get_rng_state()
        repair.repair_(scene.student, subject.model, scene.plan, _known(repair, subject))
        assert [m.training for m in scene.student.modules()] == modes
        assert torch.equal(torch.get_rng_state(), state)
        assert all(torch.equal(value, subject.model.state_dict()[name]) for name, value in dense.items())
        for network in (scene.student, subject.model):
            assert all(p.grad is None and p.requires_grad for p in network.parameters())

    def test_value(self, repair: Repair) -> None:
        """A repair is a value: its repr makes it again; it pickles, hashes and copies."""
        check_value(repair)

    def test_docstring(self, repair: Repair) -> None:
        """The docstring states formula and cost, and cites where a paper is named."""
        sections = ("Formula", "Cost") if repair.paper is None else ("Paper", "Formula", "Cost", "Differs")
        check_docstring(type(repair), sections)
        assert repair.paper is None or repair.paper.cite()


@dataclass(frozen=True, slots=True)
class _Scene:
    student: nn.Module
    plan: PruningPlan


def _cut(subject: Case, seed: int) -> _Scene:
    """The network masked with half of every group gone, chosen by lot."""
    kept = {}
    for name, group in subject.graph.cuttable.items():
        kept[name] = torch.ones(group.units, dtype=torch.bool)
        kept[name][torch.randperm(group.units, generator=generator(seed, name))[: group.units // 2]] = False
    decision = PruningPlan(kept, Channel(), subject.graph)
    return _Scene(mask(subject.model, decision), decision)


def _faint(subject: Case, seed: int) -> Case:
    """The network with little left of what `_cut` takes."""
    model = copy.deepcopy(subject.model)
    with torch.no_grad():
        for name, keep in _cut(subject, seed).plan.masks().items():
            model.get_parameter(name)[~keep] *= 1e-2
    return replace(subject, model=model)


def _known(repair: Repair, subject: Case) -> Known:
    return Known(subject.evidence(repair.needs), subject.batches)


def _error(repair: Repair, student: nn.Module, subject: Case) -> float:
    total = 0.0
    with torch.no_grad():
        for x, target in subject.batches:
            pair = [model(x) for model in (student, subject.model)]
            if repair.mends == "losses":
                pair = [F.cross_entropy(y, target, reduction="none") for y in pair]
            total += float((pair[0] - pair[1]).square().sum())
    return total
